"""The ledger: what each VM of a job did, when, where, and with how much energy."""

from enum import StrEnum
from typing import Literal

from vm_runtime.contract.base import Count, JobId, NonNegative, Utc, document


class SegmentKind(StrEnum):
    """What the time was spent on; all but `TRAIN` is overhead."""

    BOOT = "boot"
    """From the VM's creation to the first line of the runtime."""
    LOAD = "load"
    """Imports, source, checkpoint download."""
    WAIT = "wait"
    """Ready, but not yet allowed to train."""
    TRAIN = "train"
    """Optimizer steps and validation."""
    CHECKPOINT = "checkpoint"
    """Training stood still for a checkpoint."""
    SHUTDOWN = "shutdown"
    """From the runtime's last line to power-off."""
    LOST = "lost"
    """Steps that were done but not in any checkpoint when the VM died."""


@document
class Segment:
    """A stretch of one kind, within one hour or over several."""

    kind: SegmentKind
    """What it was spent on."""
    start: Utc
    """Begin."""
    end: Utc
    """End, not before `start`."""
    energy_kwh: NonNegative
    """Energy, kWh, taken as even over the stretch."""

    def __post_init__(self) -> None:
        """Refuse a stretch that ends before it starts."""
        if self.end < self.start:
            message = f"end: expected a time not before {self.start}, found {self.end}"
            raise ValueError(message)


@document
class LedgerEntry:
    """What the runtime of one incarnation did; rewritten as it goes on."""

    job_id: JobId
    """The job."""
    vm: str
    """Name of the VM."""
    incarnation: Count
    """Its incarnation; there is one entry for each."""
    compute_zone: str
    """Where it ran, such as `europe-west3-b`."""
    started_at: Utc
    """First line of the runtime."""
    updated_at: Utc
    """When this was written; the last one is the runtime's last line."""
    segments: tuple[Segment, ...]
    """Ordered, without overlap."""
    first_step: Count
    """Steps done when it took over."""
    last_step: Count
    """Steps done at `updated_at`."""
    committed_step: Count
    """Steps in its last committed checkpoint; what lies above was lost if it died."""
    energy_basis: str
    """How the energy was found, such as `declared power 250 W x time`."""
    energy_measured_kwh: NonNegative = 0.0
    """The part of the segments' energy that counters measured, kWh; the rest is modelled."""
    ended_because: str = ""
    """Why it ended: `finished`, `interval end`, `preempted`; empty while it runs or if killed."""
    schema_version: Literal[1] = 1
    """Version of this document."""


@document
class VmLifetime:
    """What the control plane saw of a VM: power is drawn from creation to power-off."""

    job_id: JobId
    """The job."""
    vm: str
    """Name of the VM."""
    incarnation: Count
    """Its incarnation."""
    compute_zone: str
    """Where it ran."""
    created_at: Utc
    """When Compute Engine created it."""
    terminated_at: Utc
    """When it was down (or the best upper bound that could be observed)."""
    is_assumed: bool = False
    """Whether nobody saw its end: it is the longest that the VM can have been up."""
    schema_version: Literal[1] = 1
    """Version of this document."""
