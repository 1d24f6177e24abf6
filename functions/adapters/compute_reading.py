"""Reading what Compute Engine says: VMs and operations."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from functions.adapters.compute_errors import Fault, failure_kind
from functions.domain.lifecycle.disk import Disk, DiskStatus, Snapshot
from functions.domain.lifecycle.vm import FailureKind, Operation, Vm, VmStatus
from vm_runtime.contract.instance import DATA_DISK, MANAGED_BY, Attribute, Label

if TYPE_CHECKING:
    from google.cloud import compute_v1

_LOG = logging.getLogger(__name__)

LONGEST_RUN = timedelta(days=120)
"""Compute Engine's own limit of `maxRunDuration`."""

_STATUS = {
    "PENDING": VmStatus.PROVISIONING,
    "PROVISIONING": VmStatus.PROVISIONING,
    "STAGING": VmStatus.STAGING,
    "RUNNING": VmStatus.RUNNING,
    # It may come back and boot again. If it does not, it is silent, and stopped for that.
    "REPAIRING": VmStatus.STAGING,
    "PENDING_STOP": VmStatus.STOPPING,
    "STOPPING": VmStatus.STOPPING,
    "SUSPENDING": VmStatus.STOPPING,
    "DEPROVISIONING": VmStatus.STOPPING,
    "SUSPENDED": VmStatus.TERMINATED,
    "STOPPED": VmStatus.TERMINATED,
    "TERMINATED": VmStatus.TERMINATED,
}
_EXISTS = "RESOURCE_ALREADY_EXISTS"


@dataclass(frozen=True, slots=True)
class Owned:
    """What belongs to this deployment, by labels."""

    deployment: str
    """Value of the label `deployment`; empty: whatever has `managed-by=smartscheduler`."""

    @property
    def filter(self) -> str:
        """What a list is asked for; the rest is sorted out here."""
        return f"labels.{Label.MANAGED_BY}={MANAGED_BY}"

    def has(self, labels: Mapping[str, str]) -> bool:
        """Whether something with these labels is ours."""
        if labels.get(Label.MANAGED_BY) != MANAGED_BY:
            return False
        return self.deployment in {"", labels.get(Label.DEPLOYMENT, "")}


def read_vm(instance: "compute_v1.Instance", owned: Owned) -> Vm | None:
    """Return a VM of ours; `None` if it is not ours or cannot be understood (then it is logged).

    One odd VM must not keep the others from being seen.
    """
    if not owned.has(instance.labels):
        return None
    try:
        return _vm(instance)
    except ValueError as error:
        zone = short(instance.zone)
        _LOG.error(
            "VM %s in %s has the label %s=%s, but %s. It is left alone and may cost money: mend"
            " the label or metadata, or delete it: gcloud compute instances delete %s --zone %s",
            *(instance.name, zone, Label.MANAGED_BY, MANAGED_BY, error, instance.name, zone),
            extra={"event": "vm_unreadable"},
        )
        return None


def _vm(instance: "compute_v1.Instance") -> Vm:
    attributes = {item.key: item.value for item in instance.metadata.items}
    started = attributes.get(Attribute.STARTED_AT, "")
    created_at = (
        moment(started, f"metadata {Attribute.STARTED_AT}")
        if started
        else moment(instance.creation_timestamp, "creationTimestamp")
    )
    return Vm(
        name=instance.name,
        compute_zone=short(instance.zone),
        status=_status(instance),
        job_id=_label(instance.labels, Label.JOB),
        incarnation=_incarnation(instance.labels, attributes.get(Attribute.INCARNATION, "")),
        created_at=created_at,
        interval_end=moment(
            attributes.get(Attribute.INTERVAL_END, ""), f"metadata {Attribute.INTERVAL_END}"
        ),
        run_until=_run_until(instance, created_at),
        terminated_at=_terminated_at(instance),
    )


def read_disk(disk: "compute_v1.Disk", owned: Owned) -> Disk | None:
    """Return a disk of ours; `None` if it is not ours or cannot be understood (it is logged)."""
    if not owned.has(disk.labels):
        return None
    try:
        return Disk(
            name=disk.name,
            compute_zone=short(disk.zone),
            status=_disk_status(disk.status),
            disk_id=str(disk.id),
            size_gb=disk.size_gb,
            job_id=_label(disk.labels, Label.JOB),
            incarnation=_incarnation(disk.labels),
            is_data=disk.labels.get(Label.ROLE) == DATA_DISK,
            created_at=moment(disk.creation_timestamp, "creationTimestamp"),
            users=tuple(short(user) for user in disk.users),
            source_snapshot_id=disk.source_snapshot_id,
            last_attached_at=moment(disk.last_attach_timestamp, "lastAttachTimestamp")
            if disk.last_attach_timestamp
            else None,
        )
    except ValueError as error:
        _leave_alone(f"disk {disk.name} in {short(disk.zone)}", error)
        return None


def read_snapshot(snapshot: "compute_v1.Snapshot", owned: Owned) -> Snapshot | None:
    """Return a snapshot of ours; `None` if it is not ours or cannot be understood (as a disk)."""
    if not owned.has(snapshot.labels):
        return None
    try:
        return Snapshot(
            name=snapshot.name,
            status=_disk_status(snapshot.status),
            snapshot_id=str(snapshot.id),
            source_disk_id=snapshot.source_disk_id,
            disk_size_gb=snapshot.disk_size_gb,
            job_id=_label(snapshot.labels, Label.JOB),
            created_at=moment(snapshot.creation_timestamp, "creationTimestamp"),
        )
    except ValueError as error:
        _leave_alone(f"snapshot {snapshot.name}", error)
        return None


def _leave_alone(what: str, error: ValueError) -> None:
    _LOG.error(
        "%s has the label %s=%s, but %s. It is left alone and may cost money: mend the label, or"
        " delete it by hand",
        *(what, Label.MANAGED_BY, MANAGED_BY, error),
        extra={"event": "disk_unreadable"},
    )


def _disk_status(status: str) -> DiskStatus:
    """What is not known is taken for one that is just being made: it is waited for, not used."""
    known = {"READY": DiskStatus.READY, "FAILED": DiskStatus.FAILED}
    return known.get(status, DiskStatus.DELETING if status == "DELETING" else DiskStatus.MAKING)


def short(url: str) -> str:
    """Return the last part of a resource's URL."""
    return url.rpartition("/")[2]


def moment(text: str, what: str) -> datetime:
    """Return an RFC 3339 time in UTC.

    Raises:
        ValueError: it is none, or has no offset; names `what`.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{what} is {text!r}, expected an ISO 8601 time") from error
    if found.tzinfo is None:
        raise ValueError(f"{what} is {text!r}, expected an offset such as +00:00")
    return found.astimezone(UTC)


def _status(instance: "compute_v1.Instance") -> VmStatus:
    status = _STATUS.get(instance.status)
    if status is None:
        # Hidden, it would be made a second time. Taken for one that boots, it is bounded.
        _LOG.warning(
            "VM %s: unknown status %r is taken for STAGING; add it to compute_reading._STATUS",
            *(instance.name, instance.status),
            extra={"event": "vm_status_unknown"},
        )
        return VmStatus.STAGING
    return status


def _label(labels: Mapping[str, str], key: Label) -> str:
    value = labels.get(key, "")
    if not value:
        raise ValueError(f"label {key} is missing")
    return str(value)


def _incarnation(labels: Mapping[str, str], stated: str = "") -> int:
    """The metadata's, which the guest goes by and a start renews; the label says the first one."""
    text = stated or _label(labels, Label.INCARNATION)
    if not (text.isascii() and text.isdecimal()):
        where = f"metadata {Attribute.INCARNATION}" if stated else f"label {Label.INCARNATION}"
        raise ValueError(f"{where} is {text!r}, expected a whole number")
    return int(text)


def _run_until(instance: "compute_v1.Instance", created_at: datetime) -> datetime:
    """What Compute Engine states, once it runs; before that the earliest that can be."""
    stated = instance.resource_status.scheduling.termination_timestamp
    stated = stated or instance.scheduling.termination_time
    if stated:
        return moment(stated, "terminationTimestamp")
    longest_s = instance.scheduling.max_run_duration.seconds
    if longest_s:
        return created_at + timedelta(seconds=longest_s)
    _LOG.warning(
        "VM %s: expected scheduling.maxRunDuration, found none: nothing but the scheduler stops"
        " it. Did somebody change it by hand?",
        instance.name,
        extra={"event": "vm_unbounded"},
    )
    return created_at + LONGEST_RUN


def _terminated_at(instance: "compute_v1.Instance") -> datetime | None:
    downs = [
        text for text in (instance.last_stop_timestamp, instance.last_suspended_timestamp) if text
    ]
    if not downs:
        return None
    last = max(moment(text, "lastStopTimestamp") for text in downs)
    started = instance.last_start_timestamp
    # Somebody started it again by hand: it is up.
    is_up_again = bool(started) and moment(started, "lastStartTimestamp") > last
    return None if is_up_again else last


def read_operation(operation: "compute_v1.Operation", compute_zone: str) -> Operation:
    """Return an operation, with what its failure rules out."""
    done = operation.status == type(operation).Status.DONE
    failure, message = _failure(operation) if done else (None, "")
    return Operation(
        name=operation.name,
        compute_zone=compute_zone,
        done=done,
        failure=failure,
        message=message,
    )


def _failure(operation: "compute_v1.Operation") -> tuple[FailureKind | None, str]:
    errors = list(operation.error.errors)
    status = operation.http_error_status_code
    if not errors and not status:
        return None, ""
    if any(error.code == _EXISTS for error in errors):
        return None, ""  # An earlier attempt made it, as 409 says when it is known at once.
    faults = [Fault(error.code, error.message) for error in errors]
    said = [f"{error.code}: {error.message}{_elsewhere(error)}" for error in errors]
    message = "; ".join(said) or f"HTTP {status} {operation.http_error_message}"
    return failure_kind(faults, http_status=status), message


def _elsewhere(error: "compute_v1.Errors") -> str:
    for detail in error.error_details:
        zones = detail.error_info.metadatas.get("zonesAvailable", "")
        if zones:
            return f" (zones with capacity: {zones})"
    return ""
