"""The live view of one job: pure rendering from its documents and the last events."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from functions.cli.strip import Look, heat_strip
from functions.domain.plan.document import Plan, Policy
from functions.domain.regions import grid_zone_of
from functions.report.documents import JobDocuments
from functions.report.story import Event, route
from functions.report.summary import steps_text
from functions.report.timeline import heat_map, planned

SHOWN_EVENTS = 8
_BAR = 20
_METRICS = 3


def live_view(
    documents: JobDocuments, events: Sequence[Event], look: Look, *, speed: float, note: str = ""
) -> RenderableType:
    """Return all that is shown of a job at one moment; fits 80 columns.

    Args:
        documents: the job now.
        events: what happened, ascending; the last few are shown.
        look: what the terminal can show.
        speed: simulated seconds per real second.
        note: what the demo itself is about, such as the run made for comparison.
    """
    return Group(
        _line(look.plain(title(documents, speed)), "bold", look),
        heat_strip(heat_map(documents), look),
        Text(),
        _status(documents, look, note),
        Text(),
        *(_line(look.plain(event_line(event)), "", look) for event in events[-SHOWN_EVENTS:]),
    )


def title(documents: JobDocuments, speed: float) -> str:
    """Return clock, speed and whether the carbon data are simulated."""
    kind = "simulated carbon data" if documents.is_simulated else "recorded carbon data"
    return f"SmartScheduler · {documents.read_at:%a %Y-%m-%d %H:%M} UTC · {speed:.0f}x · {kind}"


def event_line(event: Event) -> str:
    """Return the event in one line, with its time."""
    return f"{event.at:%d %H:%M}  {event.text}"


def vm_line(documents: JobDocuments) -> str:
    """Return which VM there is and what it does, or what is waited for."""
    state, progress = documents.state, documents.progress
    if state is None:
        return "none yet"
    if state.target is None:
        return _waiting_for(documents)
    place = f"{state.target.compute_zone} ({grid_zone_of(state.target.compute_zone)})"
    same = progress is not None and progress.incarnation == state.target.incarnation
    doing = progress.state.value if progress and same else "being made"
    return f"{state.target.vm} in {place}: {doing}"


def plan_line(plan: Plan | None) -> str:
    """Return the plan's way and what it is compared with, for one line."""
    if plan is None:
        return "none yet"
    ours = f"{' → '.join(route(plan)) or 'nothing left to do'}"
    others = [
        f"{other.policy.value} {other.emissions_gco2eq:.0f} g"
        for other in plan.alternatives
        if other.policy in {Policy.THIS_PLAN, Policy.RUN_NOW_HERE}
    ]
    return "; ".join([ours, *others]) if plan.intervals else ours


def _waiting_for(documents: JobDocuments) -> str:
    if documents.state and documents.state.phase.is_final:
        return "none: the job is over"
    if documents.state and not documents.state.phase.may_run:
        return f"none: the job is {documents.state.phase}"
    ahead = planned(documents)
    if not ahead:
        return "none"
    first = ahead[0]
    if first.start <= documents.read_at:
        return f"none yet: due in {first.compute_zone} ({first.grid_zone})"
    return f"none: paused until {first.start:%H:%M} UTC, then {first.grid_zone}"


def _status(documents: JobDocuments, look: Look, note: str) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(min_width=6, no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    state = documents.state
    phase = state.phase.value if state else "submitted"
    if state and state.message:
        phase = f"{phase}: {state.message}"
    rows = [
        ("plan", plan_line(documents.plan)),
        ("VM", vm_line(documents)),
        ("phase", phase),
    ]
    for name, text in rows:
        table.add_row(name, Text(look.plain(text)))
    table.add_row("steps", _progress(documents, look))
    if note:
        table.add_row("demo", Text(look.plain(note)))
    return table


def _progress(documents: JobDocuments, look: Look) -> Text:
    progress = documents.progress
    if progress is None:
        return Text("none yet")
    words = [steps_text(progress.steps_done, progress.steps_total)]
    words += [f"{name} {value:.3g}" for name, value in list(progress.metrics.items())[:_METRICS]]
    if progress.steps_total:
        words.insert(0, bar(progress.steps_done / progress.steps_total, look))
    return Text("  ".join(words), no_wrap=True, overflow="ellipsis")


def bar(share: float, look: Look) -> str:
    """Return a bar that is full by `share`."""
    full, empty = ("#", ".") if look.ascii_only else ("━", "·")
    done = round(min(max(share, 0.0), 1.0) * _BAR)
    return full * done + empty * (_BAR - done)


def _line(text: str, style: str, look: Look) -> Text:
    return Text(text, style if look.colour else "", no_wrap=True, overflow="ellipsis")
