"""What one job can do under one forecast: its places, the minutes left, the terms of each."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import ceil

import numpy as np

from forecaster.series import HIGHEST_PLAUSIBLE_GCO2EQ_PER_KWH, Forecast
from functions.domain.plan.grid import HOUR_MIN, MINUTE, Grid, make_grid
from functions.domain.plan.places import Place
from functions.domain.plan.prices import PriceTable
from functions.domain.plan.problem import Entry, Run
from functions.domain.plan.terms import Dues, Terms, extras_on
from vm_runtime.contract.job import Job

_SLACK_MIN = 1e-6
"""Fraction of a minute by which sums of floats may be off."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Task:
    """One job to be planned."""

    job: Job
    now: datetime
    places: tuple[Place, ...]
    terms: Terms
    """Without the job's limits."""
    running: int | None
    """Place in which its VM runs."""
    running_in: str | None
    """Compute zone of that VM."""
    running_left_min: int
    """How long it must go on for the sake of `min_interval_minutes`."""
    work: int | None
    """Work left, minutes; `None`: not known."""
    deadline: datetime | None

    @property
    def grid(self) -> Grid:
        """The minutes that the forecast covers."""
        return self.terms.grid

    @property
    def deadline_min(self) -> int:
        """Minutes that may be used; a begun minute of `now` counts as used."""
        if self.deadline is None:
            return self.grid.minutes
        return min(max((self.deadline - self.now) // MINUTE, 0), self.grid.minutes)

    def limited(self, *, intensity: bool, interval: bool) -> Terms:
        """Return the terms with the limits that are to be kept."""
        limit = self.job.max_carbon_intensity_gco2eq_per_kwh if intensity else None
        shortest = max(self.job.min_interval_minutes, 1) if interval else 1
        if limit is None and shortest == 1:
            return self.terms
        return replace(self.terms, limit_gco2eq_per_kwh=limit, min_run_min=shortest)

    def goes_on(self, run: Run) -> bool:
        """Tell whether `run` is what runs already."""
        return run.begin_min == 0 and run.entry is Entry.GOES_ON

    def compute_zone(self, run: Run) -> str:
        """Return where the VM of `run` is or would be made."""
        if self.goes_on(run) and self.running_in is not None:
            return self.running_in
        return self.places[run.place].compute_zone


def make_task(  # noqa: PLR0913 - the facts of one job at one time
    job: Job,
    forecast: Forecast,
    places: tuple[Place, ...],
    *,
    now: datetime,
    work_left_h: float | None,
    running_in: str | None,
    running_since: datetime | None,
    prices: PriceTable,
) -> Task:
    """Return the task; hours that a place's forecast lacks are known to be missing."""
    hours = max(len(place.forecast.p50) for place in places)
    end = forecast.origin + timedelta(hours=hours)
    hourly = np.full((hours, len(places)), np.nan)
    for index, place in enumerate(places):
        hourly[: len(place.forecast.p50), index] = place.forecast.p50
    grid = make_grid(now, end, job.slot_minutes, hourly, forecast.origin)
    known = np.isfinite(grid.gco2eq_per_kwh)
    if not known.all():
        # Never clean; the highest that can be, should anything ever look at it.
        filled = np.where(known, grid.gco2eq_per_kwh, HIGHEST_PLAUSIBLE_GCO2EQ_PER_KWH)
        grid = replace(grid, gco2eq_per_kwh=filled)
    dues = Dues.of(job)
    running = [
        index for index, place in enumerate(places) if running_in in place.region.compute_zones
    ]
    return Task(
        job=job,
        now=now,
        places=places,
        terms=Terms(
            grid=grid,
            power_kw=job.power_w / 1000,
            dues=dues,
            known=None if known.all() else known,
            usd_per_h=tuple(place.usd_per_h for place in places),
            weight_g_per_usd=job.price_weight_g_per_usd,
            transfer_usd=job.state_gb * prices.transfer_usd_per_gb,
            extra_gco2eq=extras_on(grid, dues),
        ),
        running=running[0] if running else None,
        running_in=running_in,
        running_left_min=_running_left_min(job, now, running_since if running else None),
        work=None if work_left_h is None else _whole_minutes(work_left_h),
        deadline=job.effective_deadline,
    )


def _running_left_min(job: Job, now: datetime, since: datetime | None) -> int:
    if since is None or not job.min_interval_minutes:
        return 0
    return max(job.min_interval_minutes - (now - since) // MINUTE, 0)


def _whole_minutes(work_h: float) -> int:
    """Round up: however little is left, it needs a minute, or nothing would ever do it."""
    return max(ceil(work_h * HOUR_MIN - _SLACK_MIN), 1 if work_h > 0 else 0)
