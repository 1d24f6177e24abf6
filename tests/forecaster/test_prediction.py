"""Laws of running the network on late grid zones."""

import dataclasses

import numpy as np
import torch
from intensity_worlds import TINY, two_grids

from forecaster.batches import cut
from forecaster.model import Tcn
from forecaster.prediction import late_by, predict
from forecaster.windows import tabulate

CONFIG = dataclasses.replace(TINY, horizon_h=48)


def test_a_late_grid_zone_is_forecast_from_the_end_of_its_record() -> None:
    """Three hours late is what was forecast three hours ago; the other grid zone is as ever."""
    torch.manual_seed(0)
    model = Tcn(CONFIG).eval()
    table = tabulate(two_grids(24 * 10), ("AA", "BB"))
    now = cut(table, np.array([150, 160]), config=CONFIG)
    recorded = now.recorded_bzl.copy()
    recorded[1, 0, -3:] = np.nan
    made = predict(model, recorded, now.epoch_hours)
    whole = predict(model, now.recorded_bzl, now.epoch_hours)
    np.testing.assert_array_equal(made[0], whole[0])
    np.testing.assert_array_equal(made[1, 1], whole[1, 1])
    # Of three hours ago, but without the hours that have left the lookback since.
    moved = np.full_like(recorded[1:], np.nan)
    moved[..., 3:] = recorded[1:, :, :-3]
    earlier = predict(model, moved, now.epoch_hours[1:] - 3)
    np.testing.assert_array_equal(made[1, 0, :-3], earlier[0, 0, 3:])
    assert np.isfinite(made).all()


def test_what_is_missing_for_long_is_not_late() -> None:
    """Only up to half a day at the end counts, and gaps before do not."""
    recorded = np.ones((1, 5, 48), dtype=np.float32)
    recorded[0, 1, -12:] = np.nan
    recorded[0, 2, -13:] = np.nan
    recorded[0, 3] = np.nan
    recorded[0, 4, 20:30] = np.nan
    assert late_by(recorded).tolist() == [[0, 12, 0, 0, 0]]
