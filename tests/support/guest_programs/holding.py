"""Counts instead of training, and holds at a step while the bucket says so.

Arguments: steps in all, and the step to hold at. Its checkpoint is a manifest and LATEST.
"""

import sys
import time

from vm_runtime.contract import object_names
from vm_runtime.contract.checkpoint import CheckpointFile, CheckpointManifest, Latest
from vm_runtime.contract.codec import decode, encode
from vm_runtime.contract.ledger import SegmentKind
from vm_runtime.session import current_session
from vm_runtime.storage.port import BlobNotFoundError

STEP_S = 20.0
"""What a step is said to take on the deployment's clock."""
REAL_STEP_S = 0.005

session = current_session()
job_id = session.job.job_id
total, hold_at = int(sys.argv[1]), int(sys.argv[2])
latest = object_names.latest(job_id)


def commit(step: int) -> int:
    """Write manifest and pointer, in this order."""
    now, is_over = session.clock.now(), step == total
    checkpoint = object_names.checkpoint_id(step, session.incarnation)
    manifest = CheckpointManifest(
        checkpoint_id=checkpoint,
        job_id=job_id,
        step=step,
        incarnation=session.incarnation,
        created_at=now,
        files=(CheckpointFile(name="count", size_bytes=0, sha256="0" * 64),),
        finished=is_over,
        weights_sha256="0" * 64,
        torch_version="none",
        runtime_version="0",
    )
    session.store.write(object_names.manifest(job_id, checkpoint), encode(manifest))
    pointer = Latest(
        checkpoint_id=checkpoint,
        step=step,
        incarnation=session.incarnation,
        updated_at=now,
        finished=is_over,
    )
    session.store.write(latest, encode(pointer))
    return step


def report(step: int, committed: int) -> None:
    """Tell the control plane."""
    session.report(
        steps_done=step,
        steps_total=total,
        seconds_per_step=STEP_S,
        metrics={"loss": 1 / max(step, 1)},
        committed_step=committed,
    )


reason = session.begin()
if reason is None:
    try:
        step = decode(Latest, session.store.read(latest).data, name=latest).step
    except BlobNotFoundError:
        step = 0
    committed = commit(step)
    session.spend(SegmentKind.TRAIN)
    while step < total:
        session.check_lease()
        reason = session.stop_reason()
        if reason is not None:
            break
        if step == hold_at and session.store.list(f"hold-{job_id}"):
            time.sleep(0.05)
            continue
        time.sleep(REAL_STEP_S)
        step += 1
        if step % 50 == 0:
            committed = commit(step)
        report(step, committed)
    committed = commit(step)
    report(step, committed)
session.end(finished=reason is None, stopped_because=reason)
