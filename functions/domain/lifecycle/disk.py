"""Disks and snapshots of ours as observed, in Compute Engine's own words."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class DiskStatus(StrEnum):
    """Compute Engine's states of disks and snapshots, as far as they matter here."""

    MAKING = "MAKING"
    """Stands for CREATING, RESTORING and UPLOADING."""
    READY = "READY"
    FAILED = "FAILED"
    DELETING = "DELETING"


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A managed disk (label `managed-by=smartscheduler`); others are never listed."""

    name: str
    compute_zone: str
    status: DiskStatus
    disk_id: str
    """Compute Engine's own id: another disk of the same name has another."""
    size_gb: int
    job_id: str
    """From its label."""
    incarnation: int
    """From its label: the VM for which it was made."""
    is_data: bool
    """Whether it is a data disk, from its label; else a VM's boot disk."""
    created_at: datetime
    users: tuple[str, ...] = ()
    """Names of the VMs that it is attached to, running or not."""
    source_snapshot_id: str = ""
    """Id of the snapshot that it was made from."""
    last_attached_at: datetime | None = None
    """When it was last attached to a VM."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A managed snapshot (label `managed-by=smartscheduler`); others are never listed."""

    name: str
    status: DiskStatus
    snapshot_id: str
    """Compute Engine's own id."""
    source_disk_id: str
    """Id of the disk that it shows."""
    disk_size_gb: int
    """Size of that disk, GB."""
    job_id: str
    """From its label."""
    created_at: datetime
    """What was written after it is not in the snapshot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataDiskSpec:
    """The data disk that a VM is made with, or that is made from a snapshot."""

    name: str
    compute_zone: str
    size_gb: int
    type: str
    labels: dict[str, str]
    """Keys of `vm_runtime.contract.instance.Label`."""
    exists: bool = False
    """Whether a VM takes the one that is there, instead of an empty one made with it."""
