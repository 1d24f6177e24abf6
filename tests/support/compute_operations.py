"""Compute Engine's long-running operations in memory, and the idempotency of request ids."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from compute_rules import RefusedError, as_error, global_url, pacific, zone_url
from google.cloud import compute_v1 as gce

from vm_runtime.contract.clock import Clock

Failure = tuple[str, str]
"""Code and message of an operation that failed."""


@dataclass
class _Pending:
    operation: gce.Operation
    takes_s: float
    finish: Callable[[], Failure | None]
    undo: Callable[[], None]
    begun_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Undertaking:
    """What an operation is to do."""

    verb: str
    target: str
    """The resource, below its zone or `global`: `instances/NAME`."""
    zone: str = ""
    """Empty: a global operation."""
    request_id: str = ""
    finish: Callable[[], Failure | None] = lambda: None
    """Called when its time has come; may fail."""
    undo: Callable[[], None] = lambda: None
    """Called instead if it is scripted to fail."""


class Operations:
    """All operations of the project."""

    def __init__(self, clock: Clock, ids: Iterator[int], failing: dict[str, Failure]) -> None:
        """Start with none.

        Args:
            clock: moved by hand.
            ids: of all resources.
            failing: operations of a verb that end with this code and message.
        """
        self._clock, self._ids, self._failing = clock, ids, failing
        self._pending: dict[tuple[str, str], _Pending] = {}
        self._requests: dict[str, tuple[str, str]] = {}

    def begin(self, wanted: Undertaking, *, takes_s: float) -> gce.Operation:
        """Begin one; it is done `takes_s` simulated seconds later."""
        number = next(self._ids)
        name = f"operation-{number}"
        where = zone_url(wanted.zone) if wanted.zone else global_url()
        operation = gce.Operation(
            kind="compute#operation",
            id=number,
            name=name,
            operation_type=wanted.verb,
            target_link=f"{where}/{wanted.target}",
            status=gce.Operation.Status.RUNNING,
            insert_time=pacific(self._clock.now()),
        )
        if wanted.zone:
            operation.zone = where
        begun_s = self._clock.now().timestamp()
        pending = _Pending(operation, takes_s, wanted.finish, wanted.undo, begun_s)
        self._pending[wanted.zone, name] = pending
        if wanted.request_id:
            self._requests[wanted.request_id] = (wanted.zone, name)
        return operation

    def repeated(self, request_id: str) -> gce.Operation | None:
        """Return the operation that a request id began, as it is now."""
        if not request_id:
            return None
        try:
            given = uuid.UUID(request_id)
        except ValueError:
            given = uuid.UUID(int=0)
        if given.int == 0:
            raise RefusedError(400, "invalid", f"requestId {request_id!r} is no valid UUID")
        where = self._requests.get(request_id)
        return None if where is None else self._pending[where].operation

    def get(self, zone: str, name: str) -> gce.Operation:
        """Return an operation of a compute zone."""
        found = self._pending.get((zone, name))
        if found is None:
            raise RefusedError(404, "notFound", f"operation {name} was not found")
        return found.operation

    def settle(self) -> None:
        """End those whose time has come."""
        now_s = self._clock.now().timestamp()
        for pending in list(self._pending.values()):
            is_due = now_s - pending.begun_s >= pending.takes_s - 1e-6
            if pending.operation.status != gce.Operation.Status.DONE and is_due:
                self._end(pending)

    def _end(self, pending: _Pending) -> None:
        operation = pending.operation
        failure = self._failing.get(operation.operation_type)
        if failure is None:
            failure = pending.finish()
        else:
            pending.undo()
        operation.status = gce.Operation.Status.DONE
        operation.progress = 100
        if failure is not None:
            operation.error = gce.Error(errors=[as_error(*failure)])
            operation.http_error_status_code = 503
            operation.http_error_message = "SERVICE UNAVAILABLE"
