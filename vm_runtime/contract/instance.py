"""Keys of a VM's metadata and labels: how the control plane talks to a VM that it made."""

from enum import StrEnum

MANAGED_BY = "smartscheduler"
"""Value of the label `managed-by`; a VM without it is never touched."""


class Label(StrEnum):
    """Labels of a managed VM (lower case, as Compute Engine wants)."""

    MANAGED_BY = "managed-by"
    JOB = "job"
    INCARNATION = "incarnation"
    PLAN = "plan"


class Attribute(StrEnum):
    """Keys below `instance/attributes/` of the metadata server."""

    JOB = "ss-job"
    """The job's id."""
    INCARNATION = "ss-incarnation"
    """The VM's incarnation, decimal."""
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


def vm_name(job_id: str, incarnation: int) -> str:
    """Return the name of the job's VM, decided before it is created."""
    return f"ss-{job_id}-{incarnation}"
