"""The session: what it carries over, what it tolerates, what it refuses."""

from dataclasses import replace

import pytest
from session_parts import JOB, OutageStore, Parts
from vm_process import until

from vm_runtime.contract import object_names
from vm_runtime.contract.checkpoint import Latest
from vm_runtime.contract.codec import encode
from vm_runtime.contract.ledger import SegmentKind
from vm_runtime.contract.progress import Progress, RunState
from vm_runtime.reporting import ProgressFile
from vm_runtime.session import LeaseLostError, StopReason
from vm_runtime.storage.port import StorageError


def earlier(parts: Parts, **changes: object) -> Progress:
    """Return the last report of an earlier VM."""
    report = Progress(
        job_id=JOB,
        vm="ss-a-1",
        incarnation=1,
        state=RunState.FAILED,
        heartbeat_at=parts.place.started_at,
        steps_done=40,
        steps_total=100,
        seconds_per_step=2.0,
        metrics={"loss": 1.0},
        failures_in_a_row=2,
    )
    return replace(report, **changes)


def test_what_was_known_is_carried_over() -> None:
    """A new VM's first report falls back in nothing, and counts failures on."""
    parts = Parts(incarnation=2)
    parts.put_progress(earlier(parts))
    parts.session.start()
    until(lambda: parts.progress().incarnation == 2)
    report = parts.progress()
    assert report.state is RunState.STARTING
    assert (report.steps_done, report.steps_total, report.seconds_per_step) == (40, 100, 2.0)
    parts.session.fail("broken")
    report = parts.progress()
    assert (report.state, report.failures_in_a_row) == (RunState.FAILED, 3)
    assert (report.message, report.steps_done) == ("broken", 40)


@pytest.mark.parametrize(("committed", "failures"), [(30, 2), (31, 0)])
def test_only_a_new_checkpoint_clears_the_failures(committed: int, failures: int) -> None:
    """Steps alone do not: a script that always fails before its checkpoint fails in a row."""
    parts = Parts(incarnation=2)
    parts.put_progress(earlier(parts))
    latest = Latest(
        checkpoint_id=object_names.checkpoint_id(30, 1),
        step=30,
        incarnation=1,
        updated_at=parts.place.started_at,
    )
    parts.store.write(object_names.latest(JOB), encode(latest))
    parts.session.start()
    assert parts.session.begin() is None
    parts.report(45, committed)
    parts.session.end(finished=False, stopped_because=StopReason.SIGNAL)
    report, ledger = parts.progress(), parts.ledger()
    assert report.failures_in_a_row == failures
    assert (report.state, report.steps_done) == (RunState.STOPPED, 45)
    assert (ledger.first_step, ledger.last_step, ledger.committed_step) == (30, 45, committed)


def test_a_higher_incarnation_ends_it_and_is_not_overwritten() -> None:
    """Once a later VM has reported, this one writes no progress and its lease check fails."""
    parts = Parts(incarnation=2)
    parts.session.start()
    assert parts.session.begin() is None
    parts.session.check_lease()
    until(lambda: parts.progress().state is RunState.TRAINING)
    parts.put_progress(earlier(parts, incarnation=3, state=RunState.TRAINING))
    parts.report(50, 0)

    def is_lost() -> bool:
        try:
            parts.session.check_lease()
        except LeaseLostError:
            return True
        return False

    until(is_lost)
    parts.session.end(finished=True, stopped_because=None)
    assert parts.progress().incarnation == 3


def test_a_higher_incarnation_of_the_lease_is_told_at_begin() -> None:
    """A superseded VM does not get to train."""
    store = OutageStore()
    later = Parts(store, incarnation=2)
    later.session.start()
    assert later.session.begin() is None
    later.session.end(finished=False, stopped_because=None)
    parts = Parts(store, incarnation=1)
    with pytest.raises(LeaseLostError, match="superseded"):
        parts.session.begin()


def test_an_outage_of_the_bucket_delays_reports_only() -> None:
    """Progress and ledger catch up once the bucket answers again."""
    parts = Parts()
    parts.session.start()
    assert parts.session.begin() is None
    parts.session.spend(SegmentKind.TRAIN)
    until(lambda: parts.progress().state is RunState.TRAINING)
    parts.store.refuses = lambda name: "lease" not in name
    parts.report(10, 0)
    before = len(parts.store.written)
    until(lambda: len(parts.store.written) > before + 2)
    assert parts.progress().steps_done == 0
    parts.store.refuses = lambda _: False
    until(lambda: parts.progress().steps_done == 10)
    parts.session.end(finished=True, stopped_because=None)
    assert parts.ledger().ended_because == "finished"


def test_a_lease_that_ran_out_stops_the_training() -> None:
    """When the bucket cannot be reached for as long as the lease lasts, the check fails."""
    parts = Parts(ttl_s=300.0)
    parts.session.start()
    assert parts.session.begin() is None
    parts.session.check_lease()
    parts.store.refuses = lambda name: "lease" in name

    def has_run_out() -> bool:
        try:
            parts.session.check_lease()
        except LeaseLostError as error:
            return "ran out" in str(error)
        return False

    until(has_run_out)
    parts.store.refuses = lambda _: False
    parts.session.leave("ran out")
    assert (parts.progress().state, parts.progress().message) == (RunState.STOPPED, "ran out")
    assert parts.ledger().ended_because == "lease ran out"


def test_reports_of_steps_are_not_writes() -> None:
    """A thousand steps make a handful of writes."""
    parts = Parts()
    parts.session.start()
    assert parts.session.begin() is None
    before = len(parts.store.written)
    for step in range(1000):
        parts.report(step, 0)
    assert len(parts.store.written) - before < 20
    parts.session.end(finished=True, stopped_because=None)
    assert parts.progress().steps_done == 999


def test_it_may_stop_before_it_starts() -> None:
    """A VM that is told to stop while it waits for the lease gets the reason, not the lease."""
    store = OutageStore()
    other = Parts(store, incarnation=1)
    other.session.start()
    assert other.session.begin() is None
    parts = Parts(store, incarnation=2)
    parts.session.start()
    parts.stop.raise_flag(StopReason.PREEMPTED)
    assert parts.session.begin() is StopReason.PREEMPTED
    parts.session.end(finished=False, stopped_because=StopReason.PREEMPTED)
    assert parts.ledger().ended_because == "preempted"
    other.session.check_lease()
    assert other.progress().incarnation == 1
    other.session.end(finished=True, stopped_because=None)


def test_a_lost_answer_does_not_confuse_the_progress() -> None:
    """After a write that may have landed, the next one looks first and succeeds."""
    parts = Parts()
    file = ProgressFile(parts.store, JOB)
    report = earlier(parts)
    file.write(report)
    parts.store.refuses = lambda _: True
    with pytest.raises(StorageError):
        file.write(report)
    parts.store.refuses = lambda _: False
    parts.put_progress(earlier(parts, steps_done=41))
    file.write(replace(report, steps_done=42))
    assert parts.progress().steps_done == 42


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_metric_that_is_no_number_does_not_stop_the_training(value: float) -> None:
    """The documents refuse NaN: it is left out, and the rest is reported."""
    parts = Parts()
    parts.session.start()
    assert parts.session.begin() is None
    parts.session.report(
        steps_done=3,
        steps_total=9,
        seconds_per_step=value,
        metrics={"loss": value, "accuracy": 0.5},
        committed_step=0,
    )
    parts.session.end(finished=True, stopped_because=None)
    report = parts.progress()
    assert (report.steps_done, report.metrics) == (3, {"accuracy": 0.5})
    assert report.seconds_per_step is None


def test_a_superseded_vm_that_boots_late_reports_nothing() -> None:
    """A lower incarnation does not overwrite a higher one's report, not even its first time."""
    parts = Parts(incarnation=1)
    done = earlier(parts, vm="ss-a-2", incarnation=2, state=RunState.FINISHED)
    parts.put_progress(done)
    parts.session.start()
    until(lambda: parts.store.list("jobs/a/ledger/") != [])
    parts.session.leave("the test is over")
    assert parts.progress() == done


def test_a_second_training_in_a_finished_job_is_refused() -> None:
    """It would take the released lease again and unmake the end; the job stays finished."""
    parts = Parts()
    parts.session.start()
    assert parts.session.begin() is None
    parts.session.end(finished=True, stopped_because=None)
    with pytest.raises(RuntimeError, match="expected one training in a job"):
        parts.session.begin()
    assert parts.session.has_finished
    assert not parts.lease.held_surely(parts.session.clock.now())


def test_a_second_training_after_a_stop_is_stopped_too() -> None:
    """A script that does not look at how the first one ended comes to its end all the same."""
    parts = Parts()
    parts.session.start()
    assert parts.session.begin() is None
    parts.stop.raise_flag(StopReason.SIGNAL)
    parts.session.end(finished=False, stopped_because=StopReason.SIGNAL)
    assert parts.session.begin() is StopReason.SIGNAL
    assert not parts.lease.held_surely(parts.session.clock.now())
    assert parts.progress().state is RunState.STOPPED
