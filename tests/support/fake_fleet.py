"""Compute Engine in memory: a `VmFleet` with scripted faults, on a simulated clock."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from fake_disks import FakeDisks

from functions.domain.lifecycle.vm import FailureKind, Operation, Vm, VmSpec, VmStatus
from vm_runtime.contract.clock import Clock
from vm_runtime.contract.instance import Attribute, Label


@dataclass
class FleetFaults:
    """What goes wrong, and where."""

    stock_outs: set[str] = field(default_factory=set)
    """Compute zones without capacity; it surfaces in the operation."""
    quota: set[str] = field(default_factory=set)
    """Regions without quota."""
    taken: set[str] = field(default_factory=set)
    """Names of VMs that are not ours: never listed, in the way of an insert."""
    refused: bool = False
    """Whether operations fail for an unknown reason."""
    slow_operations_s: float = 0.0
    """How much longer operations take."""


@dataclass
class _Order:
    operation: Operation
    spec: VmSpec
    done_at: datetime


class FakeFleet:
    """Managed VMs; each change of state takes simulated time."""

    def __init__(self, clock: Clock, *, boot_s: float = 40.0, stopping_s: float = 20.0) -> None:
        """Start with no VM.

        Args:
            clock: simulated.
            boot_s: from a done operation to RUNNING.
            stopping_s: from STOPPING to TERMINATED.
        """
        self._clock, self._boot_s, self._stopping_s = clock, boot_s, stopping_s
        self.faults = FleetFaults()
        self.disks = FakeDisks(clock)
        self.disks.has_vm = lambda name: name in self.vms
        self.vms: dict[str, Vm] = {}
        self.specs: dict[str, VmSpec] = {}
        self.starts = 0
        self._since: dict[str, datetime] = {}
        self._orders: dict[str, _Order] = {}
        self._by_request: dict[str, str] = {}
        self._refusals: dict[str, FailureKind | None] = {}
        self.on_power_off: Callable[[str], None] = lambda _: None

    def list(self) -> Sequence[Vm]:
        """Return all VMs."""
        self.settle()
        return list(self.vms.values())

    def insert(self, spec: VmSpec, *, request_id: str) -> Operation:
        """Start to create a VM."""
        self.settle()
        if request_id in self._by_request:
            return self.operation(self._by_request[request_id], spec.compute_zone)
        name = f"operation-{len(self._orders) + 1}"
        if spec.name in self.vms or spec.name in self.faults.taken:
            return Operation(name=name, compute_zone=spec.compute_zone, done=True)
        now = self._clock.now()
        operation = Operation(name=name, compute_zone=spec.compute_zone, done=False)
        delay = timedelta(seconds=10 + self.faults.slow_operations_s)
        self._orders[name] = _Order(operation, spec, now + delay)
        self._by_request[request_id] = name
        failure = self._failure(spec.compute_zone)
        if not self.disks.can_make(spec.data_disk):
            failure = FailureKind.OTHER
        self._refusals[name] = failure
        if failure is None:
            self.specs[spec.name] = spec
            if spec.data_disk is not None:
                self.disks.give(spec.data_disk, spec.name)
            self._put(_as_vm(spec, now), VmStatus.PROVISIONING)
        return operation

    def start(self, vm: Vm, metadata: Mapping[str, str], *, request_id: str) -> Operation:
        """Give a stopped VM new metadata and start it."""
        self.settle()
        if request_id in self._by_request:
            return self.operation(self._by_request[request_id], vm.compute_zone)
        name = f"operation-{len(self._orders) + 1}"
        found = self.vms.get(vm.name)
        if found is None or found.status is not VmStatus.TERMINATED:
            return Operation(name=name, compute_zone=vm.compute_zone, done=True)
        now = self._clock.now()
        spec = self.specs[vm.name]
        spec = replace(spec, metadata={**spec.metadata, **metadata})
        self.specs[vm.name] = spec
        self.vms[vm.name] = replace(
            found,
            incarnation=int(metadata.get(Attribute.INCARNATION, found.incarnation)),
            interval_end=datetime.fromisoformat(metadata[Attribute.INTERVAL_END]),
            created_at=datetime.fromisoformat(metadata[Attribute.STARTED_AT]),
        )
        operation = Operation(name=name, compute_zone=vm.compute_zone, done=False)
        delay = timedelta(seconds=10 + self.faults.slow_operations_s)
        self._orders[name] = _Order(operation, spec, now + delay)
        self._by_request[request_id] = name
        failure = self._failure(vm.compute_zone)
        self._refusals[name] = failure
        if failure is None:
            self.starts += 1
            run_until = now + timedelta(seconds=spec.max_run_duration_s)
            up = replace(self.vms[vm.name], terminated_at=None, run_until=run_until)
            self._put(up, VmStatus.PROVISIONING)
        return operation

    def operation(self, name: str, compute_zone: str) -> Operation:
        """Look at an operation."""
        self.settle()
        order = self._orders.get(name)
        of_disks = self.disks.operation(name)
        if of_disks is not None:
            return of_disks
        if order is None:
            return Operation(name=name, compute_zone=compute_zone, done=True)
        return order.operation

    def stop(self, vm: Vm, *, request_id: str) -> None:
        """Power off by force."""
        del request_id
        self.settle()
        if vm.name in self.vms and self.vms[vm.name].is_alive:
            self.on_power_off(vm.name)
            self._put(self.vms[vm.name], VmStatus.STOPPING)

    def delete(self, vm: Vm, *, request_id: str) -> None:
        """Delete."""
        del request_id
        self.settle()
        if self.vms.pop(vm.name, None) is not None:
            self.disks.detach_all(vm.name)
            self.on_power_off(vm.name)

    def set_interval_end(self, vm: Vm, end: datetime, *, request_id: str) -> None:
        """Change the metadata."""
        del request_id
        if vm.name in self.vms:
            self.vms[vm.name] = replace(self.vms[vm.name], interval_end=end)

    def power_off(self, name: str) -> None:
        """Let the guest shut down, or Compute Engine take the VM: its process is gone."""
        if name in self.vms and self.vms[name].is_alive:
            self._put(self.vms[name], VmStatus.STOPPING)

    def settle(self) -> None:
        """Let everything happen whose time has come."""
        now = self._clock.now()
        for order in self._orders.values():
            if not order.operation.done and now >= order.done_at:
                failure = self._refusals[order.operation.name]
                order.operation = replace(
                    order.operation,
                    done=True,
                    failure=failure,
                    message=f"Compute Engine says: {failure}" if failure else "",
                )
        for vm in list(self.vms.values()):
            self._settle_vm(vm, now)

    def _settle_vm(self, vm: Vm, now: datetime) -> None:
        waited_s = (now - self._since[vm.name]).total_seconds()
        longest_s = self.specs[vm.name].max_run_duration_s
        if vm.status is VmStatus.PROVISIONING and waited_s >= self._boot_s:
            self._put(vm, VmStatus.RUNNING)
        elif vm.status is VmStatus.STOPPING and waited_s >= self._stopping_s:
            self._put(replace(vm, terminated_at=now), VmStatus.TERMINATED)
        elif vm.is_alive and (now - vm.created_at).total_seconds() > longest_s:
            self.on_power_off(vm.name)
            self._put(vm, VmStatus.STOPPING)

    def _failure(self, compute_zone: str) -> FailureKind | None:
        if self.faults.refused:
            return FailureKind.OTHER
        if compute_zone.rpartition("-")[0] in self.faults.quota:
            return FailureKind.QUOTA
        return FailureKind.STOCK_OUT if compute_zone in self.faults.stock_outs else None

    def _put(self, vm: Vm, status: VmStatus) -> None:
        self.vms[vm.name] = replace(vm, status=status)
        self._since[vm.name] = self._clock.now()


def _as_vm(spec: VmSpec, now: datetime) -> Vm:
    return Vm(
        name=spec.name,
        compute_zone=spec.compute_zone,
        status=VmStatus.PROVISIONING,
        job_id=spec.labels[Label.JOB],
        incarnation=int(spec.labels[Label.INCARNATION]),
        created_at=now,
        interval_end=datetime.fromisoformat(spec.metadata[Attribute.INTERVAL_END]),
        run_until=now + timedelta(seconds=spec.max_run_duration_s),
    )
