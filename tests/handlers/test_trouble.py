"""What else goes wrong around the control plane: rights, people, services, broken documents."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from control_plane import Chaos, World
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_jobs import REGIONS, SHORT, job, steps_of
from simulated_clock import START
from simulated_guest import Guest

from forecaster.series import IntensityDay
from functions.domain.lifecycle.state import Phase
from functions.domain.lifecycle.timing import Timing
from functions.domain.lifecycle.vm import Operation, VmSpec, VmStatus
from functions.domain.plan.document import Plan
from functions.domain.regions import GRID_ZONES
from functions.errors import InvalidInputError, PermissionDeniedError, UnavailableError
from functions.handlers.documents import Documents
from functions.handlers.record import known_hours
from functions.handlers.submit import submit
from functions.handlers.tick import tick
from functions.wire import decode_wake_up
from vm_runtime.contract import object_names
from vm_runtime.contract.checkpoint import Latest
from vm_runtime.contract.codec import encode
from vm_runtime.contract.ledger import VmLifetime
from vm_runtime.contract.progress import Progress, RunState

ALL = Chaos(
    duplicate=0.3,
    drop=0.2,
    delay_s=120,
    shuffle=True,
    preempt=0.002,
    crash=0.03,
    unavailable=0.03,
    outage=0.003,
    deleted=0.001,
    refused=0.1,
    stale=0.02,
    skew_s=5,
)
"""Everything at once."""


def denied(*_: object, **__: object) -> None:
    """Answer as Compute Engine does without the right."""
    raise PermissionDeniedError("expected roles/compute.instanceAdmin.v1, found none. Grant it.")


def begun(**changes: object) -> World:
    """Return a world in which the first VM of a short job trains."""
    world = World()
    world.submit(job(**SHORT, **changes), steps_of(job(**SHORT)))
    world.run(lambda: any(g.may_train for g in world.guests.values()), at_most_h=30)
    return world


def for_hours(world: World, hours: float) -> None:
    """Let so much time go by."""
    end = world.clock.now() + timedelta(hours=hours)
    world.run(lambda: world.clock.now() >= end, at_most_h=hours + 1)


def report(world: World, state: RunState, steps_done: int) -> None:
    """Write a report of a VM that is not there."""
    said = Progress(
        job_id="digits",
        vm="ss-digits-0",
        incarnation=0,
        state=state,
        heartbeat_at=START,
        steps_done=steps_done,
        steps_total=steps_of(job(**SHORT)),
        seconds_per_step=10.0,
    )
    world.store.write(object_names.progress("digits"), encode(said))


@settings(max_examples=8)
@given(seed=st.integers(0, 2**32 - 1), late_h=st.floats(0, 6))
def test_whatever_goes_wrong_every_job_ends(seed: int, late_h: float) -> None:
    """Promises 1 to 4, with services away, people at work, skewed clocks and old messages too."""
    world = World(seed=seed, chaos=ALL)
    world.fleet.faults.taken = {"ss-digits-2"}
    world.submit(job(**SHORT), steps_of(job(**SHORT)))
    for_hours(world, late_h)
    now = world.clock.now()
    second = job("second", work_h=2.0, submitted_at=now, deadline=now + timedelta(hours=8))
    world.submit(second, steps_of(second))

    world.run(world.is_over, at_most_h=200)

    for job_id in ("digits", "second"):
        latest = Documents(world.store).get(Latest, object_names.latest(job_id))
        assert (world.state(job_id).phase, latest.finished) == (Phase.FINISHED, True)


@pytest.mark.parametrize("call", ["insert", "delete", "set_interval_end"])
def test_a_missing_right_fails_the_job_and_says_which(
    call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Design 6: a message a person can act on, which stays although the target is given up."""
    world = World()
    monkeypatch.setattr(world.fleet, call, denied)
    world.submit(job(), steps_of(job()))

    world.run(lambda: world.state("digits").phase.is_final, at_most_h=40)
    for_hours(world, 1)

    state = world.state("digits")
    assert (state.phase, state.target if call == "insert" else None) == (Phase.FAILED, None)
    assert "instanceAdmin" in state.message


def test_a_name_that_somebody_else_has_is_passed_over() -> None:
    """A VM without our label is never touched; the job takes its next name."""
    world = World()
    world.fleet.faults.taken = {"ss-digits-1"}
    world.submit(job(**SHORT), steps_of(job(**SHORT)))

    world.run(world.is_over, at_most_h=20)

    assert world.state("digits").phase is Phase.FINISHED
    assert "ss-digits-1" not in world.fleet.specs


def test_vms_that_never_show_up_do_not_make_a_hot_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each try waits longer; after `max_fruitless_vms` the job fails with a message."""
    world = World()
    asked = []

    def insert(spec: VmSpec, *, request_id: str) -> Operation:
        asked.append(request_id)
        return Operation(name="gone", compute_zone=spec.compute_zone, done=True)

    monkeypatch.setattr(world.fleet, "insert", insert)
    world.submit(job(), steps_of(job()))

    world.run(world.is_over, at_most_h=40)

    assert world.state("digits").phase is Phase.FAILED
    assert len(asked) <= Timing().max_fruitless_vms


@pytest.mark.parametrize("powers_off", [True, False], ids=["powers-off", "hangs"])
def test_guests_that_never_report_are_few(
    powers_off: bool,  # noqa: FBT001  pytest's
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A startup that cannot install the runtime powers off, or hangs: no VM for ever."""
    monkeypatch.setattr(Guest, "turn", lambda *_: not powers_off)
    world = World()
    world.submit(job(), steps_of(job()))

    world.run(world.is_over, at_most_h=60)

    state = world.state("digits")
    assert state.phase is Phase.FAILED
    assert "made no new checkpoint" in state.message
    assert "serial console" in state.message
    assert state.fruitless_vms == Timing().max_fruitless_vms
    # One or two more: what a new plan calls off before it can train is not held against it.
    assert state.incarnation <= Timing().max_fruitless_vms + 2


def test_a_vm_that_compute_engine_refuses_to_make_ends_in_its_own_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A malformed insert would be refused for ever: the job fails, and says what was said."""

    def insert(*_: object, **__: object) -> Operation:
        raise InvalidInputError("machine type e2-standard-8: expected another disk")

    world = World()
    monkeypatch.setattr(world.fleet, "insert", insert)
    world.submit(job(), steps_of(job()))

    world.run(world.is_over, at_most_h=40)

    state = world.state("digits")
    assert state.phase is Phase.FAILED
    assert "expected another disk" in state.message


def test_a_vm_that_a_person_deletes_is_replaced_and_costs_no_patience() -> None:
    """What it had committed counts: it was not fruitless."""
    world = begun()
    world.run(lambda: world.latest_steps.get("digits", 0) > 0, at_most_h=5)
    world.fleet.delete(world.fleet.vms["ss-digits-1"], request_id="by hand")

    world.run(lambda: world.state("digits").incarnation > 1, at_most_h=1)

    assert world.state("digits").fruitless_vms == 0
    world.run(world.is_over, at_most_h=20)


def delete_all(world: World) -> None:
    """Do what a person does who wants to be rid of a job."""
    for info in world.store.list(object_names.job_folder("digits")):
        world.store.delete(info.name)


def spoil_job(world: World) -> None:
    """Edit the job document by hand."""
    world.store.write(object_names.job("digits"), b'{"schema_version": 99}')


def spoil_state(world: World) -> None:
    """Edit the state by hand."""
    world.store.write(object_names.state("digits"), b"{")


@pytest.mark.parametrize("harm", [delete_all, spoil_job, spoil_state])
def test_no_vm_burns_on_though_its_job_cannot_be_read(harm: Callable[[World], None]) -> None:
    """Promise 4 needs no document: a hung VM is stopped by force at its interval's end.

    One whose job is not in the bucket at all is deleted later.
    """
    world = begun()
    harm(world)
    next(iter(world.guests.values())).is_stalled = True

    for_hours(world, 10)

    left = set() if harm is delete_all else {VmStatus.TERMINATED}
    assert {vm.status for vm in world.fleet.vms.values()} == left


def test_a_source_that_is_silent_for_a_day_holds_nobody_up() -> None:
    """Recorded hours serve for seven days; a job submitted meanwhile is planned too."""
    world = begun()
    world.grid.silent = set(GRID_ZONES)
    second = job("second", submitted_at=world.clock.now(), deadline=None, work_h=2.0)
    world.submit(second, steps_of(second))

    world.run(world.is_over, at_most_h=24)

    assert {world.state(each).phase for each in ("digits", "second")} == {Phase.FINISHED}


def test_a_spoilt_intensity_document_harms_its_own_day_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is named in the log; every zone's other hours and every job's plan go on."""
    world = World()
    world.submit(job(), 10)
    tick(world.ports, Timing())
    name = object_names.intensity("DE", START.date() - timedelta(days=1))
    world.store.write(name, b"{bad")
    world.clock.advance(3600)

    result = tick(world.ports, Timing())

    assert (result.planned, result.failed) == (1, 0)
    assert name in caplog.text
    assert world.store.read(name).data == b"{bad"
    today = object_names.intensity("DE", START.date())
    assert Documents(world.store).get(IntensityDay, today).hours


def test_a_spoilt_forecast_is_made_anew_and_left_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    """It does not cost all jobs an hour; and it may be a newer version's."""
    world = World()
    world.submit(job(), 10)
    name = object_names.forecast(START)
    world.store.write(name, b'{"schema_version": 9}')

    assert tick(world.ports, Timing()).planned == 1

    assert world.store.read(name).data == b'{"schema_version": 9}'
    assert name in caplog.text


def test_two_sources_are_not_mixed_days_later_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the second source has its own days, those of the first one count no more."""
    world = World()
    world.submit(job(), 10)
    tick(world.ports, Timing())
    monkeypatch.setattr(world.grid, "name", "another source")
    for _ in range(30):
        world.clock.advance(3600)
        tick(world.ports, Timing())

    hours = known_hours(world.ports, "DE", START - timedelta(days=2), world.clock.now())

    days = {hour.start.date() for hour in hours}
    sources = {
        Documents(world.store).get(IntensityDay, object_names.intensity("DE", day)).source
        for day in days
    }
    assert sources == {"another source"}


def test_a_job_whose_receipt_cannot_be_made_keeps_no_other_from_its_plan(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Edited by hand after it ran: named in the log, and the next job is planned."""
    world = World()
    world.submit(job(**SHORT), steps_of(job(**SHORT)))
    world.run(world.is_over, at_most_h=20)
    spoilt = replace(job(**SHORT), allowed_regions=("mars-west1",))
    world.store.write(object_names.job("digits"), encode(spoilt))
    world.submit(job("second", submitted_at=world.clock.now(), deadline=None), 10)

    result = tick(world.ports, Timing())

    assert (result.planned, result.failed) == (1, 1)
    assert "mars-west1" in caplog.text


def test_a_job_that_nobody_foresaw_harms_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """Its work overflows the calendar; that is logged with its stack, and the other job runs."""
    world = World()
    world.submit(job("broken"), 10)
    absurd = job("broken", work_h=1e12, deadline=None)
    world.store.write(object_names.job("broken"), encode(absurd))
    world.submit(job("sound", **SHORT), steps_of(job(**SHORT)))

    world.run(lambda: world.state("sound").phase is Phase.FINISHED, at_most_h=20)

    assert "job broken could not be planned" in caplog.text


def test_a_step_that_nobody_foresaw_harms_no_other(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An adapter's own mistake with one job's VM: logged with its stack, and the other runs."""
    world = World()
    real = world.fleet.insert

    def insert(spec: VmSpec, *, request_id: str) -> Operation:
        if "broken" in spec.name:
            raise ZeroDivisionError
        return real(spec, request_id=request_id)

    monkeypatch.setattr(world.fleet, "insert", insert)
    world.submit(job("broken", **SHORT), 10)
    world.submit(job("sound", **SHORT), steps_of(job(**SHORT)))

    world.run(lambda: world.state("sound").phase is Phase.FINISHED, at_most_h=20)

    assert "job broken: no step could be taken" in caplog.text


def test_a_report_of_being_finished_without_a_checkpoint_stops_nothing() -> None:
    """Only LATEST says that a job is done; until then there is work to plan."""
    world = World()
    world.submit(job(**SHORT), steps_of(job(**SHORT)))
    report(world, RunState.FINISHED, steps_of(job(**SHORT)))

    world.run(world.is_over, at_most_h=20)

    assert world.state("digits").phase is Phase.FINISHED


def test_steps_that_died_with_their_vm_are_planned_again() -> None:
    """A report runs ahead of the checkpoint: what is not committed is work left."""
    world = World()
    world.submit(job(**SHORT), steps_of(job(**SHORT)))
    report(world, RunState.TRAINING, steps_of(job(**SHORT)) - 1)

    tick(world.ports, Timing())

    plan_id = world.state("digits").plan_id
    assert plan_id is not None
    plan = Documents(world.store).get(Plan, object_names.plan("digits", plan_id))
    assert plan.work_left_h == pytest.approx(2.0)


def test_a_submission_counts_though_the_tick_cannot_be_triggered(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The job is in, and a second try would find its id taken: say so and go on."""

    def away() -> None:
        raise UnavailableError("503")

    world = World()
    monkeypatch.setattr(world, "tick_now", away)

    submit(world.store, world, job(), {"train.py": b""})

    assert world.state("digits").phase is Phase.ACTIVE
    assert "planned at the next full hour" in caplog.text


def test_work_of_absurd_length_is_refused() -> None:
    """A slip of the keyboard must not overflow the calendar at every tick."""
    world = World()

    with pytest.raises(InvalidInputError, match="at most 87600 h"):
        submit(world.store, world, job(work_h=1e12, deadline=None), {"train.py": b""})


def test_compute_engine_is_never_asked_for_more_than_it_takes() -> None:
    """`max_run_duration` is at most 120 days, however far away the deadline is."""
    world = World()
    far = START.replace(year=9999, month=12, day=31)
    world.submit(job(deadline=far, allowed_regions=REGIONS[:1]), steps_of(job()))

    world.run(lambda: bool(world.fleet.specs), at_most_h=200)

    (spec,) = world.fleet.specs.values()
    assert spec.max_run_duration_s == 120 * 24 * 3600


def test_a_lifetime_whose_end_is_not_known_is_bounded_by_compute_engine() -> None:
    """Hours in which nobody looked are not booked: it was down by `run_until` at the latest."""
    world = begun()
    world.is_control_plane_down = True
    world.run(
        lambda: {vm.status for vm in world.fleet.vms.values()} == {VmStatus.TERMINATED},
        at_most_h=20,
    )
    (vm,) = world.fleet.vms.values()
    bound = vm.created_at + timedelta(hours=2)
    world.fleet.vms[vm.name] = replace(vm, terminated_at=None, run_until=bound)
    for_hours(world, 12)
    world.is_control_plane_down = False

    world.run(lambda: vm.name not in world.fleet.vms, at_most_h=1)

    name = object_names.vm_lifetime("digits", vm.incarnation)
    assert Documents(world.store).get(VmLifetime, name).terminated_at == bound


def test_a_message_nested_without_end_is_refused_like_any_malformed_one() -> None:
    """It would come again for ever if it crashed the function."""
    with pytest.raises(InvalidInputError, match="expected JSON"):
        decode_wake_up(b"[" * 200_000)


def test_a_vm_whose_making_nobody_noted_is_not_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its insert was never answered and a person deleted it: the next VM has another name."""
    world = World()
    real, ids = world.fleet.insert, []

    def insert(spec: VmSpec, *, request_id: str) -> Operation:
        if spec.name == "ss-digits-1":
            ids.append(request_id)
        operation = real(spec, request_id=request_id)
        if ids == [request_id]:
            raise UnavailableError("504, but it was done")
        return operation

    monkeypatch.setattr(world.fleet, "insert", insert)
    world.submit(job(**SHORT), steps_of(job(**SHORT)))
    world.run(lambda: "ss-digits-1" in world.fleet.vms, at_most_h=8)
    for_hours(world, 0.5)
    world.fleet.delete(world.fleet.vms["ss-digits-1"], request_id="by hand")

    world.run(world.is_over, at_most_h=20)

    assert len(ids) > 1
    assert len(set(ids)) == 1
    assert world.state("digits").phase is Phase.FINISHED
