"""Small made-up grids for the tests of the forecaster; nothing recorded."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np
import torch

from forecaster.artifact import Manifest, pack, sha256
from forecaster.climatology import Climatology
from forecaster.inference import Forecaster
from forecaster.model import ModelConfig, Tcn
from forecaster.series import Basis, IntensityHistory

START = datetime(2024, 1, 1, tzinfo=UTC)
TINY = ModelConfig(
    grid_zones=2,
    neighbours=(0, 1),
    horizon_h=24,
    members=2,
    kernels=(2, 3, 4, 2),
    channels=8,
    embedding=2,
    voices=2,
    lead_features=4,
    dropout=0.0,
)


def daily_wave(
    grid_zone: str, hours: int, *, seed: int = 0, start: datetime = START, level: float = 300.0
) -> IntensityHistory:
    """Return a noisy daily cycle around `level`, gCO2eq/kWh."""
    noise = np.random.default_rng(seed).normal(0, 10, hours)
    wave = 80 * np.sin(2 * np.pi * np.arange(hours) / 24)
    return IntensityHistory(
        grid_zone=grid_zone,
        start=start,
        gco2eq_per_kwh=np.clip(level + wave + noise, 1, None).astype(np.float32),
    )


def two_grids(hours: int) -> dict[str, IntensityHistory]:
    """Return histories of AA and BB."""
    return {
        "AA": daily_wave("AA", hours, seed=1),
        "BB": daily_wave("BB", hours, seed=2, level=150.0),
    }


def with_values(
    history: IntensityHistory, values: Sequence[float] | np.ndarray
) -> IntensityHistory:
    """Return `history` with other values."""
    return IntensityHistory(
        grid_zone=history.grid_zone,
        start=history.start,
        gco2eq_per_kwh=np.asarray(values, dtype=np.float32),
    )


def without(history: IntensityHistory, missing: slice) -> IntensityHistory:
    """Return `history` with a gap."""
    values = history.gco2eq_per_kwh.copy()
    values[missing] = np.nan
    return with_values(history, values)


def flat_climatology(means: Mapping[str, float], *, spread: float = 20.0) -> Climatology:
    """Return a climatology that is the same at all hours."""
    shape = (len(means), 12, 2, 24)
    level = np.array(list(means.values()))[:, None, None, None]
    return Climatology(
        grid_zones=tuple(means),
        mean=np.broadcast_to(level, shape).astype(float),
        spread=np.full(shape, spread),
        autocorrelation=np.full(len(means), 0.95),
        correlation=np.eye(len(means)),
    )


def untrained(climatology: Climatology | None = None, *, seed: int = 0) -> Forecaster:
    """Return a forecaster of AA and BB with random weights."""
    torch.manual_seed(seed)
    model = Tcn(TINY)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # Before training nobody hears of others; here they shall.
            if "hear" in name or name.startswith("linear."):
                parameter.add_(0.02 * torch.randn_like(parameter))
    return Forecaster(model=model, manifest=manifest_of(model), climatology=climatology)


def manifest_of(model: Tcn) -> Manifest:
    """Return a manifest that fits `model`, whose grid zones are AA and BB."""
    return Manifest(
        model=model.config,
        grid_zones=("AA", "BB"),
        scale_gco2eq_per_kwh=(10.0, 10.0),
        basis=Basis.LIFECYCLE,
        settings={"seed": 0},
        data={},
        metrics={},
        weights_sha256=sha256(pack(model.state_dict())),
    )
