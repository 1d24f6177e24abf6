"""The compute service of the embedded cloud: VMs are processes that run the real runtime."""

import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from functions.domain.lifecycle.vm import FailureKind, VmSpec, VmStatus
from functions.local.disk_service import DiskService
from functions.local.disk_store import DiskStore
from functions.local.events import EventKind
from functions.local.machine import LEAST_NOTICE_S, Guests, Machine
from functions.local.refusal import RefusedError
from functions.local.vm_states import (
    Delays,
    Fate,
    OperationRecord,
    VmRecord,
    advance,
    check_labelled,
    enter,
    fate_of,
    started,
)
from functions.local.world import World

Key = tuple[str, str]
_TURN_S = 0.02
_STOPPED_EARLY = "The VM was stopped before it ran."


class Compute:
    """Records, operations and the machines behind them; all methods are safe in threads."""

    def __init__(
        self,
        *,
        world: World,
        guests: Guests,
        delays: Delays,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        """Start with no VMs; `on_change` is called after each change of the records."""
        self._clock = world.clock
        self._log = world.log
        self._faults = world.faults
        self._guests = guests
        self._delays = delays
        self._on_change = on_change
        self._lock = threading.RLock()
        self.disk_store = DiskStore(
            world=world, folder=guests.folder / "disks", delays=delays, on_change=on_change
        )
        """Its lock comes after the one here."""
        self.disk_service = DiskService(
            self.disk_store, answering=self._locked, check_vm=self._existing
        )
        self._records: dict[Key, VmRecord] = {}
        self._operations: dict[str, OperationRecord] = {}
        self._requests: dict[str, str] = {}
        self._machines: dict[Key, Machine] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._turn, name="compute", daemon=True)

    def restore(
        self,
        vms: Iterable[VmRecord],
        operations: Iterable[OperationRecord],
        requests: Mapping[str, str],
    ) -> None:
        """Take up what an earlier cloud left."""
        with self._lock:
            self._records = {record.key: record for record in vms}
            self._operations = {operation.name: operation for operation in operations}
            self._requests = dict(requests)

    def saved(self) -> tuple[tuple[VmRecord, ...], tuple[OperationRecord, ...], dict[str, str]]:
        """Return what `restore` takes."""
        with self._lock:
            return (
                tuple(self._records.values()),
                tuple(self._operations.values()),
                dict(self._requests),
            )

    def save(self) -> None:
        """Call `on_change` as after a change: under the lock, which it takes first."""
        with self._lock:
            self._on_change()

    def start(self) -> None:
        """Let time pass for the VMs."""
        self._thread.start()

    def stop(self) -> None:
        """Power failure: all machines are off at once, and the records stay as they are."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        with self._lock:
            for machine in self._machines.values():
                machine.close()
            self._machines.clear()

    # What clients call.

    def list(self) -> list[VmRecord]:
        """Return all managed VMs."""
        with self._lock, self._answering("list"):
            return [record for record in self._records.values() if record.is_managed]

    def insert(self, spec: VmSpec, *, request_id: str) -> OperationRecord:
        """Accept a new VM.

        Raises:
            RefusedError: name taken, quota, right missing, service unavailable.
            InvalidInputError: it could not be listed.
        """
        check_labelled(spec.labels, spec.metadata)
        with self._lock, self._answering("insert"):
            if request_id in self._requests:
                return self._operations[self._requests[request_id]]
            self._refuse(spec)
            if spec.data_disk is not None:
                self.disk_store.give(spec.data_disk, spec.name)
            now = self._clock.now()
            operation = OperationRecord(
                name=f"operation-{uuid.uuid4().hex}",
                compute_zone=spec.compute_zone,
                vm_name=spec.name,
            )
            faults = self._faults.present
            fails = self._faults.hits(faults.failing_inserts)
            self._operations[operation.name] = operation
            self._requests[request_id] = operation.name
            self._put(
                VmRecord(
                    name=spec.name,
                    compute_zone=spec.compute_zone,
                    machine_type=spec.machine_type,
                    labels=spec.labels,
                    metadata=spec.metadata,
                    max_run_duration_s=spec.max_run_duration_s,
                    operation=operation.name,
                    created_at=now,
                    since=now,
                    fate=fate_of(spec.compute_zone, faults, fails=fails),
                    extra_provisioning_s=faults.slow_insert_s,
                ),
                "accepted",
            )
            return operation

    def operation(self, name: str, compute_zone: str) -> OperationRecord:
        """Return an operation.

        Raises:
            RefusedError: unknown, or service unavailable.
        """
        with self._lock, self._answering("operation"):
            found = self._operations.get(name) or self.disk_store.operation(name, compute_zone)
            if found is None or found.compute_zone != compute_zone:
                raise RefusedError(404, "notFound", f"operation {name} is not in {compute_zone}")
            return found

    def stop_vm(self, name: str, compute_zone: str, *, request_id: str) -> None:
        """Power off.

        Raises:
            RefusedError: no such VM, or service unavailable.
        """
        with self._lock, self._answering("stop"):
            record = self._existing(name, compute_zone)
            is_up = record.status is not VmStatus.TERMINATED
            if self._is_new(request_id) and is_up:
                self._shut_down(record, "stopped on request")

    def start_vm(
        self, name: str, compute_zone: str, metadata: Mapping[str, str], *, request_id: str
    ) -> OperationRecord:
        """Set metadata of a stopped VM and start it; one that is up is left alone.

        Raises:
            RefusedError: no such VM, quota, service unavailable.
        """
        with self._lock, self._answering("start"):
            if request_id in self._requests:
                return self._operations[self._requests[request_id]]
            record = self._existing(name, compute_zone)
            self._refuse_quota(name, compute_zone)
            operation = OperationRecord(
                name=f"operation-{uuid.uuid4().hex}", compute_zone=compute_zone, vm_name=name
            )
            faults = self._faults.present
            is_down = record.status is VmStatus.TERMINATED
            if not is_down:
                operation = replace(operation, done=True)
            elif fate_of(compute_zone, faults, fails=False) is Fate.STOCK_OUT:
                text = f"ZONE_RESOURCE_POOL_EXHAUSTED: {compute_zone} has no capacity"
                failure = FailureKind.STOCK_OUT
                operation = replace(operation, done=True, failure=failure, message=text)
                self._log.say(EventKind.FAULT, name, text)
            self._operations[operation.name] = operation
            self._requests[request_id] = operation.name
            if is_down and not operation.done:
                now = self._clock.now()
                self._put(started(record, metadata, operation.name, now), "started again")
            return operation

    def delete(self, name: str, compute_zone: str, *, request_id: str) -> None:
        """Delete with the boot disk.

        Raises:
            RefusedError: no such VM, or service unavailable.
        """
        with self._lock, self._answering("delete"):
            record = replace(self._existing(name, compute_zone), is_deleting=True)
            if self._is_new(request_id):
                self._shut_down(record, "deleted on request")

    def set_attribute(
        self, name: str, compute_zone: str, attribute: tuple[str, str], *, request_id: str
    ) -> None:
        """Change custom metadata, a key and its value.

        Raises:
            RefusedError: no such VM, or service unavailable.
        """
        with self._lock, self._answering("setMetadata"):
            record = self._existing(name, compute_zone)
            if not self._is_new(request_id):
                return
            key, value = attribute
            metadata = record.metadata | {key: value}
            self._put(replace(record, metadata=metadata), f"{key} set to {value}")
            if machine := self._machines.get(record.key):
                machine.set_attribute(key, value)

    # What a test or a demo does to the guests.

    def preempt(self, name: str, *, without_notice: bool = False) -> None:
        """Take back the running VM `name`, as Compute Engine takes back a Spot VM.

        Raises:
            LookupError: no such VM runs.
        """
        with self._lock:
            record, machine = self._running(name)
            self._log.say(EventKind.FAULT, name, "preempted")
            if without_notice:
                machine.kill()
                return
            machine.announce_preemption()
            self._shut_down(record, "preempted")

    def kill(self, name: str) -> None:
        """Kill the process of the running VM `name`, as `kill -9` does.

        Raises:
            LookupError: no such VM runs.
        """
        with self._lock:
            self._running(name)[1].kill()
            self._log.say(EventKind.FAULT, name, "killed")

    def pid(self, name: str) -> int:
        """Return the process of the running VM `name`.

        Raises:
            LookupError: no such VM runs.
        """
        with self._lock:
            pid = self._running(name)[1].pid
        if pid is None:
            raise LookupError(f"{name}: expected a guest, found it still booting. Wait.")
        return pid

    # Inside.

    @contextmanager
    def _answering(self, call: str) -> Iterator[None]:
        faults = self._faults.present
        if self._faults.hits(faults.unavailable):
            self._log.say(EventKind.FAULT, call, "refused: service unavailable")
            raise RefusedError(503, "backendError", f"{call}: try again later")
        yield
        if self._faults.hits(faults.lost_responses):
            self._log.say(EventKind.FAULT, call, "done, but the response was lost")
            raise RefusedError(503, "backendError", f"{call}: the response was lost")

    @contextmanager
    def _locked(self, call: str) -> Iterator[None]:
        with self._lock, self._answering(call):
            yield

    def _is_new(self, request_id: str) -> bool:
        """Note a request; a repeat changes nothing, as it might undo a later one."""
        if request_id in self._requests:
            return False
        self._requests[request_id] = ""
        return True

    def _refuse(self, spec: VmSpec) -> None:
        if (spec.compute_zone, spec.name) in self._records:
            raise RefusedError(409, "alreadyExists", f"{spec.name} exists in {spec.compute_zone}")
        self._refuse_quota(spec.name, spec.compute_zone)
        if self._faults.present.denied:
            raise RefusedError(403, "forbidden", "Required 'compute.instances.create' permission")

    def _refuse_quota(self, name: str, compute_zone: str) -> None:
        region = compute_zone.rpartition("-")[0]
        if region in self._faults.present.quota_exceeded:
            self._log.say(EventKind.FAULT, name, f"quota of {region} exceeded")
            raise RefusedError(403, "quotaExceeded", f"Quota 'CPUS' exceeded in region {region}")

    def _existing(self, name: str, compute_zone: str) -> VmRecord:
        record = self._records.get((compute_zone, name))
        if record is None:
            raise RefusedError(404, "notFound", f"{name} is not in {compute_zone}")
        return record

    def _running(self, name: str) -> tuple[VmRecord, Machine]:
        for key, machine in self._machines.items():
            if key[1] == name and self._records[key].status is VmStatus.RUNNING:
                return self._records[key], machine
        states = {key[1]: str(record.status) for key, record in self._records.items()}
        raise LookupError(f"{name}: expected a running VM, found {states}. Wait until it runs.")

    def _put(self, record: VmRecord, what: str) -> None:
        self._records[record.key] = record
        text = f"{record.status} in {record.compute_zone}"
        self._log.say(EventKind.VM, record.name, f"{text}: {what}" if what else text)
        self._on_change()

    def _shut_down(self, record: VmRecord, why: str) -> None:
        if record.status is VmStatus.STOPPING:
            self._put(record, why)
            return
        if record.running_since is None:
            self._finish(record, FailureKind.OTHER, _STOPPED_EARLY)
        if machine := self._machines.get(record.key):
            machine.shut_down(
                notice_s=max(LEAST_NOTICE_S, self._clock.wait_s(self._guests.notice_s))
            )
        self._put(enter(record, VmStatus.STOPPING, self._clock.now()), why)

    def _finish(self, record: VmRecord, failure: FailureKind | None, message: str = "") -> None:
        operation = self._operations[record.operation]
        if operation.done:
            return
        self._operations[operation.name] = replace(
            operation, done=True, failure=failure, message=message
        )

    def _turn(self) -> None:
        while not self._stopping.wait(_TURN_S):
            with self._lock:
                for record in list(self._records.values()):
                    self._advance(record)

    def _advance(self, record: VmRecord) -> None:
        machine = self._machines.get(record.key)
        if machine:
            machine.turn()
            if machine.waits and self._clock.now() >= record.vm().interval_end:
                machine.kill()
        exit_code = machine.exit_code if machine else None
        has_power = machine is not None and machine.has_power
        now = self._clock.now()
        new = advance(record, now, has_power=has_power, delays=self._delays)
        if new is record:
            return
        if new is None:
            self._vanish(record, now)
        elif new.status is VmStatus.RUNNING:
            self._power_on(new)
        elif new.status is VmStatus.STOPPING:
            self._shut_down(record, "max_run_duration is over")
        elif new.status is VmStatus.TERMINATED:
            self._power_off(record)
            self._put(new, f"powered off (exit {exit_code})")
        else:
            self._put(new, "")

    def _power_on(self, record: VmRecord) -> None:
        self._machines[record.key] = Machine(
            record, self._guests, lambda: self.disk_store.folder_of(record.name)
        )
        self._finish(record, None)
        self._put(record, "boots")

    def _power_off(self, record: VmRecord) -> None:
        if machine := self._machines.pop(record.key, None):
            machine.close()

    def _vanish(self, record: VmRecord, now: datetime) -> None:
        self._power_off(record)
        self.disk_store.vm_is_gone(record.name, never_ran=not record.was_up)
        del self._records[record.key]
        match record.fate:
            case Fate.STOCK_OUT:
                text = f"ZONE_RESOURCE_POOL_EXHAUSTED: {record.compute_zone} has no capacity"
                self._finish(record, FailureKind.STOCK_OUT, text)
            case Fate.FAILS:
                text = "INTERNAL_ERROR: the insert failed"
                self._finish(record, FailureKind.OTHER, text)
            case Fate.RUNS:
                text = f"deleted at {now:%H:%M:%S}"
        kind = EventKind.VM if record.fate is Fate.RUNS else EventKind.FAULT
        self._log.say(kind, record.name, f"gone: {text}")
        self._on_change()
