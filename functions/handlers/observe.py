"""Gathers what `decide` looks at: one job's documents and VMs."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from functions.domain.lifecycle.observation import Observation
from functions.domain.lifecycle.state import JobState
from functions.domain.lifecycle.timing import Timing
from functions.domain.lifecycle.vm import Operation, Vm
from functions.domain.plan.document import Plan
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


def observe(ports: Ports, timing: Timing, job_id: str, vms: Sequence[Vm]) -> Sighting | AtRest:
    """Return what is and what should be of one job.

    A job that is over costs one read.

    Args:
        ports: the world.
        timing: how patient to be.
        job_id: which job.
        vms: managed VMs, of this job and perhaps others.
    """
    documents = Documents(ports.store)
    found = documents.find(JobState, names.state(job_id))
    if found is None:
        return AtRest.UNKNOWN
    state = found.document
    mine = [vm for vm in vms if vm.job_id == job_id]
    if state.is_cleared and not mine:
        return AtRest.OVER
    plan = state.plan_id and documents.get(Plan, names.plan(job_id, state.plan_id))
    seen = Observation(
        now=ports.clock.now(),
        timing=timing,
        job=documents.get(Job, names.job(job_id)),
        state=state,
        plan=plan or None,
        vms=mine,
        # Of no use without a VM that might hold it.
        lease=documents.peek(Lease, names.lease(job_id)) if mine else None,
        progress=documents.peek(Progress, names.progress(job_id)),
        latest=documents.peek(Latest, names.latest(job_id)),
        operation=_operation(ports, state, mine),
    )
    return Sighting(seen=seen, state_generation=found.generation)


def _operation(ports: Ports, state: JobState, vms: Sequence[Vm]) -> Operation | None:
    target = state.target
    if target is None or target.operation is None:
        return None
    if any(vm.incarnation == target.incarnation for vm in vms):
        return None
    return ports.fleet.operation(target.operation, target.compute_zone)
