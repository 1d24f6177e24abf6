"""The port `VmFleet` on a compute service of this very process: one machine, no HTTP between."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime

from functions.domain.lifecycle.vm import FailureKind, Operation, Vm, VmSpec
from functions.errors import PermissionDeniedError, UnavailableError
from functions.local.compute import Compute
from functions.local.refusal import RefusedError
from functions.local.vm_states import OperationRecord
from vm_runtime.contract.instance import Attribute

_GONE, _CONFLICT, _UNAVAILABLE = 404, 409, 503
_NO_QUOTA = "quotaExceeded"


class DirectFleet:
    """VMs that are processes of this machine."""

    def __init__(self, compute: Compute) -> None:
        """Take the service."""
        self._compute = compute

    def list(self) -> Sequence[Vm]:
        """Return all managed VMs."""
        with _mapped():
            return [record.vm() for record in self._compute.list()]

    def insert(self, spec: VmSpec, *, request_id: str) -> Operation:
        """Start to create a VM; if the name exists, return a done operation.

        Without quota the operation has failed.
        """
        return _begun(
            (spec.name, spec.compute_zone),
            lambda: self._compute.insert(spec, request_id=request_id),
        )

    def start(self, vm: Vm, metadata: Mapping[str, str], *, request_id: str) -> Operation:
        """Set metadata of a stopped VM, then start it; a VM that is gone is a done operation."""
        place = vm.name, vm.compute_zone
        return _begun(
            place, lambda: self._compute.start_vm(*place, metadata, request_id=request_id)
        )

    def operation(self, name: str, compute_zone: str) -> Operation:
        """Look at an operation; an unknown one is done without failure."""
        place = name, compute_zone
        return _begun(place, lambda: self._compute.operation(*place))

    def stop(self, vm: Vm, *, request_id: str) -> None:
        """Power off; a VM that is gone or down is fine."""
        with suppress(RefusedError), _mapped():
            self._compute.stop_vm(vm.name, vm.compute_zone, request_id=request_id)

    def delete(self, vm: Vm, *, request_id: str) -> None:
        """Delete it; a VM that is gone is fine."""
        with suppress(RefusedError), _mapped():
            self._compute.delete(vm.name, vm.compute_zone, request_id=request_id)

    def set_interval_end(self, vm: Vm, end: datetime, *, request_id: str) -> None:
        """Tell a running VM when to stop, by its metadata; a VM that is gone is fine."""
        attribute = (Attribute.INTERVAL_END, end.isoformat())
        with suppress(RefusedError), _mapped():
            self._compute.set_attribute(vm.name, vm.compute_zone, attribute, request_id=request_id)


def _begun(place: tuple[str, str], ask: Callable[[], OperationRecord]) -> Operation:
    """Return the operation asked for; where it is refused, a done one of that name and zone."""
    try:
        with _mapped():
            return ask().operation()
    except RefusedError as error:
        failure = FailureKind.QUOTA if error.reason == _NO_QUOTA else None
        return Operation.over(*place, failure=failure, message=str(error))


@contextmanager
def _mapped() -> Iterator[None]:
    """Map refusals to the port's errors; what each call answers in its own way passes on."""
    try:
        yield
    except RefusedError as error:
        if error.status >= _UNAVAILABLE:
            raise UnavailableError(f"this machine: {error}. Try again.") from error
        if error.status in {_GONE, _CONFLICT} or error.reason == _NO_QUOTA:
            raise
        raise PermissionDeniedError(f"this machine: {error}. Grant the right.") from error
