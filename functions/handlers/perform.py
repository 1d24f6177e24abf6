"""Carries one action out. Every effect may be repeated; a crash between two is mended later."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from math import ceil

from functions.domain.lifecycle import transitions
from functions.domain.lifecycle.actions import (
    Action,
    AttachDisk,
    Close,
    Delete,
    DiskAction,
    DropTarget,
    Insert,
    Keep,
    MakePlan,
    Reserve,
    SetIntervalEnd,
    Start,
    StopByForce,
)
from functions.domain.lifecycle.decide import stop_overdue
from functions.domain.lifecycle.making import RUN_MARGIN, give_up
from functions.domain.lifecycle.observation import Observation
from functions.domain.lifecycle.state import JobState, Phase, Target
from functions.domain.lifecycle.timing import Timing
from functions.domain.lifecycle.vm import FailureKind, Operation, Vm, VmSpec
from functions.errors import InvalidInputError, PermissionDeniedError
from functions.handlers.documents import Documents
from functions.handlers.observe import Sighting
from functions.handlers.perform_disks import attach, disk_for, perform_on_disk
from functions.handlers.request_ids import insert_request_id, request_id, start_request_id
from functions.ports import Ports
from vm_runtime.contract import object_names
from vm_runtime.contract.instance import MANAGED_BY, Attribute, Label, deployment_label
from vm_runtime.contract.ledger import VmLifetime

_LOG = logging.getLogger(__name__)

LONGEST_RUN = timedelta(days=120)
"""What Compute Engine takes as `max_run_duration` at most."""


def perform(ports: Ports, sighting: Sighting, action: Action) -> bool:
    """Do it; return whether the next look should follow at once.

    A missing right fails the job, with the message that says which (design 6).

    Raises:
        StaleStateError: somebody else changed the state first; look again.
        TransientError: a service did not answer; the effect may or may not have happened.
        PermissionDeniedError: a right is missing, and the job is already over.
    """
    seen = sighting.seen
    try:
        return _do(ports, sighting, action)
    except PermissionDeniedError as error:
        if seen.state.phase.is_final:
            raise
        reason = f"{type(action).__name__}: {error}"
        told = {"event": "right_missing", "job_id": seen.job.job_id}
        _LOG.error("%s", reason, extra=told)
        close = Close(owner=action.owner, phase=Phase.FAILED, reason=reason)
        return _save(ports, sighting, transitions.closed(seen, close))


def stop_overdue_vms(ports: Ports, timing: Timing, vms: Sequence[Vm]) -> None:
    """Stop what is up too long, of a job whose documents cannot be read or are gone."""
    now = ports.clock.now()
    for vm in vms:
        action = stop_overdue(now, timing, [vm])
        if action is not None:
            told = {"event": "stopped_unread", "job_id": vm.job_id}
            _LOG.warning("StopByForce: %s", action.reason, extra=told)
            ports.fleet.stop(vm, request_id=request_id(now, timing, vm.name, "stop"))


def _do(ports: Ports, sighting: Sighting, action: Action) -> bool:
    seen = sighting.seen
    match action:
        case MakePlan():
            from functions.handlers.plan_now import plan_now  # noqa: PLC0415 - brings the planner

            plan_now(ports, seen.job, seen.vms)
            again = False  # The plan wakes everybody.
        case Reserve():
            again = _save(ports, sighting, transitions.reserved(seen, action))
        case DropTarget():
            _book_vanished(ports, seen)
            again = _save(ports, sighting, transitions.dropped(seen, action))
        case Close():
            again = _save(ports, sighting, transitions.closed(seen, action))
        case Keep():
            _book_end(ports, seen, action.vm)
            again = _save(ports, sighting, transitions.kept(seen, action.vm))
        case Insert() | Start():
            again = _ask(ports, sighting, action)
        case Delete():
            again = _delete(ports, sighting, action)
        case SetIntervalEnd():
            verb = f"interval-end-{action.vm.interval_end.isoformat()}-{action.end.isoformat()}"
            request = request_id(seen.now, seen.timing, action.vm.name, verb)
            ports.fleet.set_interval_end(action.vm, action.end, request_id=request)
            again = False  # The VM needs a while; the heartbeat looks again.
        case StopByForce():
            # One that was started again is stopped again, if need be.
            run = f"{action.vm.name}/{action.vm.incarnation}"
            ports.fleet.stop(action.vm, request_id=request_id(seen.now, seen.timing, run, "stop"))
            again = False
        case _:
            again = _on_disk(ports, sighting, action)
    return again


def _save(ports: Ports, sighting: Sighting, state: JobState) -> bool:
    """Write the state if nobody else did since it was read."""
    name = object_names.state(state.job_id)
    Documents(ports.store).write(name, state, if_generation=sighting.state_generation)
    return True


def _on_disk(ports: Ports, sighting: Sighting, action: DiskAction) -> bool:
    state = perform_on_disk(ports, sighting.seen, action)
    if state is None:
        return False  # The disk needs a while; the heartbeat looks again.
    if not isinstance(action, AttachDisk):
        return _save(ports, sighting, state)
    documents, name = Documents(ports.store), object_names.state(state.job_id)
    generation = documents.write(name, state, if_generation=sighting.state_generation)
    try:
        attach(ports, sighting.seen, action)
    except InvalidInputError as error:  # No VM of the kind can have it: a person must mend that.
        reason = f"data disk {action.disk.name}: {error}"
        close = Close(owner=action.owner, phase=Phase.FAILED, reason=reason)
        seen = replace(sighting.seen, state=state)
        documents.write(name, transitions.closed(seen, close), if_generation=generation)
    return False


def _ask(ports: Ports, sighting: Sighting, action: Insert | Start) -> bool:
    """Ask for a VM, and remember its operation."""
    seen, target = sighting.seen, action.target
    operation = _start(ports, action) if isinstance(action, Start) else _insert(ports, seen, target)
    if operation.done and operation.failure is not None:
        _LOG.warning(
            "%s not made or started in %s: %s",
            target.vm,
            target.compute_zone,
            operation.message,
            extra={
                "event": "insert_refused",
                "job_id": seen.job.job_id,
                "failure": operation.failure,
                "compute_zone": target.compute_zone,
            },
        )
        return perform(ports, sighting, give_up(seen, target, operation))
    asked = replace(seen.state, target=replace(target, operation=operation.name))
    return _save(ports, sighting, asked)


def _insert(ports: Ports, seen: Observation, target: Target) -> Operation:
    request = insert_request_id(target.vm)
    try:
        return ports.fleet.insert(_spec(ports, seen, target), request_id=request)
    except InvalidInputError as error:  # It would be refused again: patience ends in a message.
        return Operation.over(
            "refused", target.compute_zone, failure=FailureKind.OTHER, message=str(error)
        )


def _start(ports: Ports, action: Start) -> Operation:
    target = action.target
    metadata: dict[str, str] = {
        Attribute.INCARNATION: str(target.incarnation),
        Attribute.INTERVAL_START: target.interval_start.isoformat(),
        Attribute.INTERVAL_END: target.interval_end.isoformat(),
        Attribute.STARTED_AT: target.reserved_at.isoformat(),
    }
    request = start_request_id(target.vm, target.incarnation)
    return ports.fleet.start(action.vm, metadata, request_id=request)


def _delete(ports: Ports, sighting: Sighting, action: Delete) -> bool:
    """Book first, delete last: what a VM drew must be known before it is gone."""
    seen, vm = sighting.seen, action.vm
    _book_end(ports, seen, vm)
    state = transitions.removed(seen, vm)
    is_news = state != seen.state
    if is_news:
        _save(ports, sighting, state)
    ports.fleet.delete(vm, request_id=request_id(seen.now, seen.timing, vm.name, "delete"))
    return is_news


def _book_end(ports: Ports, seen: Observation, vm: Vm) -> None:
    """Book how long a VM that is down drew power; one that was to be started and never was: not."""
    if vm.terminated_at is not None and vm.terminated_at <= vm.created_at:
        return
    lifetime = VmLifetime(
        job_id=vm.job_id,
        vm=vm.name,
        incarnation=vm.incarnation,
        compute_zone=vm.compute_zone,
        created_at=vm.created_at,
        # Not known: it was down by now, and by the time at which Compute Engine stops it.
        terminated_at=vm.terminated_at or max(vm.created_at, min(seen.now, vm.run_until)),
    )
    _book(ports, lifetime)


def _book(ports: Ports, lifetime: VmLifetime) -> None:
    """Write it unless it is there; what was seen replaces what was assumed."""
    documents = Documents(ports.store)
    name = object_names.vm_lifetime(lifetime.job_id, lifetime.incarnation)
    found = documents.find(VmLifetime, name)
    if found is None:
        documents.create(name, lifetime)
    elif found.document.is_assumed and not lifetime.is_assumed:
        documents.write(name, lifetime, if_generation=found.generation)


def _book_vanished(ports: Ports, seen: Observation) -> None:
    """Book a VM that was made and is gone, deleted by a person, say: it drew power until then."""
    target, operation = seen.pending, seen.operation
    if target is None or operation is None or not operation.done or operation.failure is not None:
        return
    lifetime = VmLifetime(
        job_id=seen.job.job_id,
        vm=target.vm,
        incarnation=target.incarnation,
        compute_zone=target.compute_zone,
        created_at=target.reserved_at,
        terminated_at=max(seen.now, target.reserved_at),
        is_assumed=True,
    )
    _book(ports, lifetime)


def _spec(ports: Ports, seen: Observation, target: Target) -> VmSpec:
    latest_end = max(target.interval_end, seen.job.effective_deadline or target.interval_end)
    longest = min(latest_end - seen.now + RUN_MARGIN, LONGEST_RUN)
    return VmSpec(
        name=target.vm,
        compute_zone=target.compute_zone,
        machine_type=seen.job.machine_type,
        labels={
            Label.MANAGED_BY: MANAGED_BY,
            Label.JOB: seen.job.job_id,
            Label.INCARNATION: str(target.incarnation),
            Label.PLAN: (seen.state.plan_id or "none").lower(),
            Label.DEPLOYMENT: deployment_label(ports.store.url),
        },
        metadata={
            Attribute.JOB: seen.job.job_id,
            Attribute.INCARNATION: str(target.incarnation),
            Attribute.BUCKET: ports.store.url,
            Attribute.INTERVAL_START: target.interval_start.isoformat(),
            Attribute.INTERVAL_END: target.interval_end.isoformat(),
            Attribute.LEASE_TTL_S: str(seen.timing.lease_ttl_s),
            Attribute.SHUTDOWN_GRACE_S: str(seen.timing.shutdown_grace_s),
            **({Attribute.DATA_DISK: "1"} if seen.job.keep_disk else {}),
        },
        max_run_duration_s=ceil(longest.total_seconds()),
        template=seen.job.template,
        data_disk=disk_for(ports, seen, target.compute_zone),
    )
