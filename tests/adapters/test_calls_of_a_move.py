"""How often Compute Engine is called for one complete move: counted, and stated in the guide."""

from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from compute_harness import ComputeEngine, connected
from manual_clock import START
from memory_blobs import MemoryBlobStore

from functions.domain.lifecycle.actions import Owner
from functions.domain.lifecycle.state import JobState
from functions.domain.lifecycle.timing import Timing
from functions.domain.lifecycle.vm import VmStatus
from functions.domain.plan.document import Plan, PlannedInterval
from functions.handlers.documents import Documents
from functions.handlers.open_jobs import open_job
from functions.handlers.reconcile import reconcile
from functions.ports import Ports
from functions.wire import WakeUp, WakeUpKind
from vm_runtime.contract import object_names
from vm_runtime.contract.checkpoint import Latest
from vm_runtime.contract.job import Job, KeepDisk
from vm_runtime.contract.progress import Progress, RunState

GUIDE = Path(__file__).parents[2] / "docs/operations.md"
HERE, THERE = "europe-west3-a", "europe-west9-b"
HANDOVER = START + timedelta(hours=2)
TIMING = Timing()
VERBS = {
    "aggregated_list": "instances.aggregatedList",
    "insert": "instances.insert",
    "get_template": "instanceTemplates.get",
    "get_operation": "zoneOperations.get",
    "set_metadata": "instances.setMetadata",
    "get": "instances.get",
    "stop": "instances.stop",
    "delete": "instances.delete",
    "start": "instances.start",
    "attach_disk": "instances.attachDisk",
    "aggregated_list_disks": "disks.aggregatedList",
    "create_snapshot": "disks.createSnapshot",
    "insert_disk": "disks.insert",
    "get_disk": "disks.get",
    "delete_disk": "disks.delete",
    "list_snapshots": "snapshots.list",
    "get_snapshot": "snapshots.get",
    "delete_snapshot": "snapshots.delete",
}
"""Method of our server, and the API's."""


@dataclass
class Control:
    """The three functions behind the topic, over the real adapter."""

    cloud: ComputeEngine
    store: MemoryBlobStore = field(default_factory=MemoryBlobStore)
    messages: deque[WakeUp] = field(default_factory=deque)
    wakes: Counter[str] = field(default_factory=Counter)

    @property
    def ports(self) -> Ports:
        """What the handlers use of the world."""
        nobody: Any = None
        return Ports(
            store=self.store,
            fleet=self.cloud.fleet,
            disks=self.cloud.disks,
            publisher=self,
            alarm=nobody,
            intensity=nobody,
            forecaster=nobody,
            clock=self.cloud.model.clock,
        )

    def publish(self, message: WakeUp) -> None:
        """Queue it for all three."""
        self.messages.append(message)

    def wake(self, kind: WakeUpKind) -> None:
        """Send a wake-up, and deliver until it is quiet."""
        self.publish(WakeUp(kind=kind))
        while self.messages:
            message = self.messages.popleft()
            self.wakes[message.kind] += 1
            for owner in Owner:
                reconcile(self.ports, TIMING, owner, message)

    def at(self, time: datetime) -> None:
        """Let time pass, and guests report."""
        self.cloud.model.clock.move((time - self.cloud.model.clock.now()).total_seconds())
        self.cloud.model.settle()

    def report(self, incarnation: int) -> None:
        """Write what the VM that trains would."""
        said = Progress(
            job_id="digits",
            vm=f"ss-digits-{incarnation}",
            incarnation=incarnation,
            state=RunState.TRAINING,
            heartbeat_at=self.cloud.model.clock.now(),
            steps_done=10 * incarnation,
            steps_total=1000,
            seconds_per_step=10.0,
        )
        Documents(self.store).write(object_names.progress("digits"), said)


def interval(compute_zone: str, grid_zone: str, start: datetime) -> PlannedInterval:
    """Return two hours somewhere."""
    return PlannedInterval(
        start=start,
        end=start + timedelta(hours=2),
        grid_zone=grid_zone,
        compute_zone=compute_zone,
        work_h=1.9,
        expected_gco2eq=10.0,
    )


def planned(store: MemoryBlobStore, keep_disk: KeepDisk | None) -> None:
    """Put in a job that is to move from Frankfurt to Paris after two hours."""
    documents = Documents(store)
    job = Job(
        job_id="digits",
        machine_type="e2-standard-8",
        power_w=250,
        allowed_regions=("europe-west3", "europe-west9"),
        submitted_at=START,
        work_h=3.8,
        deadline=START + timedelta(hours=8),
        keep_disk=keep_disk,
    )
    plan = Plan(
        plan_id="2026-03-01T1200Z",
        job_id="digits",
        created_at=START,
        forecast_origin=START,
        work_left_h=3.8,
        deadline=job.deadline,
        intervals=(interval(HERE, "DE", START), interval(THERE, "FR", HANDOVER)),
        expected_gco2eq=20.0,
        meets_deadline=True,
        reason="By hand.",
        alternatives=(),
        forecast_source="test",
    )
    documents.write(object_names.job("digits"), job)
    documents.write(object_names.plan("digits", plan.plan_id), plan)
    open_job(documents, "digits")
    state = JobState(job_id="digits", plan_id=plan.plan_id, seq=1)
    documents.write(object_names.state("digits"), state)


@contextmanager
def training(keep_disk: KeepDisk | None = None) -> Iterator[Control]:
    """A job that trains in Frankfurt, shortly before its move to Paris."""
    with connected() as cloud:
        control = Control(cloud)
        planned(control.store, keep_disk)
        control.wake(WakeUpKind.PLAN)
        control.at(START + timedelta(minutes=5))
        control.report(1)
        control.wake(WakeUpKind.HEARTBEAT)
        control.cloud.model.calls.clear()
        control.wakes.clear()
        yield control


def stated(column: int) -> dict[str, int]:
    """Return a column of the guide's table of calls."""
    table = GUIDE.read_text().split("| call | move |")[1].split("\n\n")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    found = {row[0].strip("`"): row[column] for row in rows if row[0].startswith("`")}
    return {call: int(times) for call, times in found.items() if times}


def counted(control: Control) -> dict[str, int]:
    """Return the calls that were made, as the API names them."""
    calls = control.cloud.model.calls
    return {VERBS[verb]: times for verb, times in calls.items() if times}


def hand_over(control: Control) -> None:
    """Let a target be made ahead of its interval, and the source end with its own."""
    lead = timedelta(seconds=TIMING.boot_lead_s)

    control.at(HANDOVER - lead)
    control.report(1)
    control.wake(WakeUpKind.BOUNDARY)
    control.at(HANDOVER - timedelta(seconds=30))
    control.report(1)
    control.at(HANDOVER)
    control.wake(WakeUpKind.BOUNDARY)
    control.cloud.model.power_off("ss-digits-1")  # its guest ends with the interval


def test_one_complete_move_takes_the_calls_that_the_guide_states() -> None:
    """From the wake-up ahead of the target's interval to the deletion of the source."""
    with training() as control:
        hand_over(control)
        control.at(HANDOVER + timedelta(minutes=5))
        control.report(2)
        control.wake(WakeUpKind.HEARTBEAT)
        control.at(HANDOVER + timedelta(minutes=10))

        assert counted(control) == stated(1)
        (vm,) = control.cloud.fleet.list()
        assert (vm.name, vm.compute_zone, vm.status) == ("ss-digits-2", THERE, VmStatus.RUNNING)


def test_one_move_with_a_data_disk_takes_the_calls_that_the_guide_states() -> None:
    """To the deletion of the source, of its disk, and of the snapshot between the two."""
    with training(KeepDisk(size_gb=100)) as control:
        hand_over(control)
        for minutes in range(5, 45, 5):
            control.at(HANDOVER + timedelta(minutes=minutes))
            if control.cloud.disks.disks()[-1].users:
                control.report(2)
            control.cloud.model.calls["aggregated_list_disks"] -= 1  # that was us
            control.wake(WakeUpKind.HEARTBEAT)
            if is_settled(control):
                break

        assert counted(control) == stated(2)
        (vm,) = control.cloud.fleet.list()
        disks = [disk for disk in control.cloud.disks.disks() if disk.is_data]
        assert [(disk.compute_zone, disk.users) for disk in disks] == [(THERE, (vm.name,))]


def test_one_start_of_a_stopped_vm_takes_the_calls_that_the_guide_states() -> None:
    """From the message after it was preempted to its next run."""
    with training() as control:
        documents = Documents(control.store)
        saved = Latest(checkpoint_id=None, step=10, incarnation=1, updated_at=START)
        documents.write(object_names.latest("digits"), saved)
        control.cloud.model.preempt("ss-digits-1")
        control.at(START + timedelta(minutes=10))
        control.wake(WakeUpKind.HEARTBEAT)

        assert counted(control) == stated(3)
        fleet = control.cloud.fleet
        control.cloud.wait_until(lambda: fleet.list()[0].status is VmStatus.RUNNING)
        assert [(vm.name, vm.incarnation) for vm in fleet.list()] == [("ss-digits-1", 2)]


def is_settled(control: Control) -> bool:
    """Whether nothing of the move is left but the job in its new place."""
    shelf, machines = control.cloud.model.shelf, control.cloud.model.instances()
    data = [disk for (_, name), disk in shelf.disks.items() if name.endswith("-data")]
    return len(machines) == len(data) == 1 and not shelf.snapshots
