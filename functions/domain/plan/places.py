"""Where a job may run under a forecast, and why it may not run elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass

from forecaster.series import Forecast, LeftOut, ZoneForecast
from functions.domain.plan.prices import DEFAULT_PRICES, PriceTable
from functions.domain.plan.prices import usd_per_h as prices_of
from functions.domain.regions import PLACES, Region, check_job, zones_with_machine
from functions.errors import IntensityUnavailableError, InvalidInputError, StockOutError
from vm_runtime.contract.job import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A region in which the job can run, and how clean it will be."""

    region: Region
    compute_zone: str
    """Where a VM would be made: the first compute zone that is not blocked."""
    forecast: ZoneForecast
    usd_per_h: float | None = None
    """Price of the machine there, `None` if it is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refusal:
    grid_zone: str
    reason: str
    error: type[Exception]


def find_places(
    job: Job,
    forecast: Forecast,
    *,
    blocked: Sequence[str],
    running_in: str | None,
    prices: PriceTable = DEFAULT_PRICES,
) -> tuple[tuple[Place, ...], tuple[LeftOut, ...]]:
    """Return the places for `job` in the order of its regions, and the grid zones left out.

    A block forbids to make a VM, not to go on: the region in which one runs stays a place.

    Args:
        job: whose machine and allowed regions count.
        forecast: a grid zone without one is no place.
        blocked: compute zones and regions without capacity or quota.
        running_in: compute zone in which the job's VM runs, `None` if none does.
        prices: of machines; a region without one is no place if money counts.

    Raises:
        InvalidInputError: the job names an unknown region, or no region has its machine.
        IntensityUnavailableError: no place is left, for lack of data at least in one.
        StockOutError: no place is left, all that could be used are blocked.
    """
    if any(name not in PLACES for name in job.allowed_regions):
        check_job(job)
    usd = prices_of(prices, job.machine_type)
    found = [
        _judge(
            PLACES[name],
            job,
            forecast,
            blocked=blocked,
            running_in=running_in,
            usd_per_h=usd.get(name),
        )
        for name in job.allowed_regions
    ]
    refusals = [each for each in found if isinstance(each, _Refusal)]
    if len(refusals) == len(found):
        raise _no_place(job, refusals)
    places = tuple(each for each in found if isinstance(each, Place))
    return places, tuple(LeftOut(grid_zone=r.grid_zone, reason=r.reason) for r in refusals)


def _judge(  # noqa: PLR0913 - each fact that may rule a region out
    region: Region,
    job: Job,
    forecast: Forecast,
    *,
    blocked: Sequence[str],
    running_in: str | None,
    usd_per_h: float | None,
) -> Place | _Refusal:
    zones = zones_with_machine(region, job.machine_type)
    if not zones:
        reason = f"{region.name} has no {job.machine_type}"
        return _Refusal(grid_zone=region.grid_zone, reason=reason, error=InvalidInputError)
    of_zone = forecast.zone(region.grid_zone)
    if of_zone is None:
        reasons = {each.grid_zone: each.reason for each in forecast.left_out}
        reason = reasons.get(region.grid_zone, "the forecast does not cover it")
        return _Refusal(grid_zone=region.grid_zone, reason=reason, error=IntensityUnavailableError)
    if job.price_weight_g_per_usd and usd_per_h is None:
        reason = f"no price is known for {job.machine_type} in {region.name}, and money counts"
        return _Refusal(grid_zone=region.grid_zone, reason=reason, error=InvalidInputError)
    free = [zone for zone in zones if zone not in blocked and region.name not in blocked]
    if not free and running_in in region.compute_zones:
        free = [str(running_in)]
    if not free:
        reason = f"blocked for now: no capacity or quota for {job.machine_type} in {region.name}"
        return _Refusal(grid_zone=region.grid_zone, reason=reason, error=StockOutError)
    return Place(region=region, compute_zone=free[0], forecast=of_zone, usd_per_h=usd_per_h)


def _no_place(job: Job, refusals: Sequence[_Refusal]) -> Exception:
    reasons = "; ".join(f"{each.grid_zone}: {each.reason}" for each in refusals)
    errors = {each.error for each in refusals}
    message = f"job {job.job_id}: expected a region in which it can run, found none ({reasons})."
    if IntensityUnavailableError in errors:
        return IntensityUnavailableError(f"{message} Wait for data or allow more regions.")
    if StockOutError in errors:
        return StockOutError(f"{message} Wait for capacity or allow more regions.")
    return InvalidInputError(
        f"{message} Change allowed_regions, machine_type or the table of prices."
    )
