"""The port `VmFleet` on the embedded cloud."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial

from pydantic import SecretStr

from functions.domain.lifecycle.vm import FailureKind, Operation, Vm, VmSpec
from functions.errors import QuotaExceededError
from functions.local.calls import AlreadyExistsError, InUseError, NotFoundError, call
from functions.local.front import METADATA, SPEC, VMS
from functions.local.front_answers import OPERATION, REQUEST_ID


class LocalFleet:
    """VMs that are processes of this machine."""

    def __init__(self, url: str, key: SecretStr) -> None:
        """Take the embedded cloud's address and key."""
        self._url = url
        self._call = partial(call, key=key)

    def list(self) -> Sequence[Vm]:
        """Return all managed VMs in all zones, in one call."""
        return VMS.validate_json(self._call("GET", f"{self._url}/vms"))

    def insert(self, spec: VmSpec, *, request_id: str) -> Operation:
        """Start to create a VM; if the name exists, return a done operation.

        Without quota the operation has failed.
        """
        data, place = SPEC.dump_json(spec), (spec.name, spec.compute_zone)
        try:
            return self._begin(f"{self._url}/vms", data, place, request_id)
        except AlreadyExistsError as error:
            return Operation.over(*place, message=str(error))

    def start(self, vm: Vm, metadata: Mapping[str, str], *, request_id: str) -> Operation:
        """Set metadata of a stopped VM, then start it; gone is a done operation."""
        url = f"{self._url}/zones/{vm.compute_zone}/vms/{vm.name}/start"
        data, place = METADATA.dump_json(dict(metadata)), (vm.name, vm.compute_zone)
        try:
            return self._begin(url, data, place, request_id)
        except NotFoundError as error:
            return Operation.over(*place, message=str(error))

    def operation(self, name: str, compute_zone: str) -> Operation:
        """Look at an operation; an unknown one is done without failure."""
        try:
            answer = self._call("GET", f"{self._url}/zones/{compute_zone}/operations/{name}")
        except NotFoundError as error:
            return Operation.over(name, compute_zone, message=str(error))
        return OPERATION.validate_json(answer)

    def stop(self, vm: Vm, *, request_id: str) -> None:
        """Power off by force; a VM that is gone or down is fine."""
        self._change("POST", vm, "/stop", b"", request_id)

    def delete(self, vm: Vm, *, request_id: str) -> None:
        """Delete it with its boot disk; a VM that is gone is fine."""
        self._change("DELETE", vm, "", b"", request_id)

    def set_interval_end(self, vm: Vm, end: datetime, *, request_id: str) -> None:
        """Tell a running VM when to stop, by its metadata; a VM that is gone is fine."""
        self._change("PUT", vm, "/interval-end", end.isoformat().encode(), request_id)

    def _begin(self, url: str, data: bytes, place: tuple[str, str], request_id: str) -> Operation:
        """Ask for a VM of this name in this compute zone; a lack is an operation that failed."""
        try:
            answer = self._call("POST", url, data=data, params={REQUEST_ID: request_id})
        except QuotaExceededError as error:
            return Operation.over(*place, failure=FailureKind.QUOTA, message=str(error))
        except InUseError as error:
            return Operation.over(*place, failure=FailureKind.OTHER, message=str(error))
        return OPERATION.validate_json(answer)

    def _change(self, method: str, vm: Vm, what: str, data: bytes, request_id: str) -> None:
        url = f"{self._url}/zones/{vm.compute_zone}/vms/{vm.name}{what}"
        with suppress(NotFoundError):
            self._call(method, url, data=data, params={REQUEST_ID: request_id})
