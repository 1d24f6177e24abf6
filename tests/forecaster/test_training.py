"""Laws of training; with tiny networks, since the laws do not depend on size."""

import dataclasses
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import torch
from intensity_worlds import START, TINY, daily_wave, two_grids, with_values, without

from forecaster.artifact import Manifest, sha256
from forecaster.batches import Faults, cut, damage, draw_batches, usable_pairs
from forecaster.model import Tcn
from forecaster.series import HOUR, Basis, IntensityHistory
from forecaster.training import (
    TrainingSettings,
    choose_neighbours,
    persistence_error,
    pinball,
    train,
)
from forecaster.windows import Table, tabulate

SHORT = TrainingSettings(
    begin=START, end=START + 30 * timedelta(days=1), steps=6, batch_size=8, never_neighbours=()
)
CHANNELS = [(0, 1), (1, 0)]


def trained(
    histories: dict[str, IntensityHistory], settings: TrainingSettings = SHORT
) -> tuple[dict[str, torch.Tensor], Manifest]:
    """Train a tiny network."""
    return train(histories, settings=settings, config=TINY)


def digest(weights: dict[str, torch.Tensor]) -> str:
    """Return a digest of all bits."""
    return sha256(b"".join(weights[name].numpy().tobytes() for name in sorted(weights)))


def table_of(hours: int) -> Table:
    """Return two grids on one axis."""
    return tabulate(two_grids(hours), ("AA", "BB"))


def test_the_same_seed_trains_the_same_bits() -> None:
    """Same data and seed give the same weights and manifest; another seed others."""
    histories = two_grids(24 * 40)
    weights, manifest = trained(histories)
    again, manifest_again = trained(histories)
    assert digest(weights) == digest(again)
    assert manifest == manifest_again
    other, _ = trained(histories, dataclasses.replace(SHORT, seed=1))
    assert digest(weights) != digest(other)


def test_training_sees_nothing_of_the_validation_span() -> None:
    """Hours at the end of training or later change no bit of the weights."""
    histories = two_grids(24 * 40)
    changed = {}
    for zone, history in histories.items():
        values = history.gco2eq_per_kwh.copy()
        values[24 * 30 :] = 1.0
        changed[zone] = with_values(history, values)
    assert digest(trained(histories)[0]) == digest(trained(changed)[0])


def test_training_lowers_the_loss() -> None:
    """On a noisy daily cycle a minute of steps gets well below persistence."""
    histories = {zone: daily_wave(zone, 24 * 60, seed=i) for i, zone in enumerate(("AA", "BB"))}
    settings = dataclasses.replace(
        SHORT, end=START + timedelta(days=60), steps=60, batch_size=32, average_decay=0.9
    )
    begun, first = trained(histories, dataclasses.replace(settings, steps=1))
    weights, manifest = trained(histories, settings)
    assert error_of(weights, manifest, histories) < 0.85 * error_of(begun, first, histories)
    assert manifest.scale_gco2eq_per_kwh == first.scale_gco2eq_per_kwh


def error_of(
    weights: dict[str, torch.Tensor], manifest: Manifest, histories: dict[str, IntensityHistory]
) -> float:
    """Return the mean absolute error over all windows."""
    model = Tcn(manifest.model).eval()
    model.load_state_dict(weights)
    table = tabulate(histories, manifest.grid_zones)
    batch = cut(table, usable_pairs(table, TINY), channels=CHANNELS, config=TINY)
    with torch.no_grad():
        found = model(*map(torch.from_numpy, (batch.windows, batch.zones, batch.calendar)))
    return float(np.abs(found[..., 1].numpy() - batch.targets).mean())


def test_each_step_is_reported() -> None:
    """A progress bar hears of every optimizer step."""
    steps: list[int] = []
    train(two_grids(24 * 30), settings=SHORT, config=TINY, on_step=steps.append)
    assert steps == [1, 2, 3, 4, 5, 6]


def test_too_little_history_is_refused() -> None:
    """Without one whole window nothing can be learnt, and it is said so."""
    with pytest.raises(ValueError, match="recorded hours in a row"):
        trained(two_grids(60))
    old = {"AA": daily_wave("AA", 200, start=datetime(2030, 1, 1, tzinfo=UTC))}
    with pytest.raises(ValueError, match="expected a history"):
        trained(old)


def test_two_bases_are_never_mixed() -> None:
    """Direct and life-cycle histories cannot train one network."""
    histories = two_grids(24 * 30)
    direct = dataclasses.replace(histories["AA"], basis=Basis.DIRECT)
    with pytest.raises(ValueError, match="one accounting basis"):
        trained(histories | {"AA": direct})


def test_pairs_have_a_day_before_and_all_hours_after() -> None:
    """No window is drawn whose outcome is not known in full."""
    histories = two_grids(24 * 10)
    histories["AA"] = without(histories["AA"], slice(100, 130))
    table = tabulate(histories, ("AA", "BB"))
    pairs = usable_pairs(table, TINY)
    batch = cut(table, pairs, channels=CHANNELS, config=TINY)
    assert np.isfinite(batch.targets).all()
    assert (np.isfinite(batch.windows[:, 0]).sum(axis=1) >= 24).all()
    zones = pairs[:, 0]
    assert 0 < (zones == 0).sum() < (zones == 1).sum() == 240 - 48 - 24 + 1


def test_a_window_ends_where_its_target_begins() -> None:
    """Targets are the hours that follow the window, of the grid zone itself."""
    table = table_of(24 * 10)
    batch = cut(table, np.array([[1, 100]]), channels=CHANNELS, config=TINY)
    values = table.gco2eq_per_kwh
    np.testing.assert_array_equal(batch.windows[0, 0], values[1, 52:100])
    np.testing.assert_array_equal(batch.windows[0, 1], values[0, 52:100])
    np.testing.assert_array_equal(batch.targets[0], values[1, 100:124])
    assert batch.calendar.shape == (1, 48 + 24, 9)


def test_faults_only_remove() -> None:
    """Damage removes values, never makes or changes one, and keeps the grid zone itself."""
    windows = np.ones((200, 3, 48), dtype=np.float32)
    every = Faults(short=0.5, late=0.5, gap=0.5, lost_neighbour=0.5)
    damaged = damage(windows, every, rng=np.random.default_rng(0))
    assert set(np.unique(damaged[np.isfinite(damaged)])) == {1.0}
    assert np.isfinite(damaged[:, 0]).any(axis=1).all()
    assert not np.isfinite(damaged[:, 1]).any(axis=1).all()
    assert np.isnan(damaged[:, 0, -1]).mean() > 0.3
    never = Faults(short=0, late=0, gap=0, lost_neighbour=0)
    assert np.isfinite(damage(windows, never, rng=np.random.default_rng(0))).all()


def test_batches_repeat_with_their_seed() -> None:
    """The stream of batches is a function of the seed."""

    def first(seed: int) -> bytes:
        stream = draw_batches(
            table_of(24 * 20),
            channels=CHANNELS,
            config=TINY,
            faults=Faults(),
            batch_size=4,
            seed=seed,
        )
        return next(stream).windows.tobytes()

    assert first(0) == first(0) != first(1)


def test_the_loss_is_least_at_the_quantiles() -> None:
    """Pinball loss pulls each output to its own quantile, and missing targets do not count."""
    outcomes = torch.arange(0, 101, dtype=torch.float32)[:, None]
    scale = torch.ones(101)

    def loss(low: float, mid: float, high: float) -> float:
        forecast = torch.tensor([low, mid, high]).expand(101, 1, 3)
        return pinball(forecast, outcomes, scale).item()

    best = loss(10, 50, 90)
    assert all(best < worse for worse in (loss(5, 50, 90), loss(10, 60, 90), loss(10, 50, 80)))
    missing = torch.cat([outcomes, torch.full_like(outcomes, float("nan"))], dim=1)
    forecast = torch.tensor([10.0, 50.0, 90.0]).expand(101, 2, 3)
    assert pinball(forecast, missing, scale).item() == pytest.approx(best)


def test_neighbours_are_those_that_move_alike() -> None:
    """The grid zone that changes with it comes first; a stand-in or a patchy one never."""
    base = daily_wave("AA", 24 * 30, seed=1)
    values = base.gco2eq_per_kwh
    histories = {
        "AA": base,
        "LIKE": IntensityHistory(grid_zone="LIKE", start=START, gco2eq_per_kwh=values + 5),
        "NOISE": daily_wave("NOISE", 24 * 30, seed=9),
        "PATCHY": without(with_values(base, values), slice(0, 300)),
        "STANDIN": with_values(base, values),
    }
    table = tabulate(histories, list(histories))
    found = choose_neighbours(table, 2, never=("STANDIN",))
    assert found[0] == (1, 2)
    assert found[3] == found[4]
    assert set(found[3]) == {0, 1}


def test_the_scale_is_the_error_of_persistence() -> None:
    """Each grid zone's errors are divided by its mean change from day to day."""
    values = np.r_[np.full(24, 100.0), np.full(24, 130.0)]
    history = IntensityHistory(grid_zone="AA", start=START, gco2eq_per_kwh=values)
    assert persistence_error(tabulate({"AA": history}, ("AA",))).tolist() == [30]
    short = history.cut_before(START + 20 * HOUR)
    with pytest.raises(ValueError, match="two recorded days"):
        persistence_error(tabulate({"AA": short}, ("AA",)))
