"""The real product on the embedded cloud, for end-to-end tests: submit, wait, check promises."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import vm_runtime.examples.digits
from functions.cli.demo.pace import pace_of
from functions.cli.demo.uninterrupted import Uninterrupted
from functions.domain.lifecycle.state import JobState, Phase
from functions.handlers.documents import Documents
from functions.handlers.submit import submit
from functions.local.alarm import LocalAlarm
from functions.local.cloud import EmbeddedCloud
from functions.local.faults import Faults
from vm_runtime.contract import object_names
from vm_runtime.contract.checkpoint import CheckpointManifest, Latest
from vm_runtime.contract.job import Job
from vm_runtime.contract.ledger import LedgerEntry, SegmentKind, VmLifetime
from vm_runtime.contract.progress import Progress, RunState

SCRIPT = Path(vm_runtime.examples.digits.__file__)
ARGS = ("--epochs", "4")
REGIONS = ("europe-west3", "europe-southwest1", "europe-west2", "europe-west4")
START = datetime(2025, 5, 22, 7, tzinfo=UTC)
PATIENCE_S = 200.0
"""Real seconds for a job on a busy machine; alone it takes about 20."""


@dataclass
class Deployment:
    """A running embedded cloud with the run that its jobs are compared with."""

    cloud: EmbeddedCloud
    straight: Uninterrupted

    @property
    def documents(self) -> Documents:
        """The bucket."""
        return Documents(self.cloud.store)

    def submit(self, job_id: str = "digits", **changes: object) -> None:
        """Submit a job that trains the digits."""
        pace = pace_of(self.straight.train_s, start_s=self.straight.start_s)
        now = self.cloud.clock.now()
        job = Job(
            job_id=job_id,
            machine_type="e2-standard-8",
            power_w=250,
            allowed_regions=REGIONS,
            submitted_at=now,
            script=SCRIPT.name,
            args=ARGS,
            work_h=pace.work_h,
            deadline=now + timedelta(hours=2 * pace.work_h + 2),
            start_overhead_s=pace.start_overhead_s,
            move_overhead_s=pace.start_overhead_s,
        )
        source = {SCRIPT.name: SCRIPT.read_bytes()}
        submit(
            self.cloud.store,
            LocalAlarm(self.cloud.url, self.cloud.key),
            replace(job, **changes),
            source,
        )

    def wait(self, until: Callable[[], bool], what: str) -> None:
        """Look until it holds; fail with the end of all logs if it takes too long."""
        end_s = time.monotonic() + PATIENCE_S
        while not until():
            assert time.monotonic() < end_s, f"waited in vain for {what}\n{self.logs()}"
            time.sleep(0.05)

    def is_training(self, job_id: str = "digits", *, from_step: int = 20) -> bool:
        """Whether a VM trains and has come so far."""
        progress = self.documents.peek(Progress, object_names.progress(job_id))
        if progress is None or progress.state is not RunState.TRAINING:
            return False
        return progress.steps_done >= from_step

    def state(self, job_id: str = "digits") -> JobState:
        """Return the control plane's state."""
        return self.documents.get(JobState, object_names.state(job_id))

    def finish(self, *job_ids: str) -> None:
        """Wait for the jobs' ends and check every promise that can be seen from outside."""
        for job_id in job_ids:
            self.wait(lambda job_id=job_id: self.state(job_id).phase.is_final, f"{job_id}'s end")
            state = self.state(job_id)
            assert state.phase is Phase.FINISHED, f"{state.message}\n{self.logs()}"
            assert self.final_manifest(job_id).weights_sha256 == self.straight.weights_sha256
            self.check_that_one_trained_at_a_time(job_id)
        self.wait(lambda: not self.cloud.compute.list(), "all VMs to be removed")

    def final_manifest(self, job_id: str = "digits") -> CheckpointManifest:
        """Return the manifest of the final checkpoint."""
        latest = self.documents.get(Latest, object_names.latest(job_id))
        assert latest.finished
        name = object_names.manifest(job_id, str(latest.checkpoint_id))
        return self.documents.get(CheckpointManifest, name)

    def ledger(self, job_id: str = "digits") -> list[LedgerEntry]:
        """Return what every VM booked, by incarnation."""
        names = self.documents.names(object_names.ledger_folder(job_id))
        own = [name for name in names if not name.endswith("-vm.json")]
        return [self.documents.get(LedgerEntry, name) for name in own]

    def check_that_one_trained_at_a_time(self, job_id: str = "digits") -> None:
        """No two VMs booked training for the same moment."""
        spans = sorted(
            (segment.start, segment.end, entry.vm)
            for entry in self.ledger(job_id)
            for segment in entry.segments
            if segment.kind is SegmentKind.TRAIN
        )
        for (_, end, before), (start, _, after) in pairwise(spans):
            assert end <= start or before == after, f"{before} and {after} trained at once"

    def runs_of_vms(self, job_id: str = "digits") -> list[tuple[str, str, int]]:
        """Return name, compute zone and incarnation of every run that the control plane booked."""
        names = self.documents.names(object_names.ledger_folder(job_id))
        own = [name for name in names if name.endswith("-vm.json")]
        runs = [self.documents.get(VmLifetime, name) for name in own]
        return [(run.vm, run.compute_zone, run.incarnation) for run in runs]

    def logs(self) -> str:
        """Return the end of every log."""
        files = [self.cloud.folder / "functions.log", *self.cloud.folder.glob("vms/*.log")]
        ends = [(file.name, file.read_text(errors="replace")[-1500:]) for file in files]
        return "\n".join(f"--- {name}\n{text}" for name, text in ends)


@contextmanager
def deployment(
    folder: Path, straight: Uninterrupted, faults: Faults | None = None
) -> Iterator[Deployment]:
    """Run an embedded cloud in `folder`, with two forecasts already made."""
    pace = pace_of(straight.train_s, start_s=straight.start_s)
    cloud = EmbeddedCloud(
        folder,
        speed=pace.speed,
        start_at=START,
        timing=pace.timing,
        delays=pace.delays,
        heartbeat_s=pace.heartbeat_s,
        faults=faults or Faults(),
    )
    with cloud:
        yield Deployment(cloud, straight)
