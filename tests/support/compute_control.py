"""The three functions over the real adapter of Compute Engine, and jobs planned by hand."""

from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from compute_harness import ComputeEngine
from manual_clock import START
from memory_blobs import MemoryBlobStore

from functions.domain.lifecycle.actions import Owner
from functions.domain.lifecycle.state import JobState
from functions.domain.lifecycle.timing import Timing
from functions.domain.plan.document import Plan, PlannedInterval
from functions.handlers.documents import Documents
from functions.handlers.open_jobs import open_job
from functions.handlers.reconcile import reconcile
from functions.ports import Ports
from functions.wire import WakeUp, WakeUpKind
from vm_runtime.contract import object_names
from vm_runtime.contract.job import Job, KeepDisk
from vm_runtime.contract.progress import Progress, RunState

HERE, THERE = "europe-west3-a", "europe-west9-b"
HANDOVER = START + timedelta(hours=2)
TIMING = Timing()


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


def planned(
    store: MemoryBlobStore, job_id: str = "digits", *, keep_disk: KeepDisk | None = None
) -> None:
    """Put in a job that is to move from Frankfurt to Paris after two hours."""
    documents = Documents(store)
    job = Job(
        job_id=job_id,
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
        job_id=job_id,
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
    documents.write(object_names.job(job_id), job)
    documents.write(object_names.plan(job_id, plan.plan_id), plan)
    open_job(documents, job_id)
    state = JobState(job_id=job_id, plan_id=plan.plan_id, seq=1)
    documents.write(object_names.state(job_id), state)
