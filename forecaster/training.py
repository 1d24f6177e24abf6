"""Trains the network. The only module that imports Lightning; inference must not need it."""

import dataclasses
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeAlias

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from numpy.typing import NDArray
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, IterableDataset

from forecaster.artifact import Manifest, pack, sha256
from forecaster.batches import Batch, Faults, draw_batches
from forecaster.linear_start import fit_linear_paths
from forecaster.model import HOURS_PER_DAY, ModelConfig, Tcn
from forecaster.series import Basis, IntensityHistory, UtcHour, document
from forecaster.windows import Table, tabulate

QUANTILES = (0.1, 0.5, 0.9)
QUANTILE_WEIGHTS = (0.5, 1.0, 0.5)
"""The median counts most: it is what plans are made from."""


@document
class TrainingSettings:
    """How to train."""

    begin: UtcHour = datetime(2021, 1, 1, tzinfo=UTC)
    """First hour to learn from."""
    end: UtcHour = datetime(2024, 1, 1, tzinfo=UTC)
    """End of the last hour to learn from; validation begins here."""
    steps: int = 2000
    """Optimizer steps."""
    batch_size: int = 256
    """Windows a step."""
    learning_rate: float = 1e-3
    """Highest; rises for a twentieth of the steps, then falls as a cosine."""
    weight_decay: float = 0.02
    """AdamW's."""
    average_decay: float = 0.998
    """Of the running mean of the weights, a step."""
    seed: int = 0
    """Of weights, windows and faults."""
    never_neighbours: tuple[str, ...] = ("IT",)
    """Grid zones that are not a channel of others: stand-ins, which live data do not have."""


Tensors: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor]
"""A batch as Lightning can carry it: windows, grid zones, calendar, targets."""


class BatchStream(IterableDataset[Tensors]):
    """Gives Lightning the batches as they are drawn."""

    def __init__(self, batches: Callable[[], Iterator[Batch]]) -> None:
        """Keep what makes the batches."""
        super().__init__()
        self._batches = batches

    def __iter__(self) -> Iterator[Tensors]:
        """Draw from the beginning."""
        for batch in self._batches():
            yield (
                torch.from_numpy(batch.windows),
                torch.from_numpy(batch.zones),
                torch.from_numpy(batch.calendar),
                torch.from_numpy(batch.targets),
            )


class Training(lightning.LightningModule):
    """One step of learning: pinball loss, each grid zone's errors on its own scale."""

    def __init__(
        self, model: Tcn, settings: TrainingSettings, *, scale: NDArray[np.float64]
    ) -> None:
        """Set up; `scale` is in gCO2eq/kWh, shape (grid zones,)."""
        super().__init__()
        self.model = model
        self.settings = settings
        self.average = AveragedModel(
            model,
            multi_avg_fn=get_ema_multi_avg_fn(settings.average_decay),  # type: ignore[no-untyped-call]
        )
        self.register_buffer("scale", torch.as_tensor(scale, dtype=torch.float32))

    def training_step(self, batch: Tensors) -> Tensor:
        """Return the loss of one batch."""
        windows, zones, calendar, targets = batch
        forecast = self.model(windows, zones, calendar)
        loss = pinball(forecast, targets, self.get_buffer("scale")[zones])
        self.log("loss", loss, prog_bar=True)
        return loss

    def on_train_batch_end(self, *_: object) -> None:
        """Move the mean of the weights towards the weights."""
        self.average.update_parameters(self.model)

    def configure_optimizers(self) -> lightning.pytorch.utilities.types.OptimizerLRScheduler:
        """Return AdamW with a warm-up and a cosine."""
        s = self.settings
        optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=s.learning_rate, weight_decay=s.weight_decay
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=s.learning_rate, total_steps=s.steps, pct_start=0.05
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


def pinball(forecast_bhq: Tensor, target_bh: Tensor, scale_b: Tensor) -> Tensor:
    """Return the mean weighted quantile loss in units of `scale_b`, over recorded targets."""
    there = torch.isfinite(target_bh)
    target = torch.where(there, target_bh, torch.zeros_like(target_bh))
    over = (target.unsqueeze(-1) - forecast_bhq) / scale_b[:, None, None]
    levels, weights = torch.tensor(QUANTILES), torch.tensor(QUANTILE_WEIGHTS)
    loss = (torch.maximum(levels * over, (levels - 1) * over) * weights).sum(-1)
    return (loss * there).sum() / there.sum().clamp(min=1)


def train(
    histories: Mapping[str, IntensityHistory],
    *,
    settings: TrainingSettings | None = None,
    config: ModelConfig | None = None,
    faults: Faults | None = None,
    on_step: Callable[[int], None] = lambda _step: None,
) -> tuple[dict[str, Tensor], Manifest]:
    """Train a network; the same bits for the same arguments on the same machine.

    Args:
        histories: Recorded hours; later ones than `settings.end` are not looked at.
        settings: How; the defaults if `None`.
        config: Shape of the network; its `grid_zones` is set from `histories`.
        faults: How training windows are damaged.
        on_step: Called after each optimizer step with its number, to show progress.

    Returns:
        Weights (the running mean) and manifest, without metrics.

    Raises:
        ValueError: If the histories are too short, or not all of one accounting basis.
    """
    settings, faults = settings or TrainingSettings(), faults or Faults()
    known = {zone: history.cut_before(settings.end) for zone, history in histories.items()}
    known = {zone: history for zone, history in known.items() if history.gco2eq_per_kwh.size}
    table = _from(tabulate(known, sorted(known)), settings.begin)
    config = dataclasses.replace(config or ModelConfig(grid_zones=1), grid_zones=len(known))
    basis = _one_basis(known)
    neighbours = choose_neighbours(table, config.neighbours, never=settings.never_neighbours)
    config = dataclasses.replace(config, neighbours=len(neighbours[0]))
    channels = [(row, *others) for row, others in enumerate(neighbours)]
    scale = persistence_error(table)
    lightning.seed_everything(settings.seed, verbose=False)
    model = Tcn(config)
    model.start_linear(fit_linear_paths(table, config))
    module = Training(model, settings, scale=scale)
    stream = BatchStream(
        lambda: draw_batches(
            table,
            channels=channels,
            config=config,
            faults=faults,
            batch_size=settings.batch_size,
            seed=settings.seed,
        )
    )
    with warnings.catch_warnings():
        # Of Lightning's own code, and of workers that a stream in memory does not need.
        warnings.filterwarnings("ignore", message=".*LeafSpec", category=FutureWarning)
        warnings.filterwarnings("ignore", message=".*does not have many workers")
        _trainer(settings, on_step).fit(module, DataLoader(stream, batch_size=None))
    weights = {
        name: value.detach().clone() for name, value in module.average.module.state_dict().items()
    }
    return weights, Manifest(
        model=config,
        grid_zones=table.grid_zones,
        neighbours=neighbours,
        scale_gco2eq_per_kwh=tuple(float(value) for value in scale),
        basis=basis,
        settings=_plain(settings) | _plain(faults),
        data={
            "begin": table.start.isoformat(),
            "end": settings.end.isoformat(),
            "sha256": sha256(table.gco2eq_per_kwh.tobytes()),
        },
        metrics={},
        weights_sha256=sha256(pack(weights)),
    )


def persistence_error(table: Table) -> NDArray[np.float64]:
    """Return each grid zone's mean absolute change from day to day, gCO2eq/kWh; at least 0.1.

    Raises:
        ValueError: If a grid zone has no two days.
    """
    values = table.gco2eq_per_kwh.astype(np.float64)
    change = np.abs(values[:, HOURS_PER_DAY:] - values[:, :-HOURS_PER_DAY])
    counts = np.isfinite(change).sum(axis=1)
    if not counts.all():
        raise ValueError(
            "expected at least two recorded days of each grid zone, found none of"
            f" {', '.join(np.array(table.grid_zones)[counts == 0])}; leave it out"
        )
    error: NDArray[np.float64] = np.nansum(change, axis=1) / counts
    return np.maximum(error, 0.1)


def choose_neighbours(
    table: Table, count: int, *, never: Sequence[str] = ()
) -> tuple[tuple[int, ...], ...]:
    """For each grid zone choose those whose change from day to day goes most with its own.

    Only grid zones that are recorded for nine tenths of the table are chosen: a neighbour
    that is mostly missing would teach the network to ignore its channel.
    """
    values = table.gco2eq_per_kwh.astype(np.float64)
    change = values[:, HOURS_PER_DAY:] - values[:, :-HOURS_PER_DAY]
    there = np.isfinite(change)
    fit = [
        row
        for row, grid_zone in enumerate(table.grid_zones)
        if grid_zone not in never and there[row].mean() > 0.9  # noqa: PLR2004 - said above
    ]
    count = min(count, max(len(fit) - 1, 0))

    def closeness(row: int, other: int) -> float:
        both = there[row] & there[other]
        if both.sum() < HOURS_PER_DAY or not change[row][both].std() * change[other][both].std():
            return 0.0
        return abs(float(np.corrcoef(change[row][both], change[other][both])[0, 1]))

    def closest(row: int) -> tuple[int, ...]:
        others = [other for other in fit if other != row]
        return tuple(sorted(others, key=lambda other: -closeness(row, other))[:count])

    return tuple(closest(row) for row in range(len(table.grid_zones)))


class _AfterStep(Callback):
    def __init__(self, on_step: Callable[[int], None]) -> None:
        self._on_step = on_step

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: object, **__: object) -> None:
        self._on_step(trainer.global_step)


def _trainer(settings: TrainingSettings, on_step: Callable[[int], None]) -> lightning.Trainer:
    # It would tell of the hardware that it does not use, and advertise.
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    return lightning.Trainer(
        accelerator="cpu",
        devices=1,
        max_steps=settings.steps,
        max_epochs=1,
        deterministic=True,
        gradient_clip_val=1.0,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        callbacks=[_AfterStep(on_step)],
    )


def _from(table: Table, begin: datetime) -> Table:
    skip = max(table.index(begin), 0)
    return Table(
        grid_zones=table.grid_zones,
        start=max(table.start, begin),
        gco2eq_per_kwh=np.ascontiguousarray(table.gco2eq_per_kwh[:, skip:]),
    )


def _one_basis(histories: Mapping[str, IntensityHistory]) -> Basis:
    found = {history.basis for history in histories.values()}
    if len(found) != 1:
        raise ValueError(f"expected histories of one accounting basis, found {sorted(found)}")
    return found.pop()


def _plain(settings: TrainingSettings | Faults) -> dict[str, float | int | str]:
    return {
        name: value if isinstance(value, int | float) else str(value)
        for name, value in dataclasses.asdict(settings).items()
    }
