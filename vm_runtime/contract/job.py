"""The job document: one training to be done. Written by `submit`, read by all."""

from datetime import datetime, timedelta
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from vm_runtime.contract.base import (
    Count,
    JobId,
    NonNegative,
    Positive,
    RelativePath,
    Utc,
    document,
)

Region: TypeAlias = Annotated[str, Field(pattern=r"^[a-z]+-[a-z]+\d+$")]
"""A Google Cloud region, such as `europe-west3`."""

LOCAL_MACHINE = "local-machine"
"""Machine type of a computer that is not Google's: of a family that no region of theirs has."""


@document
class Phase:
    """One kind of time in which a VM draws power and does no step."""

    seconds: NonNegative = 0.0
    """How long it takes."""
    power_w: NonNegative | None = None
    """Power of the whole machine meanwhile, watts; `None`: the job's."""

    def energy_kwh(self, power_w: float) -> float:
        """Return its energy for a job of `power_w`."""
        return (power_w if self.power_w is None else self.power_w) * self.seconds / 3.6e6


@document
class Overheads:
    """What starting, stopping and moving take, each with its time and power.

    The defaults are design 5: 3 minutes of the job's power for a start, 5 for a move.
    """

    boot: Phase = Phase(seconds=120.0)
    """From the making of a VM until the script runs. Before a move the source trains meanwhile."""
    restore: Phase = Phase(seconds=60.0)
    """From there to the first step, the checkpoint loaded."""
    checkpoint: Phase = Phase()
    """The last one of an interval, from the last step on."""
    move: Phase = Phase(seconds=120.0)
    """The hand-over, in which neither VM does a step."""
    idle: Phase = Phase()
    """After an interval until the VM is off; delays nothing."""


@document
class KeepDisk:
    """A data disk that stays with the job, and moves with it through a snapshot."""

    size_gb: Annotated[int, Field(ge=10, le=65_536)]
    """Its size, GB."""
    type: Literal["pd-standard", "pd-balanced", "pd-ssd"] = "pd-balanced"
    """Kind of persistent disk."""
    move_s: NonNegative = 900.0
    """What a move to another compute zone takes longer for its sake, seconds: snapshot, copy, and
    the looks at them every five minutes. It grows with what is on the disk: measure it."""


@document
class Job:
    """What to run, on what, where it may run, and by when it must be done."""

    job_id: JobId
    """Unique in the bucket."""
    machine_type: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)+$")
    """A Compute Engine machine type, such as `e2-standard-8`."""
    power_w: Positive
    """Power of the whole machine while it trains, watts; the basis of the energy."""
    allowed_regions: tuple[Region, ...] = Field(min_length=1)
    """Where the job may run; the first one is the "here" of "run now, here"."""
    submitted_at: Utc
    """When the job was submitted."""
    schema_version: Literal[1] = 1
    """Version of this document."""
    script: RelativePath = "train.py"
    """The training script, below the job's source folder."""
    args: tuple[str, ...] = ()
    """Arguments of the script."""
    work_h: Positive | None = None
    """Compute time that the whole job is expected to need, hours; `None`: not known."""
    deadline: Utc | None = None
    """When it must be done; `None`: `submitted_at` + 2 x `work_h`."""
    slot_minutes: Literal[15, 60] = 60
    """Length of one planning step, minutes."""
    start_overhead_s: NonNegative = 180.0
    """What a start or resume costs until the first step, seconds at full power (design 5)."""
    move_overhead_s: NonNegative = 300.0
    """What a move to another place costs, seconds at full power (design 5)."""
    overheads: Overheads | None = None
    """The same in detail; takes the place of the two above."""
    state_gb: NonNegative = 0.0
    """What a VM loads over the network at each start or move: checkpoint, source, data, GB."""
    network_kwh_per_gb: NonNegative = 0.0
    """Energy of the network for each GB loaded; 0: not counted."""
    max_carbon_intensity_gco2eq_per_kwh: Positive | None = None
    """Hours above it are not used, unless the deadline would be missed."""
    min_interval_minutes: Count = 0
    """Shortest interval, minutes, unless the deadline would be missed."""
    price_weight_g_per_usd: NonNegative = 0.0
    """Grams that one is willing to emit to save 1 USD; 0: carbon alone decides."""
    max_failures: Annotated[Count, Field(ge=1)] = 3
    """How often the script may fail in a row before the job is given up."""
    max_silence_minutes: Positive = 30.0
    """A script that makes no step for so long hangs, real minutes; nor may it take longer from
    its first line to the first step."""
    template: str = Field(default="default", pattern=r"^[a-z]([-a-z0-9]{0,18}[a-z0-9])?$")
    """Which of the deployment's instance templates its VMs are made from (disk, image, GPU)."""
    keep_disk: KeepDisk | None = None
    """A data disk for the script, mounted where `SMARTSCHEDULER_DATA_DIR` says; `None`: none. It
    is deleted once the job has finished."""

    def __post_init__(self) -> None:
        """Check what concerns several fields at once.

        Raises:
            ValueError: all that contradicts, in one message.
        """
        problems = []
        if self.deadline is not None and self.deadline <= self.submitted_at:
            problems.append(
                f"deadline: expected a time after submitted_at"
                f" ({self.submitted_at.isoformat()}), found {self.deadline.isoformat()}"
            )
        if len(set(self.allowed_regions)) != len(self.allowed_regions):
            problems.append(
                f"allowed_regions: expected each region once, found {self.allowed_regions}"
            )
        if self.network_kwh_per_gb > 0 and self.state_gb == 0:
            problems.append(
                "network_kwh_per_gb: expected state_gb above 0 with it, found 0 GB to be moved"
            )
        if problems:
            raise ValueError("; ".join(problems))

    @property
    def start_s(self) -> float:
        """Time from the making of a VM to its first step, seconds."""
        if self.overheads is None:
            return self.start_overhead_s
        return self.overheads.boot.seconds + self.overheads.restore.seconds

    @property
    def effective_deadline(self) -> datetime | None:
        """The deadline, or `submitted_at` + 2 x work, or `None` if neither is known."""
        if self.deadline is not None:
            return self.deadline
        if self.work_h is None:
            return None
        return self.submitted_at + timedelta(hours=2 * self.work_h)
