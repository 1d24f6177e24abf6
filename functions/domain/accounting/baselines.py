"""What other ways to do the same work would have emitted, on the carbon that really came.

Each is one way that the job could have gone: it starts at submission, in regions that the job
allows and that have its machine. It is the planner that says what a way costs, with the actual
intensities as its forecast: so plan, baselines and oracle count overheads alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import ceil

from forecaster.series import (
    HIGHEST_PLAUSIBLE_GCO2EQ_PER_KWH,
    Forecast,
    Method,
    ZoneForecast,
)
from functions.domain.accounting.energy import HOUR, Actual, energy_kwh, floor_hour, shares_by_hour
from functions.domain.accounting.parts import Baseline, MissingHour
from functions.domain.plan.document import Plan, Policy
from functions.domain.plan.planner import make_plan
from functions.domain.plan.prices import DEFAULT_PRICES, PriceTable
from functions.domain.plan.terms import Dues
from functions.domain.regions import PLACES, grid_zone_of, zones_with_machine
from functions.errors import PermanentError, TransientError
from vm_runtime.contract.job import Job

MINUTE = timedelta(minutes=1)
_SLACK_MIN = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The work that a finished job did, to be done another way."""

    job: Job
    useful: timedelta
    """Training whose steps are in the result, above 0."""
    power_w: float
    """Mean power of it."""
    finished_at: datetime
    prices: PriceTable = DEFAULT_PRICES

    @property
    def begin(self) -> datetime:
        """The minute of submission."""
        return self.job.submitted_at.replace(second=0, microsecond=0)

    @property
    def minutes(self) -> int:
        """The work in whole minutes, as the planner counts."""
        return max(ceil(self.useful / MINUTE - _SLACK_MIN), 1)

    @property
    def regions(self) -> tuple[str, ...]:
        """Allowed regions that have the machine, in the job's order."""
        machine = self.job.machine_type
        names = (name for name in self.job.allowed_regions if name in PLACES)
        return tuple(name for name in names if zones_with_machine(PLACES[name], machine))

    @property
    def until(self) -> datetime:
        """When it had to be done; a job that was late took the time it took."""
        finish = self.begin + ceil((self.finished_at - self.begin) / MINUTE) * MINUTE
        return max(self.job.effective_deadline or finish, finish)


def baselines_of(work: Work, actual: Actual, now: datetime) -> tuple[Baseline, ...]:
    """Return run now here, best fixed region, and the oracle, as far as hours are known."""
    if not work.regions:
        return ()
    at_once = [_at_once(work, region, actual) for region in work.regions]
    return (
        at_once[0],
        _best_fixed(at_once),
        oracle_of(work, actual, now),
    )


def oracle_of(work: Work, actual: Actual, now: datetime) -> Baseline:
    """Return the exact optimum under the actual intensities, overheads and limits as planned.

    Money does not weigh in it: it is what carbon alone could have had.

    Before the deadline it can only use the hours until `now`; it is then not final. An hour that
    is not published is never used, and named.
    """
    until = work.until
    known_until = min(until, floor_hour(now)) if now < until else None
    end = known_until or until
    plan = _planned(work, actual, regions=work.regions, until=end, deadline=end)
    missing = _missing_until(work, actual, end)
    if plan is None or _touches(plan, missing):
        return Baseline(
            policy=Policy.ORACLE,
            compute_zones=(),
            finish_at=None,
            emissions_gco2eq=None,
            missing=missing,
            known_until=known_until,
        )
    zones = [interval.compute_zone for interval in plan.intervals]
    return Baseline(
        policy=Policy.ORACLE,
        compute_zones=tuple(z for i, z in enumerate(zones) if i == 0 or z != zones[i - 1]),
        finish_at=plan.intervals[-1].end,
        emissions_gco2eq=plan.expected_gco2eq,
        usd=plan.expected_usd,
        missing=missing,
        known_until=known_until,
    )


def _planned(
    work: Work, actual: Actual, *, regions: Sequence[str], until: datetime, deadline: datetime
) -> Plan | None:
    """Return the plan on the actual hours until `until`, `None` if too few of them are known."""
    if deadline <= work.begin:
        return None  # It was over before its first hour was published.
    job = replace(
        work.job,
        submitted_at=work.begin,
        power_w=work.power_w,
        allowed_regions=tuple(regions),
        deadline=deadline,
        price_weight_g_per_usd=0.0,
    )
    foreseen = _foreseen(work, actual, regions, until)
    try:
        return make_plan(
            job,
            foreseen,
            now=work.begin,
            work_left_h=work.minutes / 60,
            running_in=None,
            prices=work.prices,
        )
    except (PermanentError, TransientError):
        return None


def _foreseen(work: Work, actual: Actual, regions: Sequence[str], until: datetime) -> Forecast:
    """Return the actual hours as a forecast without error; an unknown hour as dirty as can be."""
    begin = floor_hour(work.begin)
    hours = [begin + n * HOUR for n in range(max(ceil((until - begin) / HOUR), 1))]
    zones = []
    for grid_zone in dict.fromkeys(PLACES[name].grid_zone for name in regions):
        known = actual.get(grid_zone, {})
        if not any(hour in known for hour in hours):
            continue
        values = tuple(
            known[hour].gco2eq_per_kwh if hour in known else HIGHEST_PLAUSIBLE_GCO2EQ_PER_KWH
            for hour in hours
        )
        zones.append(
            ZoneForecast(
                grid_zone=grid_zone,
                p10=values,
                p50=values,
                p90=values,
                method=Method.CLIMATOLOGY,
                history_h=0,
            )
        )
    return Forecast(origin=begin, zones=tuple(zones), model_version="actual", source="actual")


def _missing_until(work: Work, actual: Actual, until: datetime) -> tuple[MissingHour, ...]:
    zones = dict.fromkeys(PLACES[name].grid_zone for name in work.regions)
    begin = floor_hour(work.begin)
    return tuple(
        MissingHour(grid_zone=zone, start=begin + n * HOUR)
        for zone in zones
        for n in range(max(ceil((until - begin) / HOUR), 0))
        if begin + n * HOUR not in actual.get(zone, {})
    )


def _touches(plan: Plan, missing: Sequence[MissingHour]) -> bool:
    unknown = {(each.grid_zone, each.start) for each in missing}
    return not plan.intervals or any(
        (interval.grid_zone, hour) in unknown
        for interval in plan.intervals
        for hour, _ in shares_by_hour(interval.start, interval.end)
    )


def _at_once(work: Work, region: str, actual: Actual) -> Baseline:
    """Return running at once in one region, whatever the deadline."""
    start_min = Dues.of(work.job).overheads.start_min
    until = work.begin + (work.minutes + start_min) * MINUTE + HOUR
    plan = _planned(work, actual, regions=[region], until=until, deadline=until)
    ways = plan.alternatives if plan else ()
    way = next((each for each in ways if each.policy is Policy.RUN_NOW_HERE), None)
    finish = way.finish_at if way else until
    _, missing = priced(work.begin, finish, region, work.power_w, actual)
    return Baseline(
        policy=Policy.RUN_NOW_HERE,
        compute_zones=zones_with_machine(PLACES[region], work.job.machine_type)[:1],
        finish_at=finish,
        emissions_gco2eq=None if missing or way is None else way.emissions_gco2eq,
        usd=way.usd if way else None,
        missing=missing,
    )


def _best_fixed(at_once: Sequence[Baseline]) -> Baseline:
    """Return the cleanest of the known ones; not final before all could be compared."""
    known = [each for each in at_once if each.emissions_gco2eq is not None]
    missing = tuple(hour for each in at_once for hour in each.missing)
    if not known:
        return replace(
            at_once[0],
            policy=Policy.BEST_FIXED_REGION,
            compute_zones=(),
            finish_at=None,
            usd=None,
            missing=missing,
        )
    best = min(known, key=lambda each: each.emissions_gco2eq or 0.0)
    return replace(best, policy=Policy.BEST_FIXED_REGION, missing=missing)


def priced(
    start: datetime, end: datetime, region: str, power_w: float, actual: Actual
) -> tuple[float, tuple[MissingHour, ...]]:
    """Return what `power_w` emits in a region between two times, g, and the hours not known."""
    grid_zone = PLACES[region].grid_zone
    hours, grams, missing = actual.get(grid_zone, {}), 0.0, []
    energy = energy_kwh(power_w, end - start)
    for hour, share in shares_by_hour(start, end):
        if hour in hours:
            grams += share * energy * hours[hour].gco2eq_per_kwh
        else:
            missing.append(MissingHour(grid_zone=grid_zone, start=hour))
    return grams, tuple(missing)


def region_name(compute_zone: str) -> str:
    """Return the region of a compute zone that a plan names."""
    grid_zone_of(compute_zone)
    return compute_zone.rpartition("-")[0]
