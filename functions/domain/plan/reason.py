"""One plain sentence that says why a plan is as it is, with numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from functions.domain.plan.document import Alternative, Policy
from functions.domain.regions import region_of

_NEAR = 0.005
"""Differences below half a percent are no differences for a person."""

_NEARLY_ALL = 0.95
"""From this share of the gain on, a simpler way is as good for a person."""

_WHOLE_GRAMS = 100.0
"""From here on tenths of a gram say nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What the sentence says beyond the comparison."""

    now: datetime
    first_start: datetime
    goes_on: bool
    """Whether a VM runs now in the first place of the plan."""
    finish_at: datetime
    missed_deadline: datetime | None
    """The deadline, if it cannot be met."""
    work_is_known: bool
    planned_h: float
    later_h: float
    """Work beyond the end of the forecast, hours."""
    set_aside: tuple[str, ...] = ()
    """Limits of the job that are not kept."""
    price_counts: bool = False
    """Whether money was weighed in."""


def reason_of(circumstances: Circumstances, alternatives: Sequence[Alternative]) -> str:
    """Return the sentence."""
    by_policy = {each.policy: each for each in alternatives}
    plan = by_policy[Policy.THIS_PLAN]
    parts = [_lead(circumstances, plan)]
    parts += _against_here(plan, by_policy.get(Policy.RUN_NOW_HERE))
    parts += _against_fixed(
        plan, by_policy.get(Policy.RUN_NOW_HERE), by_policy.get(Policy.BEST_FIXED_REGION)
    )
    if circumstances.price_counts and plan.usd is not None:
        parts.append(f"{plan.usd:.2f} USD, which counted too")
    if circumstances.set_aside and circumstances.missed_deadline is None:
        names = " and ".join(circumstances.set_aside)
        parts.append(
            f"{names} set aside, because the deadline would be missed: rather dirty than late"
        )
    if not circumstances.work_is_known:
        parts.append(
            "it is not known how much work or time there is, so it runs in the cleanest half of"
            " each 24 h"
        )
    if circumstances.later_h > 0:
        parts.append(f"the last {circumstances.later_h:.1f} h lie beyond the end of the forecast")
    return "; ".join(parts) + "."


def _lead(circumstances: Circumstances, plan: Alternative) -> str:
    names = [_name(zone) for zone in plan.compute_zones]
    first, then = names[0], names[1:]
    wait = circumstances.first_start - circumstances.now
    if circumstances.missed_deadline is not None:
        begin = "goes on" if circumstances.goes_on else "starts at once"
        late_min = (circumstances.finish_at - circumstances.missed_deadline) / timedelta(minutes=1)
        return (
            f"Cannot meet the deadline {circumstances.missed_deadline:%Y-%m-%d %H:%M} UTC: the"
            f" {circumstances.planned_h:.1f} h take until {circumstances.finish_at:%Y-%m-%d %H:%M},"
            f" {late_min:.0f} min too long, so it {begin} in {first}, rather dirty than late"
        )
    if circumstances.goes_on:
        lead = f"Goes on in {first}"
    elif wait < timedelta(minutes=1):
        lead = f"Starts at once in {first}"
    else:
        lead = f"Waits {_duration(wait)} for {first}"
    if then:
        lead += f", then {', '.join(then[:3])}" + (" and further" if then[3:] else "")
    return f"{lead}: {_grams(plan.emissions_gco2eq)}"


def _against_here(plan: Alternative, here: Alternative | None) -> list[str]:
    if here is None:
        return []
    place = f"run now, here ({_name(here.compute_zones[0])}, {_grams(here.emissions_gco2eq)})"
    if here.emissions_gco2eq <= 0:
        return [f"as much as {place}"]
    less = 1 - plan.emissions_gco2eq / here.emissions_gco2eq
    if abs(less) < _NEAR:
        return [f"as much as {place}"]
    return [f"{_percent(abs(less))} {'less' if less > 0 else 'more'} than {place}"]


def _against_fixed(
    plan: Alternative, here: Alternative | None, fixed: Alternative | None
) -> list[str]:
    if here is None or fixed is None:
        return []
    gain = here.emissions_gco2eq - plan.emissions_gco2eq
    if gain <= _NEAR * here.emissions_gco2eq:
        return []
    share = (here.emissions_gco2eq - fixed.emissions_gco2eq) / gain
    if share < _NEAR:
        return ["at once no region is cleaner: all of the gain comes from waiting"]
    region = region_of(fixed.compute_zones[0]).name
    if share >= _NEARLY_ALL:
        much = f"nearly all of that gain ({_percent(share)})"
        return [f"always {region} from now on gives {much}: waiting and moving add little"]
    return [f"always {region} from now on gives {_percent(share)} of that gain"]


def _name(compute_zone: str) -> str:
    region = region_of(compute_zone)
    return f"{region.place} ({region.name})"


def _grams(emissions_gco2eq: float) -> str:
    digits = 0 if emissions_gco2eq >= _WHOLE_GRAMS else 1
    return f"{emissions_gco2eq:.{digits}f} g"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _duration(wait: timedelta) -> str:
    minutes = round(wait / timedelta(minutes=1))
    hours, rest = divmod(minutes, 60)
    return " ".join([f"{hours} h"] * bool(hours) + [f"{rest} min"] * bool(rest))
