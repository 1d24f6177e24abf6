"""The report's tables: every number that a chart shows, as text."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from functions.domain.plan.document import Plan
from functions.domain.regions import grid_zone_of
from functions.report.documents import JobDocuments
from functions.report.story import lost_steps, route, story, was_killed
from functions.report.timeline import forecast_of, heat_map
from vm_runtime.contract.ledger import LedgerEntry, SegmentKind

_NUMBER = re.compile(r"[-+~±]?[\d.,]+( %)?")
_LONG = 44
"""Characters that are read better in several lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of texts; the first column names the row."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def column_kinds(table: Table) -> tuple[str, ...]:
    """Return for each column `n` if it has numbers only, `long` if it has sentences, else ``."""
    columns = zip(*table.rows, strict=True) if table.rows else ((),) * len(table.head)
    return tuple(_kind(column) for column in columns)


def _kind(texts: Iterable[str]) -> str:
    known = [text for text in texts if text not in {"", "-"}]
    if known and all(_NUMBER.fullmatch(text) for text in known):
        return "n"
    return "long" if any(len(text) > _LONG for text in known) else ""


def at_text(time: datetime) -> str:
    """Return a UTC time for a person, to the minute."""
    return f"{time:%Y-%m-%d %H:%M}"


def way_text(compute_zones: Iterable[str]) -> str:
    """Return the grid zones of places, in order of use."""
    return " → ".join(grid_zone_of(zone) for zone in compute_zones)


def intensity_table(documents: JobDocuments) -> Table:
    """Return recorded and forecast intensity of each hour and grid zone, gCO2eq/kWh."""
    heat = heat_map(documents)
    rows = []
    for i, hour in enumerate(heat.hours):
        cells = [at_text(hour)]
        for row in heat.rows:
            cell = row.cells[i]
            foreseen = forecast_of(documents.forecasts, row.grid_zone, hour)
            recorded = f"{cell.gco2eq_per_kwh:.0f}" if cell.actual else "-"
            told = f"{foreseen[1]:.0f} ({foreseen[0]:.0f}-{foreseen[2]:.0f})" if foreseen else "-"
            cells.append(f"{recorded} / {told}{' ● ' + cell.mark if cell.mark else ''}")
        rows.append(tuple(cells))
    return Table(
        caption="recorded / forecast median (10 %-90 %), gCO2eq/kWh; ● the job is there",
        head=("hour, UTC", *(row.grid_zone for row in heat.rows)),
        rows=tuple(rows),
    )


def vm_table(documents: JobDocuments) -> Table:
    """Return one row for each VM: where, when, which steps, why it ended."""
    return Table(
        caption="VMs",
        head=("VM", "place", "from, UTC", "to, UTC", "steps", "committed", "lost", "ended by"),
        rows=tuple(_vm_row(documents, entry) for entry in documents.ledger),
    )


def _vm_row(documents: JobDocuments, entry: LedgerEntry) -> tuple[str, ...]:
    because = "gone without notice" if was_killed(documents, entry) else entry.ended_because
    return (
        entry.vm,
        f"{entry.compute_zone} ({grid_zone_of(entry.compute_zone)})",
        at_text(entry.started_at),
        at_text(entry.updated_at),
        f"{entry.first_step}-{entry.last_step}",
        str(entry.committed_step),
        str(lost_steps(documents, entry)),
        because or "runs",
    )


def energy_table(documents: JobDocuments) -> Table:
    """Return the energy of each VM by what it was spent on, kWh."""
    kinds = tuple(SegmentKind)
    rows = []
    for entry in documents.ledger:
        spent = [sum(s.energy_kwh for s in entry.segments if s.kind is kind) for kind in kinds]
        rows.append((entry.vm, *(f"{kwh:.4f}" for kwh in spent), f"{sum(spent):.4f}"))
    return Table(
        caption="energy as each VM's runtime booked it, kWh; all but train is overhead",
        head=("VM", *kinds, "sum"),
        rows=tuple(rows),
    )


def alternatives_table(plan: Plan) -> Table:
    """Return what the plan was compared with, under the same forecast."""
    return Table(
        caption="the work left, under the forecast that the plan rests on",
        head=("way", "where", "done, UTC", "starts", "moves", "gCO2eq expected"),
        rows=tuple(
            (
                other.policy.value,
                way_text(other.compute_zones),
                at_text(other.finish_at),
                str(other.starts),
                str(other.moves),
                f"{other.emissions_gco2eq:.1f}",
            )
            for other in plan.alternatives
        ),
    )


def intervals_table(plan: Plan) -> Table:
    """Return the plan's intervals."""
    return Table(
        caption=f"intervals of plan {plan.plan_id}",
        head=("from, UTC", "to, UTC", "place", "if full", "work, h", "gCO2eq expected"),
        rows=tuple(
            (
                at_text(interval.start),
                at_text(interval.end),
                f"{interval.compute_zone} ({interval.grid_zone})",
                ", ".join(interval.fallbacks) or "-",
                f"{interval.work_h:.2f}",
                f"{interval.expected_gco2eq:.1f}",
            )
            for interval in plan.intervals
        ),
    )


def plans_table(plans: Iterable[Plan]) -> Table:
    """Return one row for each plan that was ever made."""
    return Table(
        caption="all plans",
        head=("plan", "work left, h", "way", "gCO2eq expected", "in time", "reason"),
        rows=tuple(
            (
                plan.plan_id,
                f"{plan.work_left_h:.2f}",
                " → ".join(route(plan)) or "-",
                f"{plan.expected_gco2eq:.1f}",
                "yes" if plan.meets_deadline else "no",
                plan.reason,
            )
            for plan in plans
        ),
    )


def story_table(documents: JobDocuments) -> Table:
    """Return all that happened, in order."""
    return Table(
        caption="what happened",
        head=("UTC", "event"),
        rows=tuple((f"{event.at:%Y-%m-%d %H:%M:%S}", event.text) for event in story(documents)),
    )
