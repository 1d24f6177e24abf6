"""A VM of ours as observed, in Compute Engine's own words."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from functions.domain.lifecycle.disk import DataDiskSpec


class VmStatus(StrEnum):
    """Compute Engine's instance states, as far as they matter here."""

    PROVISIONING = "PROVISIONING"
    STAGING = "STAGING"
    RUNNING = "RUNNING"
    STOPPING = "STOPPING"
    """Also stands for PENDING_STOP, SUSPENDING and DEPROVISIONING."""
    TERMINATED = "TERMINATED"
    """Stopped: no power, only its disk is left. Also stands for SUSPENDED."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vm:
    """A managed VM (label `managed-by=smartscheduler`); others are never listed."""

    name: str
    compute_zone: str
    status: VmStatus
    job_id: str
    """From its label."""
    incarnation: int
    """From its metadata, which a start renews; from its label if it has none there."""
    created_at: datetime
    """When it was made, or started again."""
    interval_end: datetime
    """From its metadata: when it is to stop."""
    run_until: datetime
    """When Compute Engine stops it, whatever happens; fixed when it was made."""
    terminated_at: datetime | None = None
    """When it was last seen to go down (Compute Engine's lastStopTimestamp)."""

    @property
    def is_alive(self) -> bool:
        """Whether it trains or may yet train."""
        return self.status in {VmStatus.PROVISIONING, VmStatus.STAGING, VmStatus.RUNNING}

    @property
    def region(self) -> str:
        """Its region."""
        return self.compute_zone.rpartition("-")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class VmSpec:
    """Everything needed to create a VM."""

    name: str
    compute_zone: str
    machine_type: str
    labels: dict[str, str]
    """Keys of `vm_runtime.contract.instance.Label`."""
    metadata: dict[str, str]
    """Keys of `vm_runtime.contract.instance.Attribute`."""
    max_run_duration_s: int
    """Compute Engine stops the VM after it, whatever happens; seconds."""
    template: str = "default"
    """Which of the deployment's instance templates it is made from."""
    data_disk: DataDiskSpec | None = None
    """Attached from the first moment on, and not deleted with the VM; `None`: none."""


class FailureKind(StrEnum):
    """What a failed operation rules out."""

    STOCK_OUT = "stock-out"
    """The compute zone, for a while."""
    QUOTA = "quota"
    """The region, for a while."""
    DENIED = "denied"
    """Everything, until a person grants the right."""
    OTHER = "other"
    """Nothing for sure: counts as a fruitless try."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A long-running operation of Compute Engine."""

    name: str
    compute_zone: str
    done: bool
    failure: FailureKind | None = None
    """Set once it is done and has failed: a stock-out surfaces here, not in the call."""
    message: str = ""
    """What Compute Engine said."""

    @classmethod
    def over(
        cls, name: str, compute_zone: str, *, failure: FailureKind | None = None, message: str = ""
    ) -> "Operation":
        """Return one that is done, as where a call was refused or had nothing to do."""
        return cls(
            name=name, compute_zone=compute_zone, done=True, failure=failure, message=message
        )
