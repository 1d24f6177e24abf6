"""A VM as a process: the real runtime on a folder, a fake metadata server, a fast clock."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from fake_metadata_server import FakeMetadataServer

from vm_runtime.contract import object_names
from vm_runtime.contract.clock import CLOCK_VARIABLE, ScaledClock
from vm_runtime.contract.codec import decode, encode
from vm_runtime.contract.instance import Attribute, vm_name
from vm_runtime.contract.job import Job
from vm_runtime.contract.lease import Lease
from vm_runtime.contract.ledger import LedgerEntry
from vm_runtime.contract.progress import Progress
from vm_runtime.metadata import HOST_VARIABLE
from vm_runtime.storage.files import FileBlobStore

T = TypeVar("T")

JOB = "count"
SPEED = 100.0

COUNT = '''
"""Counts to a number instead of training; its checkpoint is LATEST alone."""
import sys, time
from vm_runtime.contract import object_names
from vm_runtime.contract.checkpoint import Latest
from vm_runtime.contract.codec import decode, encode
from vm_runtime.contract.ledger import SegmentKind
from vm_runtime.session import current_session
from vm_runtime.storage.port import BlobNotFoundError

session, total = current_session(), int(sys.argv[1])
name = object_names.latest(session.job.job_id)

def commit(step):
    session.store.write(name, encode(Latest(
        checkpoint_id=object_names.checkpoint_id(step, session.incarnation), step=step,
        incarnation=session.incarnation, updated_at=session.clock.now(), finished=step == total)))
    return step

reason = session.begin()
if reason is None:
    if session.store.list("total"):
        total = int(session.store.read("total").data)
    try:
        step = decode(Latest, session.store.read(name).data, name=name).step
    except BlobNotFoundError:
        step = 0
    committed = commit(step)
    session.spend(SegmentKind.TRAIN)
    while step < total:
        session.check_lease()
        reason = session.stop_reason()
        if reason is not None:
            break
        time.sleep(0.005)
        step += 1
        if step % 50 == 0:
            committed = commit(step)
        session.report(steps_done=step, steps_total=total, seconds_per_step=0.5,
                       metrics={"loss": 1 / step}, committed_step=committed)
    committed = commit(step)
    session.report(steps_done=step, steps_total=total, seconds_per_step=0.5,
                   metrics={"loss": 1 / max(step, 1)}, committed_step=committed)
session.end(finished=reason is None, stopped_because=reason)
'''


class Deployment:
    """A bucket with one job, a clock, and the VMs that a test starts."""

    def __init__(
        self,
        folder: Path,
        *,
        steps: int = 20,
        script: str = COUNT,
        **job: Any,  # noqa: ANN401
    ) -> None:
        """Write job and source; `job` holds further fields of the job."""
        self.store = FileBlobStore(folder / "bucket")
        now_s = time.time()
        self.clock = ScaledClock(real_anchor_s=now_s, simulated_anchor_s=now_s, speed=SPEED)
        self.job = Job(
            job_id=JOB,
            machine_type="e2-standard-8",
            power_w=360.0,
            allowed_regions=("europe-west3",),
            submitted_at=self.clock.now(),
            args=(str(steps),),
            **job,
        )
        self.store.write(object_names.job(JOB), encode(self.job))
        self.store.write(f"{object_names.source_folder(JOB)}train.py", script.encode())
        self._vms: list[subprocess.Popen[str]] = []
        self.logs: list[dict[str, object]] = []

    def set_total(self, steps: int) -> None:
        """Let the VMs that begin from now on count to `steps`."""
        self.store.write("total", b"%d" % steps)

    def metadata(
        self, incarnation: int = 1, *, start_s: float = 0.0, end_s: float = 36_000.0
    ) -> dict[str, str]:
        """Return a VM's metadata; its interval begins and ends so many seconds from now."""
        now = self.clock.now()
        attributes = {
            Attribute.JOB: JOB,
            Attribute.INCARNATION: str(incarnation),
            Attribute.BUCKET: self.store.url,
            Attribute.INTERVAL_START: (now + timedelta(seconds=start_s)).isoformat(),
            Attribute.INTERVAL_END: (now + timedelta(seconds=end_s)).isoformat(),
            Attribute.LEASE_TTL_S: "120",
            Attribute.SHUTDOWN_GRACE_S: "300",
        }
        return {
            "instance/name": vm_name(JOB, incarnation),
            "instance/zone": "projects/1/zones/europe-west3-b",
            "instance/preempted": "FALSE",
            **{f"instance/attributes/{key}": value for key, value in attributes.items()},
        }

    def start(
        self, server: FakeMetadataServer, *, before: Sequence[str] = (), **variables: str
    ) -> subprocess.Popen[str]:
        """Start the runtime as a VM does; `before` is a command that starts it."""
        vm = subprocess.Popen(  # noqa: S603 - our own
            [*before, sys.executable, "-m", "vm_runtime"],
            env={
                **os.environ,
                HOST_VARIABLE: server.host,
                CLOCK_VARIABLE: self.clock.to_json(),
                **variables,
            },
            stdout=subprocess.PIPE,
            text=True,
        )
        self._vms.append(vm)
        return vm

    def close(self) -> None:
        """End what still runs."""
        for vm in self._vms:
            vm.kill()
            vm.communicate()

    def finish(self, vm: subprocess.Popen[str]) -> int:
        """Wait for the VM's end, keep its log, return its exit code."""
        output, _ = vm.communicate(timeout=30)
        self.logs = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
        return vm.returncode

    def progress(self) -> Progress | None:
        """Return what was reported last."""
        return self._read(Progress, object_names.progress(JOB))

    def heard_after(self, time: datetime) -> bool:
        """Whether the last report was written after `time`."""
        report = self.progress()
        return report is not None and report.heartbeat_at > time

    def lease(self) -> Lease | None:
        """Return the lease."""
        return self._read(Lease, object_names.lease(JOB))

    def ledger(self, incarnation: int) -> LedgerEntry | None:
        """Return what an incarnation booked."""
        return self._read(LedgerEntry, object_names.ledger_entry(JOB, incarnation))

    def _read(self, kind: type[T], name: str) -> T | None:
        if not self.store.list(name):
            return None
        return decode(kind, self.store.read(name).data, name=name)


def until(condition: Callable[[], object], timeout_s: float = 15.0) -> None:
    """Wait until a condition holds; fails if it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "expected the condition to hold by now"
        time.sleep(0.02)
