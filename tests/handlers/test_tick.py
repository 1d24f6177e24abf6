"""The tick: recording, forecasting, planning and settling, one part at a time."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from control_plane import World
from sample_jobs import job, steps_of
from simulated_clock import START

from forecaster.series import Forecast, IntensityDay
from functions.domain.accounting.document import Receipt
from functions.domain.lifecycle.state import Block
from functions.domain.lifecycle.timing import Timing
from functions.domain.plan.document import Plan, Policy
from functions.domain.regions import GRID_ZONES
from functions.errors import InvalidInputError
from functions.handlers.documents import Documents
from functions.handlers.record import known_hours, record_all
from functions.handlers.submit import submit
from functions.handlers.tick import tick
from vm_runtime.contract import object_names
from vm_runtime.contract.job import Job


@pytest.fixture
def world() -> World:
    """A world with one job, before its first tick."""
    world = World()
    world.submit(job(), steps_of(job()))
    return world


def contents(world: World) -> dict[str, bytes]:
    """Return every object in the bucket."""
    return {info.name: world.store.read(info.name).data for info in world.store.list("")}


def plan_of(world: World, job_id: str = "digits") -> Plan:
    """Return the plan in force."""
    plan_id = world.state(job_id).plan_id
    assert plan_id is not None
    return Documents(world.store).get(Plan, object_names.plan(job_id, plan_id))


def test_a_tick_stores_hours_forecast_plan_and_publishes(world: World) -> None:
    """From tick to message: everything that design 4 names is in the bucket."""
    result = tick(world.ports, Timing())

    names = set(contents(world))
    assert result.planned == 1
    assert object_names.forecast(START) in names
    assert object_names.intensity("DE", START.date() - timedelta(days=1)) in names
    assert {delivery.message.plan for delivery in world.backlog} == {plan_of(world)}
    assert world.boundary is not None
    assert world.boundary > world.clock.now()


def test_a_repeated_tick_changes_nothing(world: World) -> None:
    """Cloud Scheduler may fire twice: same bytes, same `seq`."""
    tick(world.ports, Timing())
    before = contents(world)

    tick(world.ports, Timing())

    assert contents(world) == before
    assert world.state("digits").seq == 1


def test_a_grid_zone_without_recent_data_is_left_out_and_named(world: World) -> None:
    """Missing data are never clean: the zone is no candidate, and the plan says so."""
    world.grid.silent.add("FR")

    tick(world.ports, Timing())

    forecast = Documents(world.store).get(Forecast, object_names.forecast(START))
    assert "FR" in {each.grid_zone for each in forecast.left_out}
    plan = plan_of(world)
    assert [each.grid_zone for each in plan.left_out] == ["FR"]
    assert "no recorded hour" in plan.left_out[0].reason
    assert "FR" not in {interval.grid_zone for interval in plan.intervals}


def test_a_job_whose_regions_all_lack_data_does_not_keep_others_from_their_plan(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """It is named in the log; the other job is planned."""
    world.grid.silent.add("PL")
    world.submit(job("polish", allowed_regions=("europe-central2",)), 10)

    result = tick(world.ports, Timing())

    assert (result.planned, result.failed) == (1, 1)
    assert "PL" in caplog.text
    assert world.state("polish").plan_id is None


def test_a_stored_hour_still_serves_when_the_source_fails_later(world: World) -> None:
    """Lookback grows beyond what the source gives, and outlives its outages."""
    tick(world.ports, Timing())
    world.grid.silent.update({"DE", "FR"})
    world.clock.advance(3600)

    tick(world.ports, Timing())

    assert plan_of(world).left_out == ()


def test_a_revised_hour_replaces_the_estimate(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Publishers revise: the later value of an hour counts."""
    tick(world.ports, Timing())
    hour = START - timedelta(hours=1)
    monkeypatch.setattr(world.grid, "value", lambda *_: 123.0)
    world.clock.advance(3600)

    tick(world.ports, Timing())

    known = known_hours(world.ports, "DE", hour, START)
    assert [each.gco2eq_per_kwh for each in known] == [123.0]


def test_two_sources_are_never_mixed_in_one_series(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Sources differ in level: the second one is refused, with what to do."""
    tick(world.ports, Timing())
    stored = contents(world)
    name = object_names.intensity("DE", START.date() - timedelta(days=1))
    monkeypatch.setattr(world.grid, "name", "another source")
    world.clock.advance(3600)

    tick(world.ports, Timing())

    assert contents(world)[name] == stored[name]
    assert "another source" in caplog.text
    assert Documents(world.store).get(IntensityDay, name).source == "simulated waves"


def test_after_a_change_of_source_only_the_new_one_s_hours_are_forecast_from(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No zone is lost for a day, and no hour of the old source is among the new one's."""
    world.clock.advance(5 * 3600)
    record_all(world.ports, GRID_ZONES, world.clock.now())
    monkeypatch.setattr(world.grid, "name", "another source")
    monkeypatch.setattr(world.grid, "value", lambda *_: 123.0)
    world.clock.advance(3600)

    histories, left_out = record_all(world.ports, GRID_ZONES, world.clock.now())

    assert not left_out
    assert set(histories) == set(GRID_ZONES)
    values = histories["DE"].gco2eq_per_kwh
    assert set(values[np.isfinite(values)]) == {123.0}

    # The next day: its hours are in a file, those of the day before still are not.
    world.clock.advance(24 * 3600)
    record_all(world.ports, GRID_ZONES, world.clock.now())
    histories, _ = record_all(world.ports, GRID_ZONES, world.clock.now())

    fetched = world.grid.recent_hours("DE", world.clock.now())
    known = histories["DE"].window(fetched[0].start, len(fetched))
    np.testing.assert_array_equal(known, [123.0] * len(fetched))


def test_the_receipt_is_written_when_all_is_known(world: World) -> None:
    """After the last VM is gone and the last hour is published; it names its baselines."""
    world.run(world.is_over, at_most_h=40)
    tick(world.ports, Timing())
    receipt = Documents(world.store).get(Receipt, object_names.receipt("digits"))
    assert not receipt.complete
    assert not world.state("digits").settled

    world.clock.advance(3600)
    tick(world.ports, Timing())

    receipt = Documents(world.store).get(Receipt, object_names.receipt("digits"))
    assert receipt.complete
    assert not world.state("digits").settled, "cleaner hours may come before the deadline"
    assert {Policy.RUN_NOW_HERE, Policy.BEST_FIXED_REGION} <= {b.policy for b in receipt.baselines}
    assert receipt.emissions_gco2eq == pytest.approx(
        sum(hour.energy_kwh * hour.gco2eq_per_kwh for hour in receipt.hours)
    )
    assert receipt.overhead_kwh > 0


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"allowed_regions": ("europe-west33",)}, "did you mean europe-west3"),
        ({"machine_type": "z9-standard-8"}, "machine_type"),
        ({"work_h": 100.0}, "work_h"),
        ({"script": "other.py"}, r"script: expected 'other\.py'"),
    ],
)
def test_a_job_that_cannot_run_is_refused_and_leaves_nothing(
    changes: dict[str, object], expected: str
) -> None:
    """One clear error where the person submits; the bucket stays as it was."""
    world = World()
    bad: Job = replace(job(), **changes)

    with pytest.raises(InvalidInputError, match=expected):
        submit(world.store, world, bad, {"train.py": b""})

    assert contents(world) == {}


def test_a_taken_job_id_is_refused_and_the_first_job_is_unharmed(world: World) -> None:
    """Submitting is not overwriting."""
    before = contents(world)

    with pytest.raises(InvalidInputError, match="job_id"):
        submit(world.store, world, job(), {"train.py": b"other"})

    assert contents(world) == before


def test_a_submission_that_was_cut_off_can_be_repeated() -> None:
    """Without a state nothing runs the job; the second try completes it."""
    world = World()
    world.store.write(object_names.job("digits"), b"{half")

    submit(world.store, world, job(), {"train.py": b""})

    assert world.state("digits").seq == 0


def test_the_planner_is_told_what_is_blocked(world: World) -> None:
    """A region without quota is no place to make a VM in, until the block has run out."""
    tick(world.ports, Timing())
    region = plan_of(world).intervals[0].compute_zone.rpartition("-")[0]
    block = Block(place=region, until=START + timedelta(hours=2), reason="no quota")
    state = replace(world.state("digits"), blocked=(block,))
    Documents(world.store).write(object_names.state("digits"), state)
    world.clock.advance(3600)

    tick(world.ports, Timing())

    assert region not in {i.compute_zone.rpartition("-")[0] for i in plan_of(world).intervals}


def test_a_receipt_that_never_becomes_whole_is_left_as_it_is_in_the_end(world: World) -> None:
    """Three days after the end nobody waits for a publisher any more."""
    world.run(world.is_over, at_most_h=40)
    world.grid.silent = set(GRID_ZONES)
    world.clock.advance(3600)
    tick(world.ports, Timing())
    assert not world.state("digits").settled

    world.clock.advance(4 * 24 * 3600)
    tick(world.ports, Timing())

    assert world.state("digits").settled
    receipt = Documents(world.store).get(Receipt, object_names.receipt("digits"))
    assert receipt.missing_hours > 0
