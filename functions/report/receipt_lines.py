"""The sentences of a receipt: what, how sure, on which basis. No number without its source."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import groupby

from functions.domain.accounting.document import Receipt
from functions.domain.accounting.parts import Baseline, MissingHour, Revision, SpentOn
from functions.domain.lifecycle.state import Phase
from functions.report.rounding import part_of, rounded

_HOUR = timedelta(hours=1)
_MOST_RANGES = 4


def receipt_lines(receipt: Receipt) -> tuple[str, ...]:
    """Return the receipt's sentences."""
    return (
        _course(receipt),
        _sum(receipt),
        *_provisional(receipt),
        *_regret(receipt),
        *_changes(receipt.revisions),
    )


def basis_lines(receipt: Receipt) -> tuple[str, ...]:
    """Return on what the figures rest."""
    estimated = [
        f"{zone.grid_zone} {zone.used_hours_estimated} of {zone.used_hours} h"
        for zone in receipt.zones
        if zone.used_hours
    ]
    share = f" Estimated by the publisher: {', '.join(estimated)}." if estimated else ""
    weights = f"Weights: SHA-256 {receipt.weights_sha256}" if receipt.weights_sha256 else ""
    return (
        (
            f"Carbon: average {receipt.basis.value} intensity of the grid in each hour, as"
            f" published afterwards. Source: {receipt.source}.{share}"
        ),
        (
            f"Energy: {_metered(receipt)}: {receipt.energy_basis}. No share of cooling,"
            f" {'' if receipt.spent_on(SpentOn.NETWORK)[0] else 'network, '}storage, or making the"
            " machine."
        ),
        *([f"Money: {receipt.price_source}; machines only."] if receipt.usd is not None else []),
        *([weights] if weights else []),
    )


def missing_text(missing: Sequence[MissingHour]) -> str:
    """Return hours as ranges by grid zone, such as `FR 2025-06-02 10:00-12:00`."""
    ranges = [
        f"{zone} {part}"
        for zone, hours in groupby(missing, key=lambda each: each.grid_zone)
        for part in _ranges(sorted(each.start for each in hours))
    ]
    more = len(ranges) - _MOST_RANGES
    return ", ".join(ranges[:_MOST_RANGES]) + (f" and {more} more" if more > 0 else "")


def baseline_notes(baselines: Iterable[Baseline]) -> tuple[str, ...]:
    """Return what still keeps each comparison from being final."""
    notes = []
    for each in baselines:
        if each.known_until is not None:
            notes.append(
                f"{each.policy.value}: only hours before {each.known_until:%Y-%m-%d %H:%M} UTC"
                " count so far; cleaner ones may come before the deadline."
            )
        if each.missing:
            notes.append(f"{each.policy.value}: not published yet: {missing_text(each.missing)}.")
    return tuple(notes)


def _course(receipt: Receipt) -> str:
    is_finished = receipt.outcome is Phase.FINISHED
    end = f"{receipt.outcome.value.capitalize()} {receipt.finished_at:%Y-%m-%d %H:%M} UTC"
    if receipt.deadline is not None and is_finished:
        early_h = (receipt.deadline - receipt.finished_at) / _HOUR
        word = "before" if early_h >= 0 else "AFTER"
        end += f", {abs(early_h):.1f} h {word} its deadline"
    lost = f", {receipt.lost_steps} of them done again" if is_finished else ""
    if not is_finished and receipt.lost_steps:
        lost = f", {receipt.lost_steps} lost"
    return (
        f"{end}. Submitted {receipt.submitted_at:%Y-%m-%d %H:%M}."
        f" {_count(receipt.vms, 'VM')}, {_count(receipt.moves, 'move')},"
        f" {receipt.steps} steps{lost}."
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _sum(receipt: Receipt) -> str:
    share = part_of(receipt.overhead_kwh, receipt.energy_kwh)
    return (
        f"Emitted {rounded(receipt.emissions_gco2eq)} gCO2eq from {rounded(receipt.energy_kwh)} kWh"
        f" ({_metered(receipt)}); {share} of the energy was overhead.{_money(receipt)}"
        + ("" if receipt.outcome is Phase.FINISHED else " It bought no result.")
    )


def _money(receipt: Receipt) -> str:
    return "" if receipt.usd is None else f" The VMs cost {receipt.usd:.2f} USD."


def _provisional(receipt: Receipt) -> list[str]:
    if receipt.complete:
        return [] if not receipt.is_provisional else [f"PROVISIONAL. {_why(receipt)}"]
    missing_kwh = sum(row.energy_kwh for row in receipt.rows if row.gco2eq_per_kwh is None)
    return [
        (
            f"PROVISIONAL: {receipt.missing_hours} h with {rounded(missing_kwh)} kWh are in no sum"
            f" of emissions, their intensity is not published yet: {missing_text(receipt.missing)}."
        )
    ]


def _why(receipt: Receipt) -> str:
    waits = [each.policy.value for each in receipt.baselines if not each.is_final]
    return f"The job's own hours are all in; still open: {', '.join(waits)}."


def _regret(receipt: Receipt) -> list[str]:
    regret = receipt.regret
    if regret is None:
        return []
    text = f"Regret against the oracle: {_signed(regret.total_gco2eq)} g"
    if regret.plans_gco2eq is None or regret.execution_gco2eq is None:
        return [f"{text}; the forecasts to split it by are not all there any more."]
    return [
        (
            f"{text}, of it {_signed(regret.plans_gco2eq)} g because plans rest on forecasts,"
            f" {_signed(regret.execution_gco2eq)} g in carrying them out."
        )
    ]


def _changes(revisions: Sequence[Revision]) -> list[str]:
    last = revisions[-1]
    if len(revisions) == 1:
        return []
    first = revisions[0]
    parts = [
        (last.published_gco2eq, "hours published since"),
        (last.revised_gco2eq, "values that replaced earlier ones"),
        (last.booked_gco2eq, "energy booked since"),
    ]
    told = [f"{_signed(grams)} g by {cause}" for grams, cause in parts if rounded(grams) != "0"]
    return [
        (
            f"Revised {_count(len(revisions) - 1, 'time')} since {first.made_at:%Y-%m-%d %H:%M}"
            f" UTC; last {last.made_at:%Y-%m-%d %H:%M}:"
            f" {', '.join(told) or 'fewer estimates, same total'}."
        )
    ]


def _signed(grams: float) -> str:
    return rounded(grams) if grams < 0 else f"+{rounded(grams)}"


def _metered(receipt: Receipt) -> str:
    if not receipt.energy_kwh or not receipt.measured_kwh:
        return "modelled, not measured"
    share = receipt.measured_kwh / receipt.energy_kwh
    return "measured" if share > 1 - 1e-9 else f"{100 * share:.0f} % measured, the rest modelled"


def _ranges(hours: Sequence[datetime]) -> list[str]:
    ranges: list[tuple[datetime, datetime]] = []
    for hour in hours:
        if ranges and ranges[-1][1] == hour:
            ranges[-1] = ranges[-1][0], hour + _HOUR
        else:
            ranges.append((hour, hour + _HOUR))
    return [
        f"{a:%Y-%m-%d %H:%M}-{b:%H:%M}"
        if b - a < timedelta(days=1)
        else f"{a:%Y-%m-%d %H:%M} to {b:%Y-%m-%d %H:%M}"
        for a, b in ranges
    ]
