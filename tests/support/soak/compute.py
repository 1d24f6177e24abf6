"""Compute Engine: VMs with states, operations, request ids, and what goes wrong with them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from functions.domain.lifecycle.disk import DataDiskSpec, Disk, Snapshot
from functions.domain.lifecycle.vm import FailureKind, Operation, Vm, VmSpec, VmStatus
from functions.errors import InvalidInputError
from soak.faults import Kind
from soak.guest import Guest
from soak.kernel import START, Machine
from vm_runtime.contract.instance import MANAGED_BY, Attribute, Label

if TYPE_CHECKING:
    from soak.world import World

Key = tuple[str, str]
"""Compute zone and name: two zones may have VMs of one name."""

UP = {VmStatus.PROVISIONING, VmStatus.STAGING, VmStatus.RUNNING}


@dataclass(eq=False)
class Instance:
    """A VM as Compute Engine has it."""

    spec: VmSpec
    created_s: float
    labels: dict[str, str]
    metadata: dict[str, str]
    status: VmStatus = VmStatus.PROVISIONING
    terminated_s: float | None = None
    has_run: bool = False
    guest: Guest | None = None
    ended_because: str = ""
    runs: int = 1
    """How often it was made or started."""
    down_before_s: float | None = None
    """When it had gone down, before it was started again."""

    @property
    def name(self) -> str:
        """Its name."""
        return self.spec.name

    @property
    def key(self) -> Key:
        """What identifies it."""
        return (self.spec.compute_zone, self.spec.name)

    @property
    def is_managed(self) -> bool:
        """Whether it has our label."""
        return self.labels.get(Label.MANAGED_BY) == MANAGED_BY

    @property
    def is_up(self) -> bool:
        """Whether it is up or on its way."""
        return self.status in UP

    @property
    def interval_end(self) -> datetime:
        """When it is to stop."""
        return datetime.fromisoformat(self.metadata[Attribute.INTERVAL_END])

    @property
    def run_until_s(self) -> float:
        """When Compute Engine stops it."""
        return self.created_s + self.spec.max_run_duration_s

    def as_vm(self) -> Vm:
        """Return it as the port shows it."""
        down_s = self.terminated_s
        return Vm(
            name=self.name,
            compute_zone=self.spec.compute_zone,
            status=self.status,
            job_id=self.labels[Label.JOB],
            incarnation=int(self.metadata[Attribute.INCARNATION]),
            created_at=START + timedelta(seconds=self.created_s),
            interval_end=self.interval_end,
            run_until=START + timedelta(seconds=self.run_until_s),
            terminated_at=None if down_s is None else START + timedelta(seconds=down_s),
        )


@dataclass
class ComputeEngine:
    """All VMs of the project."""

    world: "World"
    instances: dict[Key, Instance] = field(default_factory=dict)
    operations: dict[str, Operation] = field(default_factory=dict)
    requests: dict[str, str] = field(default_factory=dict)
    """Operation by request id: a repeated request gives the first one's operation."""
    taken: set[str] = field(default_factory=set)
    """Names that a person's VM has."""

    def __post_init__(self) -> None:
        """Run on a machine that never fails."""
        self.machine = Machine(self.world.kernel, "Compute Engine")

    def insert(self, spec: VmSpec, request_id: str) -> Operation:
        """Start to create a VM."""
        if request_id in self.requests:
            return self.operations[self.requests[request_id]]
        world, disk = self.world, spec.data_disk
        if world.is_on(Kind.TEMPLATE_DELETED):
            raise InvalidInputError("instance template: expected one, found none. Make it.")
        key = (spec.compute_zone, spec.name)
        if key in self.instances or spec.name in self.taken:
            return Operation(name=f"existing-{spec.name}", compute_zone=key[0], done=True)
        failure = self.failure_in(spec.compute_zone)
        if disk is not None and not world.disks.can_take(disk):
            failure = FailureKind.OTHER
        operation = self.begin(request_id, key[0])
        if failure is not None and world.dice.random() < 0.4:  # refused at once
            return self.finish(operation.name, failure)
        instance = None
        if failure is None or world.dice.random() < 0.5:  # else it was never to be seen
            instance = Instance(
                spec=spec,
                created_s=world.kernel.now_s,
                labels=dict(spec.labels),
                metadata=dict(spec.metadata),
            )
            self.instances[key] = instance
            world.laws.created(instance, will_run=failure is None)
        if disk is not None and failure is None:
            world.disks.give(disk, spec.name)
        self.later(lambda: self._make(operation.name, instance, failure))
        return operation

    def start(self, vm: Vm, metadata: Mapping[str, str], request_id: str) -> Operation:
        """Set metadata of a VM, then start it if it is down."""
        if request_id in self.requests:
            return self.operations[self.requests[request_id]]
        instance, zone = self.instances.get((vm.compute_zone, vm.name)), vm.compute_zone
        self.world.laws.touched(vm, instance, "start")
        gone = Operation(name=f"gone-{vm.name}", compute_zone=zone, done=True)
        if instance is None or not instance.is_managed:
            return gone
        instance.metadata |= metadata
        name = self.begin(request_id, zone).name
        if instance.status is not VmStatus.TERMINATED:
            return self.finish(name, None)
        failure = self.failure_in(zone)
        if failure is None or failure is FailureKind.STOCK_OUT:
            self._power_on(instance)
            self.later(lambda: self._make(name, instance, failure))
            return self.operations[name]
        return self.finish(name, failure)

    def _power_on(self, instance: Instance) -> None:
        instance.down_before_s, instance.terminated_s = instance.terminated_s, None
        instance.status, instance.guest = VmStatus.PROVISIONING, None
        instance.created_s, instance.ended_because = self.world.kernel.now_s, ""
        instance.runs += 1

    def begin(self, request_id: str, compute_zone: str) -> Operation:
        """Note an operation that is under way."""
        name = f"operation-{len(self.operations) + 1}"
        self.operations[name] = Operation(name=name, compute_zone=compute_zone, done=False)
        self.requests[request_id] = name
        return self.operations[name]

    def finish(self, name: str, failure: FailureKind | None) -> Operation:
        """Note that an operation is done, or has failed."""
        self.operations[name] = Operation(
            name=name,
            compute_zone=self.operations[name].compute_zone,
            done=True,
            failure=failure,
            message=f"Compute Engine says: {failure}" if failure else "",
        )
        return self.operations[name]

    def asked_before(
        self, request_id: str, compute_zone: str, *, is_there: bool
    ) -> Operation | None:
        """Return what a repeated request gets, or one for what is there already."""
        if request_id in self.requests:
            return self.operations[self.requests[request_id]]
        if is_there:
            return Operation(name="existing", compute_zone=compute_zone, done=True)
        return None

    def refused(self, compute_zone: str, failure: FailureKind) -> Operation:
        """Return an operation that has failed at once."""
        name = f"refused-{len(self.operations) + 1}"
        self.operations[name] = Operation(name=name, compute_zone=compute_zone, done=False)
        return self.finish(name, failure)

    def later(self, run: Callable[[], object]) -> None:
        """Do something that takes time."""
        self.world.kernel.spawn(self.machine, run)

    def failure_in(self, compute_zone: str) -> FailureKind | None:
        """Return why nothing can be made there now."""
        world = self.world
        for kind, failure in (
            (Kind.REFUSED, FailureKind.OTHER),
            (Kind.QUOTA, FailureKind.QUOTA),
            (Kind.STOCK_OUT, FailureKind.STOCK_OUT),
        ):
            if any(compute_zone.startswith(each.place) for each in world.active(kind)):
                return failure
        return None

    def operation(self, name: str, compute_zone: str) -> Operation:
        """Look at an operation."""
        known = self.operations.get(name)
        return known or Operation(name=name, compute_zone=compute_zone, done=True)

    def list(self) -> Sequence[Vm]:
        """Return all that have our label."""
        return [each.as_vm() for each in self.instances.values() if each.is_managed]

    def stop(self, vm: Vm, request_id: str) -> None:
        """Power off by force."""
        instance = self._found(vm, request_id, "stop")
        if instance is not None:
            self.power_off(instance, "stopped by force", notice_s=self.world.dice.uniform(0, 60))

    def delete(self, vm: Vm, request_id: str) -> None:
        """Delete."""
        instance = self._found(vm, request_id, "delete")
        if instance is not None:
            self.remove(instance, "deleted by the control plane")

    def set_interval_end(self, vm: Vm, end: datetime, request_id: str) -> None:
        """Change the metadata; the guest hears of it a moment later."""
        instance = self._found(vm, request_id, "set_interval_end")
        if instance is None:
            return
        told = end.isoformat()
        instance.metadata[Attribute.INTERVAL_END] = told
        self.world.tell(vm.name, f"is told to stop at {end:%H:%M:%S}")
        if instance.guest is not None:
            instance.guest.hear_of_end(told)

    def _found(self, vm: Vm, request_id: str, verb: str) -> Instance | None:
        if request_id in self.requests:
            return None
        self.requests[request_id] = verb
        self.operations.setdefault(verb, Operation(name=verb, compute_zone="", done=True))
        instance = self.instances.get((vm.compute_zone, vm.name))
        self.world.laws.touched(vm, instance, verb)
        return instance if instance is not None and instance.is_managed else None

    def power_off(self, instance: Instance, why: str, *, notice_s: float = 0.0) -> None:
        """Stop a VM; its guest is asked to end, and has so long for it."""
        if not instance.is_up:
            return
        instance.status, instance.ended_because = VmStatus.STOPPING, why
        self.world.tell(instance.name, f"goes down: {why}")
        if instance.guest is not None and notice_s:
            instance.guest.hear_of_shutdown()
        self.later(lambda: self._down(instance, notice_s))

    def remove(self, instance: Instance, why: str) -> None:
        """Delete a VM, up or down."""
        self.world.tell(instance.name, why)
        self._unplug(instance)
        instance.status = VmStatus.STOPPING
        self.later(lambda: self._gone(instance))

    def _make(self, name: str, instance: Instance | None, failure: FailureKind | None) -> None:
        world = self.world
        run = instance.runs if instance is not None else 0
        world.kernel.sleep(world.dice.uniform(3, 30) + world.slow_s())
        self.finish(name, failure)
        if instance is None:
            return
        if failure is not None:
            self._fall_back(instance)
            return
        if instance.status is VmStatus.PROVISIONING:
            instance.status = VmStatus.STAGING
        world.kernel.sleep(world.dice.uniform(3, 20))
        if instance.status is VmStatus.STAGING:
            instance.status, instance.has_run = VmStatus.RUNNING, True
            world.tell(instance.name, f"runs in {instance.spec.compute_zone}")
            instance.guest = Guest(world, instance)
            world.guests.append(instance.guest)
        world.kernel.sleep(instance.run_until_s - world.kernel.now_s)
        if instance.runs == run:  # not one that was started again meanwhile
            self.power_off(instance, "max_run_duration", notice_s=30.0)

    def _fall_back(self, instance: Instance) -> None:
        """Without capacity a new VM vanishes; one that was down before stays so, as it was."""
        if instance.runs == 1:
            self._remove_from_list(instance)
            return
        instance.status, instance.terminated_s = VmStatus.TERMINATED, instance.down_before_s

    def _down(self, instance: Instance, notice_s: float) -> None:
        world = self.world
        world.kernel.sleep(notice_s)
        self._unplug(instance)
        world.kernel.sleep(world.dice.uniform(1, 20))
        instance.status, instance.terminated_s = VmStatus.TERMINATED, world.kernel.now_s

    def _gone(self, instance: Instance) -> None:
        self.world.kernel.sleep(self.world.dice.uniform(1, 20))
        self._remove_from_list(instance)

    def _remove_from_list(self, instance: Instance) -> None:
        self.world.gone.add(instance.name)
        if self.instances.get(instance.key) is instance:
            del self.instances[instance.key]
            self.world.disks.detach(instance.name)

    def _unplug(self, instance: Instance) -> None:
        if instance.guest is not None:
            instance.guest.unplug()


class FleetView:
    """A `VmFleet` and `DiskFleet`, as one run of a function sees it."""

    def __init__(self, world: "World", machine: Machine, party: str) -> None:
        """See the world's VMs from `machine`."""
        self._world, self._machine, self._party = world, machine, party

    def list(self) -> Sequence[Vm]:
        """Return all managed VMs."""
        return self._call("list", self._world.compute.list)

    def disks(self) -> Sequence[Disk]:
        """Return all data disks."""
        disks = self._world.disks
        return self._call("disks", disks.list) if self._world.keeps_disks else []

    def snapshots(self) -> Sequence[Snapshot]:
        """Return all snapshots."""
        disks = self._world.disks
        return self._call("snapshots", disks.list_snapshots) if self._world.keeps_disks else []

    def take_snapshot(
        self, disk: Disk, name: str, labels: dict[str, str], *, request_id: str
    ) -> Operation:
        """Start to make a snapshot."""
        disks = self._world.disks
        return self._call(
            f"take_snapshot {name}", lambda: disks.take_snapshot(disk, name, labels, request_id)
        )

    def copy_disk(self, spec: DataDiskSpec, snapshot: Snapshot, *, request_id: str) -> Operation:
        """Start to make a disk from a snapshot."""
        disks = self._world.disks
        return self._call(f"copy_disk {spec.name}", lambda: disks.copy(spec, snapshot, request_id))

    def attach(self, disk: Disk, vm: Vm, *, request_id: str) -> None:
        """Attach a disk to a VM."""
        disks = self._world.disks
        self._call(f"attach {disk.name}", lambda: disks.attach(disk, vm, request_id))

    def delete_disk(self, disk: Disk, *, request_id: str) -> None:
        """Delete a disk."""
        disks = self._world.disks
        self._call(f"delete_disk {disk.name}", lambda: disks.delete(disk, request_id))

    def delete_snapshot(self, snapshot: Snapshot, *, request_id: str) -> None:
        """Delete a snapshot."""
        disks = self._world.disks
        self._call(
            f"delete_snapshot {snapshot.name}", lambda: disks.delete_snapshot(snapshot, request_id)
        )

    def insert(self, spec: VmSpec, *, request_id: str) -> Operation:
        """Start to create a VM."""
        compute = self._world.compute
        return self._call(f"insert {spec.name}", lambda: compute.insert(spec, request_id))

    def start(self, vm: Vm, metadata: Mapping[str, str], *, request_id: str) -> Operation:
        """Set metadata of a stopped VM, then start it."""
        compute = self._world.compute
        return self._call(f"start {vm.name}", lambda: compute.start(vm, metadata, request_id))

    def operation(self, name: str, compute_zone: str) -> Operation:
        """Look at an operation."""
        compute = self._world.compute
        return self._call("operation", lambda: compute.operation(name, compute_zone))

    def stop(self, vm: Vm, *, request_id: str) -> None:
        """Power off by force."""
        self._call(f"stop {vm.name}", lambda: self._world.compute.stop(vm, request_id))

    def delete(self, vm: Vm, *, request_id: str) -> None:
        """Delete."""
        self._call(f"delete {vm.name}", lambda: self._world.compute.delete(vm, request_id))

    def set_interval_end(self, vm: Vm, end: datetime, *, request_id: str) -> None:
        """Tell a VM when to stop."""
        compute = self._world.compute
        self._call(
            f"set_interval_end {vm.name}", lambda: compute.set_interval_end(vm, end, request_id)
        )

    def _call(self, what: str, effect: Callable[[], object]) -> object:
        self._world.laws.counted(self._party, what)
        return self._world.calls.make(self._machine, self._party, f"fleet.{what}", effect)
