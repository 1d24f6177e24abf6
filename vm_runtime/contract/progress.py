"""Progress: how far a job is, as its VM reports it."""

from enum import StrEnum
from typing import Literal

from pydantic import Field

from vm_runtime.contract.base import Count, JobId, NonNegative, Positive, Utc, document


class RunState(StrEnum):
    """What the VM that wrote the progress is doing."""

    STARTING = "starting"
    """Booted, loading."""
    WAITING = "waiting"
    """Ready, waiting for its interval's start or for the lease."""
    TRAINING = "training"
    """Holds the lease and trains."""
    STOPPED = "stopped"
    """Checkpointed and gone before the work was done."""
    FINISHED = "finished"
    """All work is done and the final checkpoint is committed."""
    FAILED = "failed"
    """The script raised or broke its contract; `message` says how."""


@document
class Progress:
    """State of the training as last reported; written by compare-and-swap by the lease holder."""

    job_id: JobId
    """The job."""
    vm: str
    """Name of the VM that wrote it."""
    incarnation: Count
    """Its incarnation; a lower one never overwrites a higher one."""
    state: RunState
    """What the VM is doing."""
    heartbeat_at: Utc
    """When this was written."""
    steps_done: Count = 0
    """Optimizer steps in the latest committed checkpoint or later."""
    steps_total: Count | None = None
    """Optimizer steps of the whole training; `None`: not known yet."""
    seconds_per_step: Positive | None = None
    """Mean time of an optimizer step, validation and checkpoints included, seconds."""
    energy_kwh: NonNegative = 0.0
    """Energy of this incarnation so far, kWh."""
    energy_measured_kwh: NonNegative = 0.0
    """The part of it that counters of the hardware measured, kWh; the rest is modelled."""
    energy_basis: str = ""
    """How it is found, for people."""
    metrics: dict[str, float] = Field(default_factory=dict)
    """Last metrics, such as `loss` or `val_accuracy`."""
    failures_in_a_row: Count = 0
    """Failures of the script since it last committed a checkpoint."""
    message: str = ""
    """For a person: why it stopped or failed, and what to do."""
    schema_version: Literal[1] = 1
    """Version of this document."""
