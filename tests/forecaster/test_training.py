"""Laws of training; with tiny networks, since the laws do not depend on size."""

import dataclasses
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import torch
from intensity_worlds import START, TINY, daily_wave, two_grids, with_values, without

from forecaster.artifact import Manifest, sha256
from forecaster.batches import Faults, cut, damage, draw_batches, usable_origins
from forecaster.calibration import calibrate
from forecaster.lessons import neighbours_in, persistence_error
from forecaster.linear_path import LinearPath
from forecaster.linear_start import fit_linear_path
from forecaster.loss import pinball
from forecaster.model import Member, Tcn, normalise, reverse
from forecaster.prediction import clocks_at, predict
from forecaster.series import HOUR, Basis, IntensityHistory
from forecaster.training import TrainingSettings, total_steps, train
from forecaster.windows import Table, tabulate

SHORT = TrainingSettings(
    begin=START,
    end=START + timedelta(days=30),
    steps=6,
    batch_size=4,
    calibration_days=0,
    never_neighbours=(),
)


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
    """Where every other day is dirtier, the members learn it, who began with the days' mean."""
    dirtier = 60 * (np.arange(24 * 60) // 24 % 2)
    waves = {zone: daily_wave(zone, 24 * 60, seed=i) for i, zone in enumerate(("AA", "BB"))}
    histories = {
        zone: with_values(wave, wave.gco2eq_per_kwh + dirtier) for zone, wave in waves.items()
    }
    settings = dataclasses.replace(
        SHORT,
        end=START + timedelta(days=60),
        steps=60,
        batch_size=16,
        learning_rate=5e-3,
        average_decay=0.9,
    )
    begun, first = trained(histories, dataclasses.replace(settings, steps=1))
    weights, manifest = trained(histories, settings)
    assert error_of(weights, manifest, histories) < 0.85 * error_of(begun, first, histories)
    assert manifest.scale_gco2eq_per_kwh == first.scale_gco2eq_per_kwh


def error_of(
    weights: dict[str, torch.Tensor], manifest: Manifest, histories: dict[str, IntensityHistory]
) -> float:
    """Return the mean absolute error of the members, without the linear path, over all windows."""
    model = Tcn(manifest.model).eval()
    model.load_state_dict(weights)
    table = tabulate(histories, manifest.grid_zones)
    windows = cut(table, usable_origins(table, TINY), config=TINY)
    normal = normalise(torch.from_numpy(windows.recorded_bzl))
    with torch.no_grad():
        each = model.each_member(normal, clocks_at(windows.epoch_hours, TINY))
    found = reverse(each.mean(0), normal).numpy()
    return float(np.abs(found[..., 1] - windows.targets_bzh).mean())


def test_each_step_is_reported() -> None:
    """A progress bar hears of every optimizer step."""
    steps: list[int] = []
    settings = dataclasses.replace(SHORT, calibration_days=6)
    train(two_grids(24 * 30), settings=settings, config=TINY, on_step=steps.append)
    assert steps == list(range(1, total_steps(settings) + 1)) == list(range(1, 13))


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


def test_a_window_ends_where_its_target_begins() -> None:
    """Targets are the hours that follow the window, of the same grid zone."""
    table = table_of(24 * 10)
    windows = cut(table, np.array([100, 101]), config=TINY)
    values = table.gco2eq_per_kwh
    np.testing.assert_array_equal(windows.recorded_bzl[0], values[:, 52:100])
    np.testing.assert_array_equal(windows.targets_bzh[1], values[:, 101:125])
    first = int((START - datetime(1970, 1, 1, tzinfo=UTC)) / HOUR)
    assert windows.epoch_hours.tolist() == [first + 100, first + 101]


def test_origins_have_a_whole_lookback_and_horizon() -> None:
    """The first origin is a lookback after the begin, the last a horizon before the end."""
    origins = usable_origins(table_of(24 * 10), TINY)
    assert (origins[0], origins[-1]) == (48, 240 - 24)


def test_faults_only_remove() -> None:
    """Damage removes values and makes none; of what is left too short nothing is learnt."""
    table = table_of(24 * 30)
    windows = cut(table, np.arange(48, 600), config=TINY)
    every = Faults(short=0.5, late=0.5, gap=0.5, lost=0.5)
    damaged = damage(windows, every, rng=np.random.default_rng(0))
    left = np.isfinite(damaged.recorded_bzl)
    np.testing.assert_array_equal(damaged.recorded_bzl[left], windows.recorded_bzl[left])
    lost = ~left.any(axis=2)
    assert 0.1 < lost.mean() < 0.5
    assert np.isnan(damaged.targets_bzh[lost]).all()
    assert (~left[..., -1]).mean() > 0.3
    learnt = np.isfinite(damaged.targets_bzh).any(axis=2)
    np.testing.assert_array_equal(learnt, left[..., -24:].sum(axis=2) >= 12)
    never = Faults(short=0, late=0, gap=0, lost=0)
    whole = damage(windows, never, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(whole.recorded_bzl, windows.recorded_bzl)
    np.testing.assert_array_equal(whole.targets_bzh, windows.targets_bzh)


def test_batches_repeat_with_their_seed() -> None:
    """The stream of batches is a function of the seed."""

    def first(seed: int) -> bytes:
        stream = draw_batches(
            table_of(24 * 20), config=TINY, faults=Faults(), batch_size=4, seed=seed
        )
        return next(stream).recorded_bzl.tobytes()

    assert first(0) == first(0) != first(1)


def test_the_linear_path_withstands_wild_days() -> None:
    """A few days five times too high hardly move the fit of all others."""
    config = dataclasses.replace(TINY, neighbours=())
    histories = {zone: daily_wave(zone, 24 * 120, seed=i) for i, zone in enumerate(("AA", "BB"))}
    wild = histories["AA"].gco2eq_per_kwh.copy()
    wild[24 * 50 : 24 * 53] += 1500
    spoilt = histories | {"AA": with_values(histories["AA"], wild)}
    errors = []
    for given in (histories, spoilt):
        model = Tcn(config)
        fit_linear_path(path_of(model), tabulate(given, ("AA", "BB")), config)
        errors.append(linear_error(model, tabulate(histories, ("AA", "BB"))))
    assert errors[0] < 9
    assert errors[1] < 1.5 * errors[0]


def path_of(model: Tcn) -> LinearPath:
    """Return the linear path for a whole lookback."""
    path = model.linear[-1]
    assert isinstance(path, LinearPath)
    return path


def linear_error(model: Tcn, table: Table) -> float:
    """Return the mean absolute error of the linear path alone for AA, gCO2eq/kWh."""
    windows = cut(table, usable_origins(table, model.config), config=model.config)
    normal = normalise(torch.from_numpy(windows.recorded_bzl))
    clock = clocks_at(windows.epoch_hours, model.config).origin_bf
    with torch.no_grad():
        found = path_of(model)(normal.values_bzl, normal.known_bz, clock)
    ahead = found * normal.spread_bz[..., None] + normal.mean_bz[..., None]
    return float((ahead - torch.from_numpy(windows.targets_bzh))[:, 0].abs().mean())


def test_calibrated_intervals_hold_their_share() -> None:
    """On held-out hours four fifths of the outcomes are within, from a short history, too."""
    torch.manual_seed(0)
    model = Tcn(TINY).eval()
    table = table_of(24 * 60)
    windows = cut(table, np.arange(24 * 20, 24 * 59), config=TINY)

    def coverage(hours: int = 48) -> float:
        recorded = windows.recorded_bzl.copy()
        recorded[..., : 48 - hours] = np.nan
        found = predict(model, recorded, windows.epoch_hours)
        within = (found[..., 0] <= windows.targets_bzh) & (windows.targets_bzh <= found[..., 2])
        return float(within.mean())

    for member in model.members:
        assert isinstance(member, Member)
        last = member.to_quantiles[-1]
        assert isinstance(last, torch.nn.Linear)
        with torch.no_grad():
            last.bias[1:] -= 2.0
    assert coverage() < 0.7
    calibrate(model, table, hours=24 * 40)
    assert coverage() == pytest.approx(0.8, abs=0.03)
    assert coverage(24) == pytest.approx(0.8, abs=0.03)


def test_the_loss_is_least_at_the_quantiles() -> None:
    """Pinball loss pulls each output to its own quantile, and missing targets do not count."""
    outcomes = torch.arange(0, 101, dtype=torch.float32)[:, None, None]
    scale = torch.ones(1)

    def loss(low: float, mid: float, high: float) -> float:
        forecast = torch.tensor([low, mid, high]).expand(101, 1, 1, 3)
        return pinball(forecast, outcomes, scale).item()

    best = loss(10, 50, 90)
    assert all(best < worse for worse in (loss(5, 50, 90), loss(10, 60, 90), loss(10, 50, 80)))
    missing = torch.cat([outcomes, torch.full_like(outcomes, float("nan"))], dim=2)
    forecast = torch.tensor([10.0, 50.0, 90.0]).expand(101, 1, 2, 3)
    assert pinball(forecast, missing, scale).item() == pytest.approx(best)


def test_neighbours_are_recorded_and_no_stand_ins() -> None:
    """A grid zone that is mostly missing, or stands in for another, informs nobody."""
    base = daily_wave("AA", 24 * 30, seed=1)
    values = base.gco2eq_per_kwh
    histories = {
        "AA": base,
        "BB": daily_wave("BB", 24 * 30, seed=9),
        "PATCHY": without(with_values(base, values), slice(0, 300)),
        "STANDIN": with_values(base, values),
    }
    assert neighbours_in(tabulate(histories, list(histories)), never=("STANDIN",)) == (0, 1)


def test_the_scale_is_the_error_of_persistence() -> None:
    """Each grid zone's errors are divided by its mean change from day to day."""
    values = np.r_[np.full(24, 100.0), np.full(24, 130.0)]
    history = IntensityHistory(grid_zone="AA", start=START, gco2eq_per_kwh=values)
    assert persistence_error(tabulate({"AA": history}, ("AA",))).tolist() == [30]
    short = history.cut_before(START + 20 * HOUR)
    with pytest.raises(ValueError, match="two recorded days"):
        persistence_error(tabulate({"AA": short}, ("AA",)))
