"""Keys of a VM's metadata and labels: how the control plane talks to a VM that it made."""

import re
from enum import StrEnum

MANAGED_BY = "smartscheduler"
"""Value of the label `managed-by`; what has another or none is never touched."""

DATA_DISK = "data-disk"
"""Value of the label `role` of what belongs to a job with `keep_disk`."""

DATA_DEVICE = "ss-data"
"""Device name of the data disk: a guest finds it as `/dev/disk/by-id/google-ss-data`."""

DATA_FOLDER_VARIABLE = "SMARTSCHEDULER_DATA_DIR"
"""Environment variable that names the folder of the data disk to the user's script."""


class Label(StrEnum):
    """Labels of a managed VM (lower case, as Compute Engine wants)."""

    MANAGED_BY = "managed-by"
    JOB = "job"
    INCARNATION = "incarnation"
    PLAN = "plan"
    DEPLOYMENT = "deployment"
    """Whose it is where one project has several deployments: see `deployment_label`."""
    ROLE = "role"
    """`DATA_DISK` on a job's data disk and its snapshots; boot disks have none."""


class Attribute(StrEnum):
    """Keys below `instance/attributes/` of the metadata server."""

    JOB = "ss-job"
    """The job's id."""
    INCARNATION = "ss-incarnation"
    """The VM's incarnation, decimal."""
    STARTED_AT = "ss-started-at"
    """ISO 8601, UTC: when a stopped VM was started again; absent if it was not."""
    BUCKET = "ss-bucket"
    """URL of the bucket: `gs://NAME`, or `file:///PATH` on the embedded cloud."""
    INTERVAL_START = "ss-interval-start"
    """ISO 8601, UTC: not to train before it; the VM may be booted ahead of it."""
    INTERVAL_END = "ss-interval-end"
    """ISO 8601, UTC: stop, checkpoint and power off then. The only key that changes while
    the VM runs: later extends the interval, `now` is the request to stop."""
    LEASE_TTL_S = "ss-lease-ttl-s"
    """Time to live of the lease, seconds on the deployment's clock."""
    SHUTDOWN_GRACE_S = "ss-shutdown-grace-s"
    """The guest's own timer powers the VM off this long after the interval's end, seconds."""
    DATA_DISK = "ss-data-disk"
    """`1`: nothing trains before the data disk is there and mounted."""


def vm_name(job_id: str, incarnation: int) -> str:
    """Return the name of the job's VM, decided before it is created."""
    return f"ss-{job_id}-{incarnation}"


def data_disk_name(job_id: str, number: int) -> str:
    """Return the name of a job's data disk; it can be no VM's (and so no boot disk's) name."""
    return f"ss-{job_id}-{number}-data"


def snapshot_name(job_id: str, number: int) -> str:
    """Return the name of the snapshot that data disk `number` is made from."""
    return f"ss-{job_id}-{number}-snapshot"


def deployment_label(bucket_url: str) -> str:
    """Return the bucket's URL as a value of the label `deployment`: what Compute Engine takes."""
    name = bucket_url.partition("://")[2]
    return re.sub(r"[^-_a-z0-9]", "_", name.lower())[-63:]
