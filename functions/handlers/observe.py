"""Gathers what `decide` looks at: one job's documents and VMs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto

from functions.domain.lifecycle.observation import Observation, on_order
from functions.domain.lifecycle.state import JobState
from functions.domain.lifecycle.timing import Timing
from functions.domain.lifecycle.vm import Operation, Vm
from functions.domain.plan.document import Plan
from functions.handlers.disk_stock import DiskStock
from functions.handlers.documents import Documents
from functions.ports import Ports
from vm_runtime.contract import object_names as names
from vm_runtime.contract.checkpoint import Latest
from vm_runtime.contract.job import Job
from vm_runtime.contract.lease import Lease
from vm_runtime.contract.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """An observation, with the state's generation to write against."""

    seen: Observation
    state_generation: int


class AtRest(Enum):
    """Why there is nothing to observe of a job."""

    UNKNOWN = auto()
    """There is no such job."""
    OVER = auto()
    """It is over, and nothing is left of it but its receipt."""


def observe(
    ports: Ports, timing: Timing, job_id: str, vms: Sequence[Vm], stock: DiskStock
) -> Sighting | AtRest:
    """Return what is and what should be of one job.

    A job that is over costs one read.

    Args:
        ports: the world.
        timing: how patient to be.
        job_id: which job.
        vms: managed VMs, of this job and perhaps others.
        stock: managed disks and snapshots; listed here for a job with `keep_disk`.
    """
    documents = Documents(ports.store)
    found = documents.find(JobState, names.state(job_id))
    if found is None:
        return AtRest.UNKNOWN
    mine = [vm for vm in vms if vm.job_id == job_id]
    if _is_over(found.document, mine, stock):
        return AtRest.OVER
    job = documents.get(Job, names.job(job_id))
    if job.keep_disk is not None:
        stock.look()
        # What is listed must not be newer than the state that says whose it is.
        found = documents.find(JobState, names.state(job_id)) or found
    state = found.document
    plan = state.plan_id and documents.get(Plan, names.plan(job_id, state.plan_id))
    seen = Observation(
        now=ports.clock.now(),
        timing=timing,
        job=job,
        state=state,
        plan=plan or None,
        vms=mine,
        # Of no use without a VM that might hold it.
        lease=documents.peek(Lease, names.lease(job_id)) if mine else None,
        progress=documents.peek(Progress, names.progress(job_id)),
        latest=documents.peek(Latest, names.latest(job_id)),
        operation=_operation(ports, state, mine),
        disks=stock.disks_of(job_id),
        snapshots=stock.snapshots_of(job_id),
    )
    if state.disk_move is not None:
        seen = replace(seen, disk_operation=_disk_operation(ports, seen))
    return Sighting(seen=seen, state_generation=found.generation)


def _is_over(state: JobState, mine: Sequence[Vm], stock: DiskStock) -> bool:
    has_disks = stock.disks_of(state.job_id) or stock.snapshots_of(state.job_id)
    return state.is_cleared and not mine and not has_disks


def _operation(ports: Ports, state: JobState, vms: Sequence[Vm]) -> Operation | None:
    target = state.target
    if target is None or target.operation is None:
        return None
    if on_order(state, vms) is None:
        return None
    return ports.fleet.operation(target.operation, target.compute_zone)


def _disk_operation(ports: Ports, seen: Observation) -> Operation | None:
    """Look at what makes the snapshot or the copy, while that is not listed."""
    disk, move = seen.state.disk, seen.state.disk_move
    if disk is None or move is None or seen.disk_of(move) is not None:
        return None
    if seen.snapshot is None and move.snapshot_operation is not None:
        return ports.fleet.operation(move.snapshot_operation, disk.compute_zone)
    if seen.snapshot is not None and move.copy_operation is not None:
        return ports.fleet.operation(move.copy_operation, move.compute_zone)
    return None
