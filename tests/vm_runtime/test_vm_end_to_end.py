"""The real runtime as a process on a VM: every way in which it ends."""

import signal
from collections.abc import Callable
from datetime import timedelta

import pytest
from fake_metadata_server import FakeMetadataServer
from vm_process import Deployment, until

from vm_runtime.contract.instance import Attribute
from vm_runtime.contract.progress import RunState

Deploy = Callable[..., Deployment]

FINISHED, FAILED, MORE_TO_DO = 0, 1, 75
LONG = 100_000


def is_training(deployment: Deployment, incarnation: int = 1) -> bool:
    """Whether an incarnation reports steps."""
    report = deployment.progress()
    return (
        report is not None
        and report.incarnation == incarnation
        and report.state is RunState.TRAINING
        and report.steps_done > 0
    )


def test_a_job_finishes(deploy: Deploy) -> None:
    """It waits for its interval, trains, reports, closes its ledger, releases, exits 0."""
    deployment = deploy()
    with FakeMetadataServer(deployment.metadata(start_s=100.0)) as server:
        start = deployment.clock.now() + timedelta(seconds=100)
        assert deployment.finish(deployment.start(server)) == FINISHED
    report, lease, ledger = deployment.progress(), deployment.lease(), deployment.ledger(1)
    assert report is not None
    assert lease is not None
    assert ledger is not None
    assert (report.state, report.steps_done, report.steps_total) == (RunState.FINISHED, 20, 20)
    assert report.metrics == {"loss": 0.05}
    assert lease.released
    assert lease.acquired_at >= start - timedelta(seconds=5)
    assert ledger.ended_because == "finished"
    assert (ledger.first_step, ledger.last_step, ledger.committed_step) == (0, 20, 20)
    assert ledger.compute_zone == "europe-west3-b"
    kinds = [segment.kind for segment in ledger.segments]
    assert {"load", "train"} <= set(kinds)
    assert all(a.end <= b.start for a, b in zip(ledger.segments, ledger.segments[1:], strict=False))
    hours = (ledger.updated_at - ledger.started_at).total_seconds() / 3600
    assert report.energy_kwh == pytest.approx(0.36 * hours, rel=0.2)
    assert all(line["job_id"] == "count" for line in deployment.logs[1:])
    assert {"severity", "message"} <= deployment.logs[0].keys()


def test_the_interval_end_stops_it_and_the_next_vm_goes_on(deploy: Deploy) -> None:
    """At its interval's end it exits 75; the next incarnation needs not wait and finishes."""
    deployment = deploy(steps=300)
    with FakeMetadataServer(deployment.metadata(1, end_s=150.0)) as server:
        assert deployment.finish(deployment.start(server)) == MORE_TO_DO
    report, ledger = deployment.progress(), deployment.ledger(1)
    assert report is not None
    assert ledger is not None
    assert report.state is RunState.STOPPED
    assert ledger.ended_because == "interval end"
    stopped_at = report.steps_done
    with FakeMetadataServer(deployment.metadata(2)) as server:
        assert deployment.finish(deployment.start(server)) == FINISHED
    ledger = deployment.ledger(2)
    assert ledger is not None
    assert ledger.first_step == stopped_at
    assert ledger.last_step == 300


@pytest.mark.parametrize("how", ["signal", "preempted"])
def test_it_stops_when_told(deploy: Deploy, how: str) -> None:
    """SIGTERM and a preemption end it safely and release the lease."""
    deployment = deploy(steps=LONG)
    with FakeMetadataServer(deployment.metadata()) as server:
        vm = deployment.start(server)
        until(lambda: is_training(deployment))
        if how == "signal":
            vm.send_signal(signal.SIGTERM)
        else:
            server.set("instance/preempted", "TRUE")
        assert deployment.finish(vm) == MORE_TO_DO
    report, lease, ledger = deployment.progress(), deployment.lease(), deployment.ledger(1)
    assert report is not None
    assert lease is not None
    assert ledger is not None
    assert report.state is RunState.STOPPED
    assert report.steps_done == ledger.committed_step > 0
    assert lease.released
    assert ledger.ended_because == how


def test_a_later_end_extends_the_interval(deploy: Deploy) -> None:
    """An interval that is extended while it runs does not end at its old end."""
    deployment = deploy(steps=LONG)
    with FakeMetadataServer(deployment.metadata()) as server:
        vm = deployment.start(server)
        until(lambda: is_training(deployment))
        now = deployment.clock.now()
        server.set_attribute(Attribute.INTERVAL_END, (now + timedelta(seconds=300)).isoformat())
        server.set_attribute(Attribute.INTERVAL_END, (now + timedelta(hours=9)).isoformat())
        until(lambda: deployment.clock.now() > now + timedelta(seconds=350))
        until(lambda: deployment.heard_after(now + timedelta(seconds=350)))
        assert is_training(deployment)
        server.set_attribute(Attribute.INTERVAL_END, "now")
        assert deployment.finish(vm) == MORE_TO_DO


def test_after_a_kill_the_next_vm_takes_over(deploy: Deploy) -> None:
    """A killed VM's lease runs out; the next incarnation waits for that and goes on."""
    deployment = deploy(steps=LONG)
    with FakeMetadataServer(deployment.metadata(1)) as server:
        vm = deployment.start(server)
        until(lambda: is_training(deployment))
        vm.send_signal(signal.SIGKILL)
        assert deployment.finish(vm) == -signal.SIGKILL
    left, report = deployment.lease(), deployment.progress()
    assert left is not None
    assert report is not None
    assert not left.released
    deployment.set_total(report.steps_done + 20)
    with FakeMetadataServer(deployment.metadata(2)) as server:
        assert deployment.finish(deployment.start(server)) == FINISHED
    taken = deployment.lease()
    assert taken is not None
    assert taken.incarnation == 2
    assert taken.acquired_at >= left.expires_at


def test_a_move_hands_over_without_an_overlap(deploy: Deploy) -> None:
    """The target waits in silence while its source trains, and takes the released lease."""
    deployment = deploy(steps=LONG)
    with (
        FakeMetadataServer(deployment.metadata(1)) as server,
        FakeMetadataServer(deployment.metadata(2)) as target_server,
    ):
        source = deployment.start(server)
        until(lambda: is_training(deployment, 1))
        target = deployment.start(target_server)
        until(lambda: deployment.ledger(2))
        report = deployment.progress()
        assert report is not None
        assert report.incarnation == 1
        deployment.set_total(report.steps_done)
        server.set_attribute(Attribute.INTERVAL_END, deployment.clock.now().isoformat())
        assert deployment.finish(source) == MORE_TO_DO
        assert deployment.finish(target) == FINISHED
    first, second = deployment.ledger(1), deployment.ledger(2)
    assert first is not None
    assert second is not None
    assert second.first_step == first.committed_step == first.last_step
    assert "wait" in [segment.kind for segment in second.segments]


def test_a_vm_that_was_stalled_and_superseded_writes_nothing(deploy: Deploy) -> None:
    """A VM that stood still for longer than its lease leaves when it wakes up."""
    deployment = deploy(steps=LONG)
    with (
        FakeMetadataServer(deployment.metadata(1)) as server,
        FakeMetadataServer(deployment.metadata(2)) as target_server,
    ):
        stalled = deployment.start(server)
        until(lambda: is_training(deployment, 1))
        stalled.send_signal(signal.SIGSTOP)
        successor = deployment.start(target_server)
        until(lambda: is_training(deployment, 2))
        stalled.send_signal(signal.SIGCONT)
        assert deployment.finish(stalled) == MORE_TO_DO
        report = deployment.progress()
        assert report is not None
        assert report.incarnation == 2
        successor.send_signal(signal.SIGTERM)
        assert deployment.finish(successor) == MORE_TO_DO
    ledger = deployment.ledger(1)
    assert ledger is not None
    assert ledger.ended_because in {"superseded", "lease ran out"}


def test_a_failing_script_is_reported_and_counted(deploy: Deploy) -> None:
    """The traceback and what to do stand in the progress; each VM adds a failure; it exits 1."""
    deployment = deploy(script="raise RuntimeError('no such layer')")
    for incarnation in (1, 2):
        with FakeMetadataServer(deployment.metadata(incarnation)) as server:
            assert deployment.finish(deployment.start(server)) == FAILED
    report = deployment.progress()
    assert report is not None
    assert report.state is RunState.FAILED
    assert "no such layer" in report.message
    assert report.failures_in_a_row == 2


def test_an_unreadable_job_is_reported(deploy: Deploy) -> None:
    """A job document of another version is left as it is and told about in the progress."""
    deployment = deploy()
    newer = deployment.store.read("jobs/count/job.json").data.replace(
        b'"schema_version": 1', b'"schema_version": 7'
    )
    deployment.store.write("jobs/count/job.json", newer)
    with FakeMetadataServer(deployment.metadata()) as server:
        assert deployment.finish(deployment.start(server)) == FAILED
    report = deployment.progress()
    assert report is not None
    assert report.state is RunState.FAILED
    assert "schema_version" in report.message
    assert deployment.store.read("jobs/count/job.json").data == newer


def test_a_script_that_hangs_is_ended_by_force(deploy: Deploy) -> None:
    """Some time after the interval's end the process ends, and the script is to blame."""
    hang = "import time\nwhile True:\n    time.sleep(0.1)\n"
    deployment = deploy(script=hang)
    with FakeMetadataServer(deployment.metadata(end_s=50.0)) as server:
        assert deployment.finish(deployment.start(server)) == FAILED
    assert "by force" in str(deployment.logs[-1]["message"])
    report = deployment.progress()
    assert report is not None
    assert (report.state, report.failures_in_a_row) == (RunState.FAILED, 1)
    assert "hangs: still here 300 s after its interval's end" in report.message


def test_without_a_metadata_server_it_says_what_to_do(deploy: Deploy) -> None:
    """A VM of somebody else gets one clear error."""
    deployment = deploy()
    with FakeMetadataServer({"instance/name": "x", "instance/zone": "a/b"}) as server:
        assert deployment.finish(deployment.start(server)) == FAILED
    assert "expected metadata instance/attributes/ss-job" in str(deployment.logs[-1]["message"])
