"""Pause, resume, cancel and retry in the simulated world: what each does, and what it costs."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from control_plane import Chaos, World
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_jobs import REGIONS, SHORT, job, steps_of
from simulated_clock import START

from functions.domain.accounting.document import Receipt
from functions.domain.lifecycle.actions import Owner
from functions.domain.lifecycle.state import Block, Phase, Verb
from functions.domain.lifecycle.timing import Timing
from functions.domain.plan.document import Plan
from functions.errors import InvalidInputError, UnavailableError
from functions.handlers.documents import Documents
from functions.handlers.reconcile import reconcile
from functions.handlers.settle import write_receipt
from functions.handlers.tick import tick
from functions.wire import WakeUp, WakeUpKind
from vm_runtime.contract import object_names
from vm_runtime.contract.checkpoint import Latest
from vm_runtime.contract.job import Job
from vm_runtime.contract.ledger import LedgerEntry
from vm_runtime.contract.progress import Progress, RunState

SOON_H = 0.35
"""To stop a VM from the wish on: heartbeat, checkpoint, power-off, removal; forced if need be."""


def training(world: World) -> World:
    """Let time pass until a VM trains and has a checkpoint."""
    world.run(lambda: any(guest.may_train for guest in world.guests.values()), at_most_h=30)
    world.run(lambda: step(world) > 0, at_most_h=5)
    return world


def step(world: World) -> int:
    """Return the step of the latest checkpoint."""
    latest = Documents(world.store).peek(Latest, object_names.latest("digits"))
    return latest.step if latest else 0


@pytest.fixture
def world() -> World:
    """A world in which a job of two hours trains and has a checkpoint."""
    world = World()
    world.submit(job(**SHORT), steps_of(job(**SHORT)))
    return training(world)


def rest(world: World) -> None:
    """Let time pass until no VM is left."""
    world.run(lambda: not world.fleet.vms, at_most_h=SOON_H)


def test_pause_stops_with_a_checkpoint_and_resume_goes_on_from_it(world: World) -> None:
    """Nothing that was done is lost; no VM while it rests; then it ends as it would have."""
    was = next(iter(world.guests.values())).step

    world.wish("digits", Verb.PAUSE)
    rest(world)
    kept, made = step(world), len(world.fleet.specs)
    world.run(lambda: world.clock.now() > START + timedelta(hours=5), at_most_h=6)

    assert kept >= was
    assert len(world.fleet.specs) == made
    assert world.state("digits").phase is Phase.PAUSED

    granted = world.wish("digits", Verb.RESUME)
    world.run(world.is_over, at_most_h=10)

    assert (granted.step, granted.late_h) == (kept, None)
    assert world.state("digits").phase is Phase.FINISHED
    assert step(world) == steps_of(job(**SHORT))


def test_a_resumed_job_is_planned_and_made_a_vm_at_once(world: World) -> None:
    """Within a heartbeat and not at the next full hour, by the work and time that are left."""
    world.wish("digits", Verb.PAUSE)
    rest(world)
    world.run(lambda: world.clock.now() > START + timedelta(hours=5, minutes=10), at_most_h=6)
    made = len(world.fleet.specs)
    world.wish("digits", Verb.RESUME)
    resumed_at = world.clock.now()

    world.run(lambda: world.state("digits").plan_id is not None, at_most_h=0.11)

    plan_id = world.state("digits").plan_id
    plan = Documents(world.store).get(Plan, object_names.plan("digits", plan_id or ""))
    assert plan.created_at >= resumed_at
    assert plan.work_left_h == pytest.approx((steps_of(job(**SHORT)) - step(world)) * 10 / 3600)
    # Two of the three hours until the deadline are work.
    assert plan.intervals[0].start - resumed_at < timedelta(hours=1)
    world.run(lambda: len(world.fleet.specs) > made, at_most_h=1.5)


def test_a_resume_that_comes_too_late_for_the_deadline_says_so(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """And the job runs as soon as can be, to its end."""
    world.wish("digits", Verb.PAUSE)
    rest(world)
    world.run(lambda: world.clock.now() > START + timedelta(hours=7), at_most_h=8)

    granted = world.wish("digits", Verb.RESUME)
    assert granted.late_h is not None
    assert 0 < granted.late_h < 2
    world.run(world.is_over, at_most_h=4)

    assert "the deadline cannot be met" in caplog.text
    assert world.state("digits").phase is Phase.FINISHED


def test_resume_with_a_new_deadline_plans_by_it(world: World) -> None:
    """The old one is over; the job and its receipt know the new one, and the plan uses its room."""
    world.wish("digits", Verb.PAUSE)
    rest(world)
    world.run(lambda: world.clock.now() > START + timedelta(hours=7), at_most_h=8)
    later = world.clock.now() + timedelta(hours=12)

    granted = world.wish("digits", Verb.RESUME, deadline=later)
    world.run(world.is_over, at_most_h=13)
    tick(world.ports, Timing())

    assert granted.late_h is None
    documents = Documents(world.store)
    assert documents.get(Job, object_names.job("digits")).deadline == later
    receipt = documents.get(Receipt, object_names.receipt("digits"))
    assert (receipt.outcome, receipt.deadline) == (Phase.FINISHED, later)


def test_a_deadline_that_cannot_be_had_is_refused(world: World) -> None:
    """Of a job whose plan counts on its own one, or in the past; nothing is changed."""
    later = world.clock.now() + timedelta(hours=12)
    with pytest.raises(InvalidInputError, match="Pause it first"):
        world.wish("digits", Verb.RESUME, deadline=later)
    world.wish("digits", Verb.PAUSE)
    with pytest.raises(InvalidInputError, match="expected a time after now"):
        world.wish("digits", Verb.RESUME, deadline=world.clock.now())

    assert Documents(world.store).get(Job, object_names.job("digits")).deadline != later
    assert world.state("digits").phase is Phase.PAUSED


def test_a_plan_between_two_ticks_has_its_edges_aimed_at(world: World) -> None:
    """And those of the other jobs stay: forecast aims at all of them."""
    # No room: one interval, to be ended within the two hours that are looked at.
    until = START + timedelta(hours=6, minutes=40)
    work_h = (until - world.clock.now()) / timedelta(hours=1) - 0.1
    other = job("other", deadline=until, work_h=work_h, allowed_regions=REGIONS[:1])
    world.submit(other, steps_of(other))
    world.wish("digits", Verb.PAUSE)
    world.run(lambda: world.clock.now() > START + timedelta(hours=5, minutes=10), at_most_h=6)
    world.wish("digits", Verb.RESUME)
    world.run(lambda: world.state("digits").plan_id is not None, at_most_h=0.11)
    for _ in range(2):
        world.turn()

    now = world.clock.now()
    soon, others = (
        {edge for edge in edges_of(world, name) if now < edge <= now + timedelta(hours=2)}
        for name in ("digits", "other")
    )
    assert soon - others
    assert others
    assert soon | others <= {world.boundary, *world.boundaries}


def edges_of(world: World, job_id: str) -> set[datetime]:
    """Return when the job's plan starts and stops VMs."""
    name = object_names.plan(job_id, str(world.state(job_id).plan_id))
    plan = Documents(world.store).get(Plan, name)
    return {edge for each in plan.intervals for edge in (each.start, each.end)}


def test_a_scheduler_that_does_not_answer_keeps_no_job_from_its_plan(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The heartbeat finds the edges; the log says that they come some minutes late."""

    def away() -> None:
        raise UnavailableError("run projects/p/locations/l/jobs/forecast: no answer")

    monkeypatch.setattr(world, "tick_now", away)
    world.wish("digits", Verb.PAUSE)
    rest(world)
    world.wish("digits", Verb.RESUME)
    world.run(world.is_over, at_most_h=12)

    assert world.state("digits").phase is Phase.FINISHED
    assert "the next full hour aims the boundary job" in caplog.text


def test_resume_before_the_vm_has_gone_lets_it_train_on() -> None:
    """A wish that is taken back costs nothing: not even a start."""
    world = World()
    world.submit(job(**SHORT), steps_of(job(**SHORT)))
    training(world)
    made = len(world.fleet.specs)
    world.run(lambda: world.clock.now().minute % 5 == 1, at_most_h=1)  # between two heartbeats

    world.wish("digits", Verb.PAUSE)
    world.wish("digits", Verb.RESUME)
    world.run(lambda: step(world) > 300, at_most_h=2)

    assert len(world.fleet.specs) == made


def test_cancel_leaves_a_receipt_and_the_checkpoints_and_nothing_else(world: World) -> None:
    """What it emitted is told; what it cost is over."""
    world.wish("digits", Verb.CANCEL)
    rest(world)
    kept = step(world)
    world.run(lambda: world.clock.now().minute == 2, at_most_h=2)

    state = world.state("digits")
    receipt = Documents(world.store).get(Receipt, object_names.receipt("digits"))
    assert (state.phase, receipt.outcome) == (Phase.CANCELLED, Phase.CANCELLED)
    assert receipt.energy_kwh > 0
    assert receipt.steps == kept > 0
    assert world.store.list(object_names.checkpoints_folder("digits"))


def test_a_hung_vm_of_a_paused_job_is_stopped_by_force(world: World) -> None:
    """Grace, then force: a person who pauses does not pay for what does not listen."""
    next(iter(world.guests.values())).is_stalled = True

    world.wish("digits", Verb.PAUSE)
    rest(world)

    assert world.state("digits").phase is Phase.PAUSED


class Counted:
    """Passes calls through and notes which; all others than `allowed` fail."""

    def __init__(self, port: object, allowed: set[str]) -> None:
        """Note the calls of `port`."""
        self.port, self.allowed = port, allowed
        self.calls: list[tuple[str, tuple[object, ...]]] = []

    def __getattr__(self, name: str) -> object:
        """Return the method, noted."""
        if name not in self.allowed:
            pytest.fail(f"{name}: a call that costs")

        def call(*args: object, **kwargs: object) -> object:
            self.calls.append((name, args))
            return getattr(self.port, name)(*args, **kwargs)

        return call


@pytest.mark.parametrize("how", ["cancelled", "finished"])
def test_a_job_that_is_over_costs_one_list_call_and_one_look(world: World, how: str) -> None:
    """No VM, no disk; a function at its heartbeat reads its state and no more of it."""
    if how == "cancelled":
        world.wish("digits", Verb.CANCEL)
    world.run(lambda: world.state("digits").is_cleared and not world.fleet.vms, at_most_h=9)
    heartbeat = WakeUp(kind=WakeUpKind.HEARTBEAT)
    for owner in Owner:
        store, fleet = Counted(world.store, {"list", "read"}), Counted(world.fleet, {"list"})
        quiet = replace(world.ports, store=store, fleet=fleet, publisher=Counted(world, set()))

        reconcile(quiet, world.timing, owner, heartbeat)

        assert [name for name, _ in fleet.calls] == ["list"]
        read = [args for name, args in store.calls if name == "read"]
        assert read == [(object_names.state("digits"),)]


def failed() -> World:
    """Return a world whose job failed: its script achieves nothing."""
    world = World(chaos=Chaos(preempt=1.0))
    world.submit(job(), steps_of(job()))
    world.run(world.is_over, at_most_h=60)
    world.chaos.preempt = 0.0
    return world


def test_retry_goes_on_where_it_failed_with_a_clean_slate() -> None:
    """Tries, back-off and blocked places are forgotten; it ends."""
    world = failed()
    state = world.state("digits")
    name = object_names.state("digits")
    block = Block(place="europe-west3", until=START + timedelta(days=9), reason="full")
    Documents(world.store).write(name, replace(state, blocked=(block,)))
    assert "smartscheduler retry digits" in state.message

    granted = world.wish("digits", Verb.RETRY)
    state = world.state("digits")
    assert (state.fruitless_vms, state.not_before, state.blocked) == (0, None, ())
    world.run(world.is_over, at_most_h=40)

    assert granted.phase is Phase.ACTIVE
    assert world.state("digits").phase is Phase.FINISHED


def test_retry_forgets_how_often_the_script_failed(world: World) -> None:
    """Else the first report of the next VM would end the job again."""
    documents = Documents(world.store)
    name = object_names.progress("digits")
    report = documents.get(Progress, name)
    world.fleet.vms.clear()
    world.guests.clear()
    bad = replace(report, state=RunState.FAILED, failures_in_a_row=3, message="KeyError: 'x'")
    documents.write(name, bad)
    world.run(world.is_over, at_most_h=1)
    assert world.state("digits").phase is Phase.FAILED

    world.wish("digits", Verb.RETRY)
    after = documents.get(Progress, name)
    assert (after.failures_in_a_row, after.state, after.message) == (0, RunState.STOPPED, "")
    world.run(world.is_over, at_most_h=20)

    assert world.state("digits").phase is Phase.FINISHED


def test_the_receipt_of_a_cancelled_job_grows_when_it_is_retried(world: World) -> None:
    """All its VMs count in the end, whoever stopped the first ones."""
    world.wish("digits", Verb.CANCEL)
    rest(world)
    first = write_receipt(world.store, "digits", world.clock.now())
    world.wish("digits", Verb.RETRY)
    world.run(world.is_over, at_most_h=20)
    last = write_receipt(world.store, "digits", world.clock.now())

    assert (first.outcome, last.outcome) == (Phase.CANCELLED, Phase.FINISHED)
    assert last.energy_kwh > first.energy_kwh
    assert last.vms > first.vms


@pytest.mark.parametrize(
    ("verb", "message"),
    [(Verb.PAUSE, "finished"), (Verb.RESUME, "finished"), (Verb.RETRY, "finished")],
)
def test_a_wish_for_a_finished_job_is_refused(world: World, verb: Verb, message: str) -> None:
    """It says what it is, and changes nothing."""
    world.run(world.is_over, at_most_h=10)
    before = world.state("digits")

    with pytest.raises(InvalidInputError, match=message):
        world.wish("digits", verb)

    assert world.state("digits") == before


def test_a_typo_in_the_jobs_name_is_answered_with_the_likeliest(world: World) -> None:
    """Nor does a name become the path of an object that is none."""
    with pytest.raises(InvalidInputError, match="did you mean digits"):
        world.wish("digit", Verb.PAUSE)
    with pytest.raises(InvalidInputError, match="Jobs there: digits"):
        world.wish("../digits", Verb.PAUSE)


def test_a_running_vm_is_kept_for_the_shortest_interval_that_the_job_wants() -> None:
    """`min_interval_minutes` binds what runs, though every hour another region looks cleaner."""
    wanted = job(work_h=5.0, min_interval_minutes=120, deadline=START + timedelta(hours=20))
    world = World()
    world.submit(wanted, steps_of(wanted))
    world.run(world.is_over, at_most_h=30)

    folder = object_names.ledger_folder("digits")
    names = [info.name for info in world.store.list(folder) if "-vm" not in info.name]
    entries = [Documents(world.store).get(LedgerEntry, name) for name in names]
    trained = [each.updated_at - each.started_at for each in entries]

    assert len(trained) > 1
    assert min(trained[:-1]) >= timedelta(minutes=119)  # one turn of the world


VERBS = st.sampled_from([Verb.PAUSE, Verb.RESUME, Verb.CANCEL, Verb.RETRY])
WISHES = st.lists(st.tuples(VERBS, st.integers(0, 150)), max_size=6)


@settings(max_examples=8)
@given(seed=st.integers(0, 2**32 - 1), wishes=WISHES)
def test_any_wishes_at_any_moment_amid_faults(seed: int, wishes: list[tuple[Verb, int]]) -> None:
    """Promises 1, 2 and 4 hold in each turn; no VM after a rest began; in the end it is over."""
    world = World(
        seed=seed,
        chaos=Chaos(duplicate=0.3, drop=0.2, delay_s=120, shuffle=True, preempt=0.002, crash=0.02),
    )
    short: Job = job(**SHORT)
    world.submit(short, steps_of(short))
    for verb, minutes in wishes:
        until = world.clock.now() + timedelta(minutes=minutes)
        world.run(lambda until=until: world.clock.now() >= until, at_most_h=3)
        try:
            world.wish("digits", verb)
        except InvalidInputError:
            continue
        if verb in {Verb.PAUSE, Verb.CANCEL} and minutes % 2:
            world.run(lambda: not world.fleet.vms, at_most_h=1)
    if world.state("digits").phase is Phase.PAUSED:
        world.wish("digits", Verb.RESUME)

    world.run(world.is_over, at_most_h=60)

    if world.state("digits").phase is Phase.FINISHED:
        assert step(world) == steps_of(short)
