"""The parts of a receipt."""

from enum import StrEnum

from functions.domain.plan.document import Policy
from vm_runtime.contract.base import Count, NonNegative, Utc, document


class SpentOn(StrEnum):
    """What energy was spent on; all but `TRAINING` is overhead."""

    TRAINING = "training"
    """Optimizer steps and validation whose result is in the last checkpoint."""
    BOOT = "boot"
    """From a VM's creation to the runtime's first line."""
    RESTORE = "restore"
    """Imports, source, download of the checkpoint."""
    IDLE = "idle"
    """Ready, but not yet allowed to train."""
    CHECKPOINT = "checkpoint"
    """Training stood still for a checkpoint."""
    MOVE = "move"
    """Boot, restore and waiting of a VM that took over from one that was still up elsewhere."""
    SHUTDOWN = "shutdown"
    """From the end of training to power-off; all that a dead VM drew after its last word."""
    LOST = "done again"
    """Steps that were in no checkpoint when a VM died."""
    NETWORK = "network"
    """What a VM loads at its start, by the job's own factor; not counted without one."""


@document
class MissingHour:
    """An hour that is not published yet."""

    grid_zone: str
    """Where."""
    start: Utc
    """Begin of the hour."""


@document
class ReceiptRow:
    """Energy of one VM within one hour, spent on one thing: what every total is added up from."""

    hour: Utc
    """Begin of the hour."""
    incarnation: Count
    """Of the VM."""
    compute_zone: str
    """Where."""
    grid_zone: str
    """Whose electricity."""
    kind: SpentOn
    """On what."""
    duration_s: NonNegative
    """How long of the hour, seconds."""
    energy_kwh: NonNegative
    """Energy, kWh."""
    measured_kwh: NonNegative
    """The part of it that a counter of the machine measured; the rest is modelled."""
    gco2eq_per_kwh: NonNegative | None
    """Actual intensity of that hour there, as published afterwards; `None`: not yet."""
    estimated: bool
    """Whether the publisher estimated it."""

    @property
    def emissions_gco2eq(self) -> float | None:
        """Emissions, g; `None`: not known yet, never 0."""
        return None if self.gco2eq_per_kwh is None else self.energy_kwh * self.gco2eq_per_kwh


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
    """Of it overhead."""
    gco2eq_per_kwh: NonNegative
    """Actual intensity of that hour there, as published afterwards."""
    estimated: bool
    """Whether the publisher estimated it."""

    @property
    def emissions_gco2eq(self) -> float:
        """Emissions of the hour, g."""
        return self.energy_kwh * self.gco2eq_per_kwh


@document
class ReceiptInterval:
    """What one VM used, from its creation to its end."""

    vm: str
    """Its name."""
    incarnation: Count
    """Its incarnation."""
    compute_zone: str
    """Where."""
    grid_zone: str
    """Whose electricity."""
    start: Utc
    """When it was created."""
    end: Utc
    """When it was down."""
    is_assumed: bool
    """Whether nobody saw begin or end (a person deleted it, say): assumed, rather too long."""
    first_step: Count
    """Steps done when it took over."""
    last_step: Count
    """Steps done at its end."""
    ended_because: str
    """Its last word; empty if it had none."""
    energy_kwh: NonNegative
    """All energy, kWh."""
    overhead_kwh: NonNegative
    """Of it overhead."""
    emissions_gco2eq: NonNegative | None
    """Emissions, g; `None` while hours of it are not published."""


@document
class ZoneBasis:
    """How far the intensities of a grid zone are the publisher's estimates."""

    grid_zone: str
    """Electricity Maps zone key."""
    used_hours: Count
    """Hours in which the job used its electricity and whose intensity is known."""
    used_hours_estimated: Count
    """Of them estimated."""
    known_hours: Count
    """Hours known from submission on, which the baselines rest on."""
    known_hours_estimated: Count
    """Of them estimated."""


@document
class Baseline:
    """What another way to do the same work would have emitted, on the same actual carbon.

    Always one way that the job could really have gone, never a mean of places.
    """

    policy: Policy
    """Which way."""
    compute_zones: tuple[str, ...]
    """Where, in order of use."""
    finish_at: Utc | None
    """When it would have been done; `None`: not known yet."""
    emissions_gco2eq: NonNegative | None
    """Emissions, its own overheads included, g; `None`: not known yet."""
    usd: NonNegative | None = None
    """Price of the machine, US dollars; `None`: not known."""
    missing: tuple[MissingHour, ...] = ()
    """Hours that must be published before it is final."""
    known_until: Utc | None = None
    """So far only hours before it count; `None`: all are in."""

    @property
    def is_final(self) -> bool:
        """Whether all is published that it rests on."""
        return self.emissions_gco2eq is not None and not self.missing and self.known_until is None


@document
class Regret:
    """What was emitted beyond the oracle, and where that came from, g; below 0 if less was."""

    total_gco2eq: float
    """Emissions less the oracle's."""
    plans_gco2eq: float | None
    """Of it: the same forecasts, each plan carried out without fault, less the oracle: what it
    cost not to know the future. `None`: the forecasts are not all there any more."""
    execution_gco2eq: float | None
    """The rest: starts that took another time than planned, full zones, crashes, a wrong estimate
    of the work."""


@document
class Revision:
    """One version of the total, and why it differs from the one before, g."""

    made_at: Utc
    """When."""
    emissions_gco2eq: NonNegative
    """The total."""
    missing_hours: Count
    """Hours of energy not yet in it."""
    estimated_hours: Count
    """Hours of energy whose intensity was an estimate."""
    published_gco2eq: float = 0.0
    """Change by hours that have been published since."""
    revised_gco2eq: float = 0.0
    """Change by values that replaced earlier ones."""
    booked_gco2eq: float = 0.0
    """Change by energy that was booked since."""

    @property
    def change_gco2eq(self) -> float:
        """The whole change."""
        return self.published_gco2eq + self.revised_gco2eq + self.booked_gco2eq
