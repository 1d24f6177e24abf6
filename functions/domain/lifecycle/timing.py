"""How patient the control plane is: all its waiting times in one place."""

from pydantic import Field

from vm_runtime.contract.base import document


@document
class Timing:
    """How patient the control plane is; seconds on the deployment's clock."""

    boot_lead_s: float = Field(default=180.0, ge=0)
    """A VM is made so long before its interval starts (design 5: a start takes 3 minutes)."""
    lease_ttl_s: float = Field(default=120.0, gt=0)
    """Time to live of the lease; renewed each quarter of it."""
    shutdown_grace_s: float = Field(default=600.0, gt=0)
    """The guest's own timer powers it off so long after its interval's end (promise 4)."""
    force_stop_after_s: float = Field(default=300.0, gt=0)
    """A VM still up so long after its interval's end is stopped by force."""
    silence_s: float = Field(default=900.0, gt=0)
    """A VM that neither reports nor holds the lease for so long is stopped by force."""
    block_s: float = Field(default=1800.0, gt=0)
    """A place without capacity is not tried again for so long."""
    operation_timeout_s: float = Field(default=600.0, gt=0)
    """An operation that is not done after it is given up; what it makes later is removed."""
    disk_move_timeout_s: float = Field(default=7200.0, gt=0)
    """A data disk that is not in its new compute zone after so long stays in its old one."""
    orphan_after_s: float = Field(default=900.0, gt=0)
    """What no job needs is removed once it is so old: what is just being made looks the same."""
    retry_after_s: float = Field(default=60.0, gt=0)
    """Wait after the first fruitless VM; doubles with each further one."""
    max_fruitless_vms: int = Field(default=8, ge=1)
    """So many VMs in a row without a new checkpoint, and the job is given up."""
