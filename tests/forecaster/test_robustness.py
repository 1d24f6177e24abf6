"""Laws of what is measured when hours are missing."""

import numpy as np
import pytest
import torch
from intensity_worlds import TINY, two_grids

from forecaster.batches import cut, usable_origins
from forecaster.model import Tcn
from forecaster.prediction import predict
from forecaster.robustness import PUBLISHED_LATE_H, faults, measure
from forecaster.windows import Table, tabulate

HOURS = 24 * 20


@pytest.fixture(scope="module")
def table() -> Table:
    """Return two grid zones on one axis."""
    return tabulate(two_grids(HOURS), ("AA", "BB"))


@pytest.fixture(scope="module")
def network() -> Tcn:
    """Return an untrained network."""
    torch.manual_seed(0)
    return Tcn(TINY).eval()


def test_the_faults_are_what_their_names_say() -> None:
    """Each takes away the hours that it names, of the grid zones that it means."""
    zones = ("DE", "CA-QC", "BR-CS")
    recorded = np.ones((40, 3, 168), dtype=np.float32)
    random = np.random.default_rng(0)
    gone = {name: fault(recorded, random) for name, fault in faults(zones, 168).items()}
    assert not gone["nothing"].any()
    assert (~gone["all but the last 24 h"]).sum(axis=-1).tolist() == [[24] * 3] * 40
    assert not gone["all but the last 24 h"][..., -24:].any()
    late = gone["what late grid zones lack"].sum(axis=-1)[0].tolist()
    assert late == [0, PUBLISHED_LATE_H["CA-QC"], PUBLISHED_LATE_H["BR-CS"]]
    assert gone["the last 6 h of all"][..., -6:].all()
    assert gone["a tenth of all hours"].mean() == pytest.approx(0.1, abs=0.02)
    assert 1 <= gone["a gap of up to a day in each"].sum(axis=-1).max() <= 24


def test_nothing_missing_is_the_forecast_itself(table: Table, network: Tcn) -> None:
    """The first row scores what the network says of whole data."""
    origins = usable_origins(table, TINY)[::24]
    windows = cut(table, origins, config=TINY)
    made = predict(network, windows.recorded_bzl, windows.epoch_hours)[..., 1]
    errors = np.abs(made - windows.targets_bzh).mean(axis=(0, 2))
    naive = np.abs(windows.recorded_bzl[..., -24:] - windows.targets_bzh).mean(axis=(0, 2))
    first = measure(network, table, origins)[0]
    assert first.fault == "nothing"
    assert first.skill == pytest.approx(1 - errors.mean() / naive.mean(), rel=1e-5)
    assert first.own_skill == pytest.approx(float((1 - errors / naive).mean()), rel=1e-5)


def test_what_is_missing_is_measured(table: Table, network: Tcn) -> None:
    """Fewer hours change the figures; the same seed gives the same ones."""
    origins = usable_origins(table, TINY)[::24]
    losses = measure(network, table, origins)
    assert losses == measure(network, table, origins)
    by_name = {loss.fault: loss for loss in losses}
    assert by_name["all but the last 24 h"].skill != by_name["nothing"].skill
    assert by_name["three tenths of all hours"].skill < by_name["nothing"].skill
