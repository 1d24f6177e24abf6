"""What other ways to do the same work would have emitted, on the carbon that really came."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from forecaster.series import IntensityHour
from functions.domain.accounting.document import Baseline
from functions.domain.accounting.energy import HOUR, energy_kwh, shares_by_hour
from functions.domain.plan.document import Policy
from functions.domain.regions import REGIONS, zones_with_machine
from vm_runtime.contract.job import Job

Actual = Mapping[str, Mapping[datetime, IntensityHour]]
"""Hours as published afterwards, by grid zone and begin of the hour."""


def baselines_of(
    job: Job, useful: timedelta, actual: Actual, finished_at: datetime
) -> tuple[Baseline, ...]:
    """Return the baselines for `useful` training; one that needs unknown hours is left out.

    All start at submission, only in regions that the job allows and that have its machine.
    """
    if not useful:
        return ()
    regions = [
        name for name in job.allowed_regions if zones_with_machine(REGIONS[name], job.machine_type)
    ]
    at_once = {name: _at_once(job, name, useful, actual) for name in regions}
    found = [at_once[regions[0]]] if regions else []
    known = [each for each in at_once.values() if each is not None]
    if known:
        best = min(known, key=lambda each: each.emissions_gco2eq)
        found.append(replace(best, policy=Policy.BEST_FIXED_REGION))
    found.append(_bound(job, regions, useful, actual, finished_at))
    return tuple(each for each in found if each is not None)


def _at_once(job: Job, region: str, useful: timedelta, actual: Actual) -> Baseline | None:
    time = useful + timedelta(seconds=job.start_overhead_s)
    finish = job.submitted_at + time
    hours = actual.get(REGIONS[region].grid_zone, {})
    shares = dict(shares_by_hour(job.submitted_at, finish))
    if any(hour not in hours for hour in shares):
        return None
    mean = sum(share * hours[hour].gco2eq_per_kwh for hour, share in shares.items())
    return Baseline(
        policy=Policy.RUN_NOW_HERE,
        compute_zones=zones_with_machine(REGIONS[region], job.machine_type)[:1],
        finish_at=finish,
        emissions_gco2eq=mean * energy_kwh(job.power_w, time),
    )


def _bound(
    job: Job, regions: Sequence[str], useful: timedelta, actual: Actual, finished_at: datetime
) -> Baseline | None:
    """Return the cleanest known moments between submission and deadline, all moves free."""
    end = max(job.effective_deadline or finished_at, finished_at)
    moments = []
    hour = job.submitted_at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    while hour < end:
        best = _cleanest(hour, regions, actual)
        if best is not None:
            intensity, region = best
            moments.append((intensity, max(hour, job.submitted_at), min(hour + HOUR, end), region))
        hour += HOUR
    left, emissions = useful, 0.0
    used: list[tuple[datetime, datetime, str]] = []
    for intensity, start, stop, region in sorted(moments):
        time = min(left, stop - start)
        if time:
            used.append((start, start + time, region))
        emissions += intensity * energy_kwh(job.power_w, time)
        left -= time
    if left:
        return None
    zones = [
        zones_with_machine(REGIONS[region], job.machine_type)[0] for _, _, region in sorted(used)
    ]
    return Baseline(
        policy=Policy.BOUND,
        compute_zones=tuple(z for i, z in enumerate(zones) if i == 0 or z != zones[i - 1]),
        finish_at=max(stop for _, stop, _ in used),
        emissions_gco2eq=emissions,
    )


def _cleanest(hour: datetime, regions: Sequence[str], actual: Actual) -> tuple[float, str] | None:
    known = [
        (hours[hour].gco2eq_per_kwh, region)
        for region in regions
        if hour in (hours := actual.get(REGIONS[region].grid_zone, {}))
    ]
    return min(known, default=None)
