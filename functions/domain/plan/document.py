"""The plan document: immutable once written to the bucket."""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field

from forecaster.left_out import LeftOut
from vm_runtime.contract.base import Count, JobId, NonNegative, Utc, document


def plan_id_of(time: datetime) -> str:
    """Return the id of the one plan that a job has under the forecast made at `time`.

    A plan made between two forecasts, since the one before it is void, has the id of its minute.
    Later ones sort behind earlier ones.
    """
    return f"{time:%Y-%m-%dT%H%MZ}"


@document
class PlannedInterval:
    """Consecutive slots in one place, `[start, end)`."""

    start: Utc
    """First step may be taken then; the VM is booted ahead of it."""
    end: Utc
    """The VM has checkpointed and powers off then."""
    grid_zone: str
    """Whose electricity it uses."""
    compute_zone: str
    """Where the VM is made, unless that is blocked."""
    fallbacks: tuple[str, ...] = ()
    """Compute zones of other regions for these slots, best first, if there is no capacity."""
    work_h: NonNegative
    """Work that is done in it, overheads taken off, hours."""
    expected_gco2eq: NonNegative
    """Emissions by the forecast's median, overheads included, g."""
    expected_usd: NonNegative | None = None
    """Price of the machine meanwhile, US dollars; `None`: not known."""

    def __post_init__(self) -> None:
        """Refuse an empty interval."""
        if self.end <= self.start:
            raise ValueError(f"end: expected a time after {self.start}, found {self.end}")


class Policy(StrEnum):
    """Ways to run a job that are compared with each other."""

    RUN_NOW_HERE = "run now, here"
    """Start at once in the first allowed region."""
    BEST_WINDOW = "best single window"
    """Wait for the best time and place to do all in one piece."""
    BEST_FIXED_REGION = "best fixed region"
    """Start at once in the region that is cleanest over the run."""
    THRESHOLD_RULE = "threshold rule"
    """eco4cast 0.0.8: below 180 gCO2eq/kWh, and move if another zone is 30 cleaner."""
    THIS_PLAN = "this plan"
    BOUND = "perfect knowledge"
    """The best plan if the forecast were known and all starts and moves free."""
    ORACLE = "oracle"
    """Only in receipts: the best plan had it been known what really came, overheads as planned."""


@document
class Alternative:
    """What one way to run the work that is left would emit under the same forecast."""

    policy: Policy
    """Which way."""
    emissions_gco2eq: NonNegative
    """Emissions by the forecast's median, overheads included, g."""
    finish_at: Utc
    """When the work would be done."""
    starts: Count
    """How often a VM is started or resumed."""
    moves: Count
    """How often it is moved while it runs."""
    compute_zones: tuple[str, ...]
    """Places, in order of use."""
    usd: NonNegative | None = None
    """What the machine costs, US dollars; `None`: a price is not known."""
    delay_h: NonNegative = 0.0
    """Hours that it finishes later than it could."""
    undone_h: NonNegative = 0.0
    """Work that it leaves undone within the forecast, hours; its emissions are without it."""
    meets_deadline: bool = True
    """Whether all of the work is done by the deadline."""


@document
class Plan:
    """Where and when the work that is left of a job will be done."""

    plan_id: str = Field(pattern=r"^\d{4}-\d\d-\d\dT\d{4}Z$")
    """The forecast's origin: one plan per job and forecast. Or the minute in which it was made,
    if the job was resumed or retried since the forecast."""
    job_id: JobId
    """The job."""
    created_at: Utc
    """When it was made."""
    forecast_origin: Utc
    """Which forecast it rests on."""
    work_left_h: NonNegative
    """Work that it covers, hours."""
    deadline: Utc | None
    """The job's deadline."""
    intervals: tuple[PlannedInterval, ...]
    """Ascending, without overlap; empty if nothing is left to do."""
    expected_gco2eq: NonNegative
    """Emissions of all intervals, g."""
    meets_deadline: bool
    """Whether the work is done by the deadline."""
    reason: str
    """One plain sentence: why so."""
    alternatives: tuple[Alternative, ...]
    """Compared with what."""
    left_out: tuple[LeftOut, ...] = ()
    """Allowed grid zones that could not be used, and why."""
    set_aside: tuple[str, ...] = ()
    """Fields of the job whose limits are not kept, because the deadline would be missed."""
    impossible: str | None = None
    """The field of the job that cannot be satisfied, and by how much; `None`: all can."""
    caveats: tuple[str, ...] = ()
    """What was missing and what was done instead: deadline, work, recent or complete data."""
    expected_usd: NonNegative | None = None
    """Price of the machine over all intervals, US dollars; `None`: not known."""
    price_source: str | None = None
    """Where the prices come from, and of which day."""
    forecast_source: str
    """Where the carbon data come from; says `simulated` where they are."""
    schema_version: Literal[1] = 1
    """Version of this document."""

    def __post_init__(self) -> None:
        """Refuse intervals that overlap or are out of order."""
        for before, after in zip(self.intervals, self.intervals[1:], strict=False):
            if after.start < before.end:
                raise ValueError(
                    f"intervals: expected ascending without overlap, found one that starts at"
                    f" {after.start} before the end {before.end} of the one before it"
                )
