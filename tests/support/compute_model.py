"""Compute Engine's rules in memory, in the client library's own types, on a clock moved by hand.

States, fingerprints, request ids, name conflicts, quotas and stock-outs behave as documented;
what goes wrong is scripted by `ComputeFaults`.
"""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count

from compute_faults import ComputeFaults
from compute_operations import Operations, Undertaking
from compute_rules import (
    RefusedError,
    check,
    check_labels,
    fingerprint,
    having_label,
    pacific,
    trainer_template,
    zone_url,
)
from compute_shelf import Shelf
from google.cloud import compute_v1 as gce

from vm_runtime.contract.clock import Clock

_UP = frozenset({"PROVISIONING", "STAGING", "RUNNING"})


@dataclass
class _Machine:
    instance: gce.Instance
    since: datetime
    stop_at: datetime | None = None


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
        self.held: set[tuple[str, str]] = set()
        """VMs whose guests have not shut down yet: STOPPING until they have."""
        self.page_size = 500
        self.lock = threading.RLock()
        self._machines: dict[tuple[str, str], _Machine] = {}
        self._ids = count(1_000_000_000_000_001)
        self._operations = Operations(clock, self._ids, self.faults.failing)
        self.shelf = Shelf(clock, self._ids, self._operations, self.faults)

    # The API

    def insert(self, request: gce.InsertInstanceRequest) -> gce.Operation:
        """Create a VM: PROVISIONING at once, and gone again if its operation fails."""
        zone, body = request.zone, request.instance_resource
        if (known := self._operations.repeated(request.request_id)) is not None:
            return known
        instance = self._effective(request)
        key = (zone, body.name)
        if key in self._machines:
            raise RefusedError(
                409, "alreadyExists", f"The resource '{body.name}' already exists in {zone}"
            )
        self._refuse_quota(zone)
        self.shelf.check_for(instance, zone)
        now = self.clock.now()
        instance.id, instance.zone = next(self._ids), zone_url(zone)
        instance.creation_timestamp = pacific(now)
        instance.metadata.fingerprint = fingerprint()
        instance.label_fingerprint = fingerprint()
        self._machines[key] = _Machine(instance, now)
        self._enter(key, "PROVISIONING")
        self.shelf.equip(instance, zone)
        return self._begin("insert", key, request.request_id, self._made(key))

    def stop(self, request: gce.StopInstanceRequest) -> gce.Operation:
        """Power off; nothing happens to one that is down."""
        if (known := self._operations.repeated(request.request_id)) is not None:
            return known
        key = self._key(request.zone, request.instance)
        if self._machines[key].instance.status in _UP:
            self._enter(key, "STOPPING")
        return self._begin("stop", key, request.request_id)

    def start(self, request: gce.StartInstanceRequest) -> gce.Operation:
        """Start one that is down; a stock-out surfaces in the operation, and it stays down."""
        if (known := self._operations.repeated(request.request_id)) is not None:
            return known
        key = self._key(request.zone, request.instance)
        machine = self._machines[key]
        if machine.instance.status == "STOPPING":
            raise RefusedError(400, "resourceNotReady", f"The resource '{key[1]}' is not ready")
        if machine.instance.status != "TERMINATED":
            return self._begin("start", key, request.request_id)
        self._refuse_quota(key[0])
        machine.stop_at, machine.instance.resource_status = None, gce.ResourceStatus()
        self._enter(key, "PROVISIONING")

        def finish() -> tuple[str, str] | None:
            if key[0] not in self.faults.stock_outs:
                return None
            self._enter(key, "TERMINATED")
            return "ZONE_RESOURCE_POOL_EXHAUSTED", f"The zone '{key[0]}' has no capacity."

        return self._begin("start", key, request.request_id, finish)

    def delete(self, request: gce.DeleteInstanceRequest) -> gce.Operation:
        """Delete; its disk goes with it if it was made so."""
        if (known := self._operations.repeated(request.request_id)) is not None:
            return known
        key = self._key(request.zone, request.instance)
        self._enter(key, "STOPPING")
        return self._begin("delete", key, request.request_id, lambda: self._remove(key))

    def set_metadata(self, request: gce.SetMetadataInstanceRequest) -> gce.Operation:
        """Replace the metadata if its fingerprint is that of the present one."""
        if (known := self._operations.repeated(request.request_id)) is not None:
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
        return self._begin("setMetadata", key, request.request_id)

    def set_labels(self, request: gce.SetLabelsInstanceRequest) -> gce.Operation:
        """Replace a VM's labels if their fingerprint is that of the present ones."""
        if (known := self._operations.repeated(request.request_id)) is not None:
            return known
        key = self._key(request.zone, request.instance)
        instance, wanted = (
            self._machines[key].instance,
            request.instances_set_labels_request_resource,
        )
        if wanted.label_fingerprint != instance.label_fingerprint:
            raise RefusedError(412, "conditionNotMet", "Labels fingerprint either invalid or stale")
        check_labels(key[1], wanted.labels)
        instance.labels, instance.label_fingerprint = wanted.labels, fingerprint()
        return self._begin("setLabels", key, request.request_id)

    def attach_disk(self, request: gce.AttachDiskInstanceRequest) -> gce.Operation:
        """Attach a disk of the VM's compute zone that no VM has."""
        if (known := self._operations.repeated(request.request_id)) is not None:
            return known
        key = self._key(request.zone, request.instance)
        instance = self._machines[key].instance
        self.shelf.attach(instance, key[0], request.attached_disk_resource)
        return self._begin("attachDisk", key, request.request_id)

    def detach_disk(self, request: gce.DetachDiskInstanceRequest) -> gce.Operation:
        """Take a disk from a VM."""
        if (known := self._operations.repeated(request.request_id)) is not None:
            return known
        key = self._key(request.zone, request.instance)
        self.shelf.detach(self._machines[key].instance, key[0], request.device_name)
        return self._begin("detachDisk", key, request.request_id)

    def get(self, request: gce.GetInstanceRequest) -> gce.Instance:
        """Return a VM."""
        return self._machines[self._key(request.zone, request.instance)].instance

    def get_operation(self, request: gce.GetZoneOperationRequest) -> gce.Operation:
        """Return an operation."""
        return self._operations.get(request.zone, request.operation)

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
        machines = [machine.instance for machine in self._machines.values()]
        everything = having_label(request.filter, machines)
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
        self._operations.settle()
        self.shelf.settle()
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
        if machine is not None:
            self.shelf.strip(machine.instance, key[0])

    def _refuse_quota(self, zone: str) -> None:
        region = zone.rpartition("-")[0]
        here = [one for (where, _), one in self._machines.items() if where.startswith(region)]
        up = sum(one.instance.status != "TERMINATED" for one in here)
        most = self.faults.instance_quota.get(region, up + 1)
        if region in self.faults.quota or up >= most:
            raise RefusedError(403, "quotaExceeded", "Quota 'CPUS' exceeded. Limit: 8.0 in region.")

    def _begin(
        self,
        verb: str,
        key: tuple[str, str],
        request_id: str,
        finish: Callable[[], tuple[str, str] | None] = lambda: None,
    ) -> gce.Operation:
        wanted = Undertaking(
            verb=verb,
            target=f"instances/{key[1]}",
            zone=key[0],
            request_id=request_id,
            finish=finish,
            undo=(lambda: self._remove(key)) if verb == "insert" else (lambda: None),
        )
        return self._operations.begin(wanted, takes_s=10 + self.faults.slow_operations_s)

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
