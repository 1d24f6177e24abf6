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
    max_failures: Annotated[Count, Field(ge=1)] = 3
    """How often the script may fail in a row before the job is given up."""
    max_silence_minutes: Positive = 30.0
    """A script that makes no step for so long hangs, real minutes; nor may it take longer from
    its first line to the first step."""
    template: str = Field(default="default", pattern=r"^[a-z]([-a-z0-9]{0,18}[a-z0-9])?$")
    """Which of the deployment's instance templates its VMs are made from (disk, image, GPU)."""

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
        if problems:
            raise ValueError("; ".join(problems))

    @property
    def effective_deadline(self) -> datetime | None:
        """The deadline, or `submitted_at` + 2 x work, or `None` if neither is known."""
        if self.deadline is not None:
            return self.deadline
        if self.work_h is None:
            return None
        return self.submitted_at + timedelta(hours=2 * self.work_h)
