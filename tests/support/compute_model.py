"""Compute Engine's rules in memory, in the client library's own types, on a clock moved by hand.

States, fingerprints, request ids, name conflicts, quotas and stock-outs behave as documented;
what goes wrong is scripted by `ComputeFaults`.
"""

import re
import threading
import uuid
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count

from compute_rules import (
    PROJECT,
    RefusedError,
    as_error,
    check,
    fingerprint,
    last,
    pacific,
    trainer_template,
)
from google.cloud import compute_v1 as gce

from vm_runtime.contract.clock import Clock

_UP = frozenset({"PROVISIONING", "STAGING", "RUNNING"})


@dataclass(frozen=True, slots=True)
class Trouble:
    """What happens to the next call of a method."""

    verb: str
    status: int
    reason: str = ""
    message: str = "scripted"
    after_effect: bool = False
    """The call works, and only its answer is replaced."""
    page: str = ""
    """Only to the call for this page of a list."""


@dataclass
class ComputeFaults:
    """What goes wrong, and where."""

    stock_outs: set[str] = field(default_factory=set)
    """Compute zones without capacity: surfaces in the operation."""
    quota: set[str] = field(default_factory=set)
    """Regions without quota: refused at once with 403."""
    slow_operations_s: float = 0.0
    """How much longer operations take."""
    failing: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Operations of a verb that end with this code and message."""
    troubles: deque[Trouble] = field(default_factory=deque)
    """What happens to the next calls, one each."""
    foreign_edits: int = 0
    """How often somebody else changes the metadata between a get and the next setMetadata."""
    silence_s: float = 0.0
    """Real seconds before any answer."""
    unreachable: list[str] = field(default_factory=list)
    """Zones that a list does without."""


@dataclass
class _Machine:
    instance: gce.Instance
    since: datetime
    stop_at: datetime | None = None


@dataclass
class _Pending:
    operation: gce.Operation
    done_at: datetime
    finish: Callable[[], tuple[str, str] | None]


class ComputeModel:
    """The project's VMs, disks, operations and templates."""

    def __init__(self, clock: Clock) -> None:
        """Start with one template and no VM."""
        self.clock = clock
        self.faults = ComputeFaults()
        self.calls: Counter[str] = Counter()
        self.filters: set[str] = set()
        """Filters of all lists."""
        self.templates = {"trainer-1": trainer_template()}
        self.disks: dict[tuple[str, str], dict[str, str]] = {}
        """Labels of each disk, by compute zone and name."""
        self.held: set[tuple[str, str]] = set()
        """VMs whose guests have not shut down yet: STOPPING until they have."""
        self.page_size = 500
        self.lock = threading.RLock()
        self._machines: dict[tuple[str, str], _Machine] = {}
        self._pending: dict[tuple[str, str], _Pending] = {}
        self._requests: dict[str, tuple[str, str]] = {}
        self._ids = count(1_000_000_000_000_001)

    # The API

    def insert(self, request: gce.InsertInstanceRequest) -> gce.Operation:
        """Create a VM: PROVISIONING at once, and gone again if its operation fails."""
        zone, body = request.zone, request.instance_resource
        if (known := self._repeated(request.request_id)) is not None:
            return known
        instance = self._effective(request)
        key = (zone, body.name)
        if key in self._machines or key in self.disks:
            raise RefusedError(
                409, "alreadyExists", f"The resource '{body.name}' already exists in {zone}"
            )
        if zone.rpartition("-")[0] in self.faults.quota:
            raise RefusedError(403, "quotaExceeded", "Quota 'CPUS' exceeded. Limit: 8.0 in region.")
        now = self.clock.now()
        instance.id, instance.zone = next(self._ids), self._url(zone)
        instance.creation_timestamp = pacific(now)
        instance.metadata.fingerprint = fingerprint()
        self._machines[key] = _Machine(instance, now)
        self._enter(key, "PROVISIONING")
        self.disks[key] = dict(instance.disks[0].initialize_params.labels)
        return self._begin("insert", zone, body.name, request.request_id, self._made(key))

    def stop(self, request: gce.StopInstanceRequest) -> gce.Operation:
        """Power off; nothing happens to one that is down."""
        if (known := self._repeated(request.request_id)) is not None:
            return known
        key = self._key(request.zone, request.instance)
        if self._machines[key].instance.status in _UP:
            self._enter(key, "STOPPING")
        return self._begin("stop", *key, request.request_id, lambda: None)

    def start(self, request: gce.StartInstanceRequest) -> gce.Operation:
        """Start one that is down; a stock-out surfaces in the operation, and it stays down."""
        if (known := self._repeated(request.request_id)) is not None:
            return known
        key = self._key(request.zone, request.instance)
        machine = self._machines[key]
        if machine.instance.status == "STOPPING":
            raise RefusedError(400, "resourceNotReady", f"The resource '{key[1]}' is not ready")
        if machine.instance.status != "TERMINATED":
            return self._begin("start", *key, request.request_id, lambda: None)
        if key[0].rpartition("-")[0] in self.faults.quota:
            raise RefusedError(403, "quotaExceeded", "Quota 'CPUS' exceeded. Limit: 8.0 in region.")
        machine.stop_at, machine.instance.resource_status = None, gce.ResourceStatus()
        self._enter(key, "PROVISIONING")

        def finish() -> tuple[str, str] | None:
            if key[0] not in self.faults.stock_outs:
                return None
            self._enter(key, "TERMINATED")
            return "ZONE_RESOURCE_POOL_EXHAUSTED", f"The zone '{key[0]}' has no capacity."

        return self._begin("start", *key, request.request_id, finish)

    def delete(self, request: gce.DeleteInstanceRequest) -> gce.Operation:
        """Delete; its disk goes with it if it was made so."""
        if (known := self._repeated(request.request_id)) is not None:
            return known
        key = self._key(request.zone, request.instance)
        self._enter(key, "STOPPING")
        return self._begin("delete", *key, request.request_id, lambda: self._remove(key))

    def set_metadata(self, request: gce.SetMetadataInstanceRequest) -> gce.Operation:
        """Replace the metadata if its fingerprint is that of the present one."""
        if (known := self._repeated(request.request_id)) is not None:
            return known
        key = self._key(request.zone, request.instance)
        metadata = self._machines[key].instance.metadata
        if self.faults.foreign_edits > 0:
            self.faults.foreign_edits -= 1
            metadata.items = [*metadata.items, gce.Items(key=f"by-others-{next(self._ids)}")]
            metadata.fingerprint = fingerprint()
        if request.metadata_resource.fingerprint != metadata.fingerprint:
            raise RefusedError(412, "conditionNotMet", "Supplied fingerprint does not match")
        metadata.items = request.metadata_resource.items
        metadata.fingerprint = fingerprint()
        return self._begin("setMetadata", *key, request.request_id, lambda: None)

    def get(self, request: gce.GetInstanceRequest) -> gce.Instance:
        """Return a VM."""
        return self._machines[self._key(request.zone, request.instance)].instance

    def get_operation(self, request: gce.GetZoneOperationRequest) -> gce.Operation:
        """Return an operation."""
        found = self._pending.get((request.zone, request.operation))
        if found is None:
            raise RefusedError(404, "notFound", f"operation {request.operation} was not found")
        return found.operation

    def get_template(self, request: gce.GetInstanceTemplateRequest) -> gce.InstanceTemplate:
        """Return an instance template."""
        found = self.templates.get(request.instance_template)
        if found is None:
            raise RefusedError(404, "notFound", f"{request.instance_template} was not found")
        return found

    def aggregated_list(
        self, request: gce.AggregatedListInstancesRequest
    ) -> gce.InstanceAggregatedList:
        """Return a page of the VMs that have the label of the filter."""
        self.filters.add(request.filter)
        wanted = re.fullmatch(r"labels\.([-_a-z0-9]+)=([-_a-z0-9]+)", request.filter)
        if request.filter and wanted is None:
            raise RefusedError(400, "invalid", f"Invalid list filter expression {request.filter}")
        everything = [machine.instance for machine in self._machines.values()]
        if wanted is not None:
            everything = [one for one in everything if one.labels.get(wanted[1]) == wanted[2]]
        start = int(request.page_token or 0)
        end = start + self.page_size
        answer = gce.InstanceAggregatedList(
            id="list",
            unreachables=self.faults.unreachable,
            next_page_token=str(end) if end < len(everything) else "",
        )
        for one in everything[start:end]:
            zone = one.zone.rpartition("/")[2]
            scope = answer.items.get(f"zones/{zone}", gce.InstancesScopedList())
            answer.items[f"zones/{zone}"] = gce.InstancesScopedList(
                instances=[*scope.instances, one]
            )
        return answer

    # The world around it

    def machine(self, name: str) -> gce.Instance:
        """Return a VM as it is kept; what a test changes in it is changed."""
        return next(one.instance for key, one in self._machines.items() if key[1] == name)

    def preempt(self, name: str) -> None:
        """Take a VM away, as Compute Engine does with a Spot VM."""
        with self.lock:
            self._enter(next(key for key in self._machines if key[1] == name), "STOPPING")

    def instances(self) -> dict[tuple[str, str], gce.Instance]:
        """Return all VMs as they are kept, by compute zone and name."""
        return {key: machine.instance for key, machine in self._machines.items()}

    def power_off(self, name: str) -> None:
        """Let a guest shut itself down; one that is down stays so."""
        with self.lock:
            key = next(key for key in self._machines if key[1] == name)
            if self._machines[key].instance.status in _UP:
                self._enter(key, "STOPPING")

    def settle(self) -> None:
        """Let everything happen whose time has come."""
        now = self.clock.now()
        for pending in self._pending.values():
            if pending.operation.status != gce.Operation.Status.DONE and now >= pending.done_at:
                self._end(pending)
        for key, machine in self._machines.items():
            waited_s = (now - machine.since).total_seconds()
            if machine.instance.status == "PROVISIONING" and waited_s >= 10:
                self._enter(key, "STAGING")
            elif machine.instance.status == "STAGING" and waited_s >= 20:
                self._run(key)
            elif machine.instance.status == "STOPPING" and waited_s >= 20 and key not in self.held:
                machine.instance.last_stop_timestamp = pacific(now)
                self._enter(key, "TERMINATED")
            elif machine.stop_at and now >= machine.stop_at and machine.instance.status in _UP:
                self._enter(key, "STOPPING")

    # Inside

    def _run(self, key: tuple[str, str]) -> None:
        now, machine = self.clock.now(), self._machines[key]
        machine.instance.last_start_timestamp = pacific(now)
        longest_s = machine.instance.scheduling.max_run_duration.seconds
        if longest_s:
            machine.stop_at = now + timedelta(seconds=longest_s)
            machine.instance.resource_status = gce.ResourceStatus(
                scheduling=gce.ResourceStatusScheduling(
                    termination_timestamp=pacific(machine.stop_at)
                )
            )
        self._enter(key, "RUNNING")

    def _enter(self, key: tuple[str, str], status: str) -> None:
        self._machines[key].instance.status = status
        self._machines[key].since = self.clock.now()

    def _made(self, key: tuple[str, str]) -> Callable[[], tuple[str, str] | None]:
        def finish() -> tuple[str, str] | None:
            if key[0] not in self.faults.stock_outs:
                return None
            self._remove(key)
            return (
                "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS",
                f"The zone '{key[0]}' does not have enough resources available.",
            )

        return finish

    def _remove(self, key: tuple[str, str]) -> None:
        machine = self._machines.pop(key, None)
        if machine is not None and machine.instance.disks[0].auto_delete:
            self.disks.pop(key, None)

    def _begin(
        self,
        verb: str,
        zone: str,
        target: str,
        request_id: str,
        finish: Callable[[], tuple[str, str] | None],
    ) -> gce.Operation:
        number = next(self._ids)
        name = f"operation-{number}"
        operation = gce.Operation(
            kind="compute#operation",
            id=number,
            name=name,
            operation_type=verb,
            target_link=f"{self._url(zone)}/instances/{target}",
            status=gce.Operation.Status.RUNNING,
            insert_time=pacific(self.clock.now()),
            zone=self._url(zone),
        )
        done_at = self.clock.now() + timedelta(seconds=10 + self.faults.slow_operations_s)
        self._pending[zone, name] = _Pending(operation, done_at, finish)
        if request_id:
            self._requests[request_id] = (zone, name)
        return operation

    def _end(self, pending: _Pending) -> None:
        operation = pending.operation
        failure = self.faults.failing.get(operation.operation_type)
        if failure is None:
            failure = pending.finish()
        elif operation.operation_type == "insert":
            self._remove((operation.zone.rpartition("/")[2], last(operation.target_link)))
        operation.status = gce.Operation.Status.DONE
        operation.progress = 100
        if failure is not None:
            operation.error = gce.Error(errors=[as_error(*failure)])
            operation.http_error_status_code = 503
            operation.http_error_message = "SERVICE UNAVAILABLE"

    def _repeated(self, request_id: str) -> gce.Operation | None:
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

    def _effective(self, request: gce.InsertInstanceRequest) -> gce.Instance:
        """Template and body as one: a field of the body replaces the template's whole field."""
        body, zone = gce.Instance(request.instance_resource), request.zone
        template = self.templates.get(request.source_instance_template.rpartition("/")[2])
        if template is None:
            raise RefusedError(404, "notFound", f"{request.source_instance_template} not found")
        properties = gce.InstanceProperties(template.properties)
        for disk in properties.disks:
            bare = disk.initialize_params.disk_type
            disk.initialize_params.disk_type = f"zones/{zone}/diskTypes/{bare}"
        for name in ("labels", "metadata", "disks", "scheduling", "network_interfaces"):
            if not getattr(body, name):
                setattr(body, name, getattr(properties, name))
        check(body, zone)
        return body

    def _key(self, zone: str, name: str) -> tuple[str, str]:
        if (zone, name) not in self._machines:
            raise RefusedError(404, "notFound", f"The resource '{zone}/{name}' was not found")
        return zone, name

    def _url(self, zone: str) -> str:
        return f"https://www.googleapis.com/compute/v1/projects/{PROJECT}/zones/{zone}"
