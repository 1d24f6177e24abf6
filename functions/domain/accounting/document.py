"""The receipt document."""

from typing import Literal

from forecaster.series import Basis
from functions.domain.plan.document import Policy
from vm_runtime.contract.base import Count, JobId, NonNegative, Utc, document


@document
class ReceiptHour:
    """Energy and emissions of one hour in one place."""

    start: Utc
    """Begin of the hour."""
    compute_zone: str
    """Where."""
    grid_zone: str
    """Whose electricity."""
    energy_kwh: NonNegative
    """All energy, overheads included, kWh."""
    overhead_kwh: NonNegative
    """Of it: boot, load, wait, checkpoint, shutdown, lost steps."""
    gco2eq_per_kwh: NonNegative
    """Actual intensity of that hour there, as published afterwards."""
    estimated: bool
    """Whether the publisher estimated it."""

    @property
    def emissions_gco2eq(self) -> float:
        """Emissions of the hour, g."""
        return self.energy_kwh * self.gco2eq_per_kwh


@document
class Baseline:
    """What another way to do the same work would have emitted, on the same actual carbon."""

    policy: Policy
    """Which way."""
    compute_zones: tuple[str, ...]
    """Where."""
    finish_at: Utc
    """When it would have been done."""
    emissions_gco2eq: NonNegative
    """Emissions, its own overheads included, g."""


@document
class Receipt:
    """What a job emitted, against what, on which accounting basis."""

    job_id: JobId
    """The job."""
    created_at: Utc
    """When it was computed."""
    complete: bool
    """Whether the actual intensity of every hour is known; else it will be computed again."""
    missing_hours: Count
    """Hours of energy that are not yet in the sums, because their intensity is not known."""
    submitted_at: Utc
    """When the job was submitted."""
    finished_at: Utc
    """When its last step was committed."""
    hours: tuple[ReceiptHour, ...]
    """Ascending by start."""
    emissions_gco2eq: NonNegative
    """Sum over the hours, g."""
    energy_kwh: NonNegative
    """Sum over the hours, kWh."""
    overhead_kwh: NonNegative
    """Of it overhead."""
    baselines: tuple[Baseline, ...]
    """Compared with what."""
    vms: Count
    """VMs used."""
    moves: Count
    """Changes of compute zone between consecutive VMs."""
    steps: Count
    """Optimizer steps of the finished training."""
    lost_steps: Count
    """Steps that were done again because a VM died before a checkpoint."""
    weights_sha256: str
    """Digest of the final weights."""
    basis: Basis
    """Accounting basis of the intensities: average, flow-traced, life cycle unless `direct`."""
    source: str
    """Who published them; says `simulated` where they are."""
    energy_basis: str
    """How energy was found."""
    schema_version: Literal[1] = 1
    """Version of this document."""

    def baseline(self, policy: Policy) -> Baseline | None:
        """Return the baseline of `policy`, `None` if there is none."""
        return next((b for b in self.baselines if b.policy is policy), None)
