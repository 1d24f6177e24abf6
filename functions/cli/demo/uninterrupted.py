"""The run made for comparison: the same script, in one go, without any cloud."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from functions.errors import InvalidInputError
from functions.handlers.documents import Documents
from vm_runtime.contract import object_names as names
from vm_runtime.contract.checkpoint import CheckpointManifest, Latest
from vm_runtime.contract.lease import Lease
from vm_runtime.contract.ledger import LedgerEntry, SegmentKind
from vm_runtime.contract.progress import Progress
from vm_runtime.storage import open_store

_LOOK_S = 0.3
_TAIL = 1500


@dataclass(frozen=True, slots=True, kw_only=True)
class Uninterrupted:
    """How it ended."""

    weights_sha256: str
    steps: int
    train_s: float
    """Real seconds of training, imports left out."""
    start_s: float
    """Real seconds of all the rest: what a process needs until it trains, on this machine."""


def run_uninterrupted(
    script: Path,
    folder: Path,
    *,
    job_id: str,
    args: Sequence[str],
    on_progress: Callable[[Progress], None],
) -> Uninterrupted:
    """Train `script` in `folder` from begin to end in a process of its own.

    Args:
        script: the training script.
        folder: stands for the bucket; must be empty.
        job_id: the job's id in it.
        args: arguments of the script.
        on_progress: told now and then how far it is.

    Raises:
        InvalidInputError: it failed; the message has the end of its log.
    """
    folder.mkdir(parents=True)
    began_s = time.monotonic()
    log = folder / "log.txt"
    command = [sys.executable, "-m", "vm_runtime", str(script), "--job", str(folder)]
    documents = Documents(open_store(folder.as_uri()))
    with (
        log.open("wb") as output,
        subprocess.Popen(  # noqa: S603 - this interpreter and our own module
            [*command, "--job-id", job_id, "--", *args],
            stdout=output,
            stderr=subprocess.STDOUT,
            # As in the VMs: one thread, so that nothing but the interruptions differs.
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            start_new_session=True,
        ) as process,
    ):
        try:
            while process.poll() is None and not _has_ended(documents, job_id):
                time.sleep(_LOOK_S)
                progress = documents.peek(Progress, names.progress(job_id))
                if progress is not None:
                    on_progress(progress)
        finally:
            process.kill()
    if not _has_ended(documents, job_id):
        raise InvalidInputError(
            f"{script.name}: expected the uninterrupted run to finish, found exit code"
            f" {process.returncode}. End of {log}:\n{log.read_text(errors='replace')[-_TAIL:]}"
        )
    return _result(documents, job_id, took_s=time.monotonic() - began_s)


def _has_ended(documents: Documents, job_id: str) -> bool:
    """Whether all is written: the lease is released last. Python's own end takes seconds more."""
    lease = documents.peek(Lease, names.lease(job_id))
    latest = documents.peek(Latest, names.latest(job_id))
    return bool(lease and lease.released and latest and latest.finished)


def _result(documents: Documents, job_id: str, *, took_s: float) -> Uninterrupted:
    latest = documents.get(Latest, names.latest(job_id))
    manifest = documents.get(
        CheckpointManifest, names.manifest(job_id, latest.checkpoint_id or "none")
    )
    entry = documents.get(LedgerEntry, names.ledger_entry(job_id, latest.incarnation))
    spent = [s.end - s.start for s in entry.segments if s.kind is SegmentKind.TRAIN]
    train_s = sum(duration.total_seconds() for duration in spent)
    return Uninterrupted(
        weights_sha256=manifest.weights_sha256,
        steps=manifest.step,
        train_s=train_s,
        start_s=max(0.0, took_s - train_s),
    )
