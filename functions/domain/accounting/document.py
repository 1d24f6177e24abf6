"""The receipt document: every total in it can be added up again from its rows."""

from typing import Literal

from pydantic import Field

from forecaster.series import Basis
from functions.domain.accounting.parts import (
    Baseline,
    MissingHour,
    ReceiptHour,
    ReceiptInterval,
    ReceiptRow,
    Regret,
    Revision,
    SpentOn,
    ZoneBasis,
)
from functions.domain.lifecycle.state import Phase
from functions.domain.plan.document import Policy
from functions.domain.regions import region_of
from vm_runtime.contract.base import Count, JobId, NonNegative, Utc, document
from vm_runtime.contract.job import Region


@document
class Receipt:
    """What a job emitted, against what, on which accounting basis."""

    job_id: JobId
    """The job."""
    created_at: Utc
    """When it was computed."""
    outcome: Phase
    """How the job ended."""
    allowed_regions: tuple[Region, ...] = Field(min_length=1)
    """Where the job could run; nothing else is ever compared with."""
    submitted_at: Utc
    """When the job was submitted."""
    finished_at: Utc
    """When its last step was committed; of a failed job, when it was given up."""
    deadline: Utc | None
    """When it had to be done; until then the oracle may still find cleaner hours."""
    rows: tuple[ReceiptRow, ...]
    """All energy, by hour, VM and what it was spent on; ascending."""
    intervals: tuple[ReceiptInterval, ...]
    """One for each VM, by incarnation."""
    missing: tuple[MissingHour, ...]
    """Hours of energy whose intensity is not published: in no sum of emissions."""
    emissions_gco2eq: NonNegative
    """Sum over the rows whose intensity is known, g."""
    energy_kwh: NonNegative
    """Sum over all rows."""
    overhead_kwh: NonNegative
    """Of it all that did no work which is in the result."""
    measured_kwh: NonNegative
    """Of it what counters of the machine measured; the rest is modelled."""
    useful_h: NonNegative
    """Training whose steps are in the result, hours: the work that baselines do."""
    power_w: NonNegative
    """Mean power of that training, watts: the power that baselines draw."""
    usd: NonNegative | None
    """Price of the VMs from creation to end, US dollars; `None`: a price is not known."""
    price_source: str
    """Where prices come from, and of which day."""
    baselines: tuple[Baseline, ...]
    """Other ways to do the same work; none for a job that did not finish."""
    regret: Regret | None
    """What was emitted beyond the oracle; `None` as long as one of the two is not known."""
    vms: Count
    """VMs used."""
    moves: Count
    """Changes of compute zone between consecutive VMs."""
    steps: Count
    """Optimizer steps in the last committed checkpoint."""
    lost_steps: Count
    """Steps that were done again, or never, because a VM died before a checkpoint."""
    weights_sha256: str
    """Digest of the weights in the last committed checkpoint; empty without one."""
    basis: Basis
    """Accounting basis of the intensities: average, flow-traced, life cycle unless `direct`."""
    source: str
    """Who published them; says `simulated` where they are."""
    zones: tuple[ZoneBasis, ...]
    """How much of it each grid zone's publisher estimated."""
    energy_basis: str
    """How energy was found."""
    revisions: tuple[Revision, ...] = Field(min_length=1)
    """How the total came about, oldest first; the last one is in force."""
    evidence_sha256: str = ""
    """Digest of all that it was made from: the same evidence would make the same receipt."""
    schema_version: Literal[1] = 1
    """Version of this document."""

    def __post_init__(self) -> None:
        """Refuse a comparison with places where the job could not have run."""
        used = {zone for each in self.baselines for zone in each.compute_zones}
        strangers = sorted({region_of(zone).name for zone in used} - set(self.allowed_regions))
        if strangers:
            raise ValueError(
                f"baselines: expected only the job's allowed regions"
                f" ({', '.join(self.allowed_regions)}), found {', '.join(strangers)}"
            )

    @property
    def complete(self) -> bool:
        """Whether the actual intensity of every hour of energy is known."""
        return not self.missing

    @property
    def is_provisional(self) -> bool:
        """Whether hours are still to be published, for the job or for what it is compared with."""
        return not self.complete or not all(each.is_final for each in self.baselines)

    @property
    def missing_hours(self) -> int:
        """Hours of energy that are in no sum of emissions."""
        return len(self.missing)

    @property
    def estimated_hours(self) -> int:
        """Hours of energy whose intensity the publisher estimated."""
        return sum(zone.used_hours_estimated for zone in self.zones)

    @property
    def hours(self) -> tuple[ReceiptHour, ...]:
        """The rows whose intensity is known, added up by hour and place."""
        cells: dict[tuple[object, str], ReceiptHour] = {}
        for row in self.rows:
            if row.gco2eq_per_kwh is None:
                continue
            before = cells.get((row.hour, row.compute_zone))
            overhead_kwh = 0.0 if row.kind is SpentOn.TRAINING else row.energy_kwh
            cells[row.hour, row.compute_zone] = ReceiptHour(
                start=row.hour,
                compute_zone=row.compute_zone,
                grid_zone=row.grid_zone,
                energy_kwh=row.energy_kwh + (before.energy_kwh if before else 0.0),
                overhead_kwh=overhead_kwh + (before.overhead_kwh if before else 0.0),
                gco2eq_per_kwh=row.gco2eq_per_kwh,
                estimated=row.estimated,
            )
        return tuple(cells.values())

    def baseline(self, policy: Policy) -> Baseline | None:
        """Return the baseline of `policy`, `None` if there is none."""
        return next((each for each in self.baselines if each.policy is policy), None)

    def spent_on(self, kind: SpentOn) -> tuple[float, float]:
        """Return the energy of one kind, kWh, and what is known of its emissions, g."""
        mine = [row for row in self.rows if row.kind is kind]
        return (
            sum(row.energy_kwh for row in mine),
            sum(row.emissions_gco2eq or 0.0 for row in mine),
        )
