"""The live view of a local training: pure rendering from its documents."""

from datetime import datetime, timedelta

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from functions.cli.live import bar
from functions.cli.strip import Look, heat_strip
from functions.domain.plan.document import Policy
from functions.report.documents import JobDocuments
from functions.report.summary import steps_text
from functions.report.timeline import forecast_of, heat_map, planned
from vm_runtime.contract.progress import RunState

_METRICS = 3
_SIMULATED = "recorded hours at {speed:g}x"
HOUR = timedelta(hours=1)


def local_view(documents: JobDocuments, look: Look, *, speed: float) -> RenderableType:
    """Return all that is shown at one moment; fits 80 columns."""
    style = "bold" if look.colour else ""
    title = Text(look.plain(title_line(documents, speed)), style, no_wrap=True, overflow="ellipsis")
    table = Table.grid(padding=(0, 1))
    table.add_column(min_width=8, no_wrap=True)
    table.add_column(overflow="fold", ratio=1)
    for name, text in rows(documents, look):
        table.add_row(name, Text(look.plain(text)))
    return Group(title, heat_strip(heat_map(documents), look), Text(), table)


def title_line(documents: JobDocuments, speed: float) -> str:
    """Return what is trained, when, and on whose clock."""
    now, zone = documents.read_at, documents.grid_zones[0]
    trial = f" · {_SIMULATED.format(speed=speed)}" if speed != 1 else ""
    what = documents.job.job_id
    return f"SmartScheduler local · {what} · grid {zone} · {now:%a %Y-%m-%d %H:%M} UTC{trial}"


def rows(documents: JobDocuments, look: Look) -> list[tuple[str, str]]:
    """Return name and text of each line below the strip."""
    found = [("now", now_line(documents)), ("plan", plan_line(documents))]
    found.append(("progress", progress_line(documents, look)))
    if documents.progress and documents.progress.energy_kwh:
        energy_kwh = sum(s.energy_kwh for entry in documents.ledger for s in entry.segments)
        found.append(("energy", f"{energy_kwh:.3g} kWh so far"))
    if documents.plan:
        found += [("note", caveat) for caveat in documents.plan.caveats]
    if documents.state and documents.state.message:
        found.append(("state", documents.state.message.splitlines()[0]))
    return found


def now_line(documents: JobDocuments) -> str:
    """Return what happens now, and when the next clean hour begins if it is not this one."""
    now = documents.read_at
    clean = _intensity(documents, now)
    grid = "" if clean is None else f"{clean:.0f} gCO2eq/kWh; "
    if documents.state and documents.state.phase.is_final:
        return f"{grid}{documents.state.phase.value}"
    if is_training(documents):
        return f"{grid}training"
    ahead = planned(documents)
    if not ahead:
        return f"{grid}waiting for a forecast" if documents.plan is None else f"{grid}paused"
    first = ahead[0].start
    if first <= now:
        return f"{grid}starting"
    there = _intensity(documents, first)
    grams = "" if there is None else f", {there:.0f} gCO2eq/kWh"
    return (
        f"{grid}paused until the next clean hour, {first:%a %H:%M} UTC ({_in(first - now)}){grams}"
    )


def is_training(documents: JobDocuments) -> bool:
    """Whether script or command run now."""
    state, progress = documents.state, documents.progress
    if state is None or progress is None or state.target is None:
        return False
    mine = progress.incarnation == state.target.incarnation
    return mine and progress.state is RunState.TRAINING


def plan_line(documents: JobDocuments) -> str:
    """Return the plan's reason and what running now would emit instead."""
    plan = documents.plan
    if plan is None:
        return "none yet"
    other = next((a for a in plan.alternatives if a.policy is Policy.RUN_NOW_HERE), None)
    against = "" if other is None else f" (run now: {other.emissions_gco2eq:.0f} g)"
    late = "" if plan.meets_deadline else "the deadline cannot be met; "
    return f"{late}{len(plan.intervals)} interval(s), {plan.expected_gco2eq:.0f} g{against}"


def progress_line(documents: JobDocuments, look: Look) -> str:
    """Return how far it is, and its last metrics."""
    progress = documents.progress
    if progress is None:
        return "not started"
    words = [steps_text(progress.steps_done, progress.steps_total)]
    words += [f"{name} {value:.3g}" for name, value in list(progress.metrics.items())[:_METRICS]]
    if progress.steps_total:
        words.insert(0, bar(progress.steps_done / progress.steps_total, look))
    return "  ".join(words)


def _intensity(documents: JobDocuments, at: datetime) -> float | None:
    hour = at.replace(minute=0, second=0, microsecond=0)
    zone = documents.grid_zones[0]
    recorded = documents.actual.get(zone, {}).get(hour)
    if recorded is not None:
        return recorded.gco2eq_per_kwh
    found = forecast_of(documents.forecasts, zone, hour)
    return None if found is None else found[1]


def _in(wait: timedelta) -> str:
    minutes = max(round(wait / timedelta(minutes=1)), 1)
    return f"in {minutes} min" if minutes < 60 else f"in {minutes // 60} h {minutes % 60} min"  # noqa: PLR2004 - an hour
