"""Shows one job as it is now, once or again and again."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from functions.cli.reading import JobReader
from functions.cli.strip import heat_strip, look_of
from functions.report.documents import JobDocuments
from functions.report.story import story
from functions.report.summary import facts, plan_lines
from functions.report.timeline import heat_map
from vm_runtime.contract.codec import encode
from vm_runtime.storage import open_store

_EVENTS = 12


def show_status(  # noqa: PLR0913 - the options of the command
    job: str, bucket: str, *, watch: bool, every_s: float, as_json: bool, plot: Path | None
) -> None:
    """Print the job's documents now, and with `watch` until it is over.

    Raises:
        InvalidInputError: there is no such job, or a document is malformed.
    """
    reader = JobReader(open_store(bucket), job)
    if watch:
        documents = _watch(reader, every_s, as_json=as_json)
    else:
        documents = reader.read(datetime.now(UTC))
        _print(documents, as_json=as_json)
    if plot is not None:
        from functions.cli.pictures import draw_metrics  # noqa: PLC0415 - needs matplotlib

        draw_metrics(plot, documents)


def is_over(documents: JobDocuments) -> bool:
    """Whether nothing will happen to the job any more, but for its receipt."""
    return documents.state is not None and documents.state.phase.is_final


def _watch(reader: JobReader, every_s: float, *, as_json: bool) -> JobDocuments:
    console = Console(highlight=False)
    if as_json or not console.is_terminal or console.is_dumb_terminal:
        return _print_changes(reader, every_s, as_json=as_json)
    with Live(console=console, auto_refresh=False) as live:
        while True:
            documents = reader.read(datetime.now(UTC))
            live.update(status_view(documents, console), refresh=True)
            if is_over(documents):
                return documents
            time.sleep(every_s)


def _print_changes(reader: JobReader, every_s: float, *, as_json: bool) -> JobDocuments:
    """Where nothing can be drawn over: print all again whenever it changed; JSON in one line."""
    last: dict[str, Any] = {}
    while True:
        documents = reader.read(datetime.now(UTC))
        found = status_json(documents)
        if found != last:
            _print(documents, as_json=as_json, indent=None)
            last = found
        if is_over(documents):
            return documents
        time.sleep(every_s)


def _print(documents: JobDocuments, *, as_json: bool, indent: int | None = 2) -> None:
    if as_json:
        typer.echo(json.dumps(status_json(documents), indent=indent))
        return
    console = Console(highlight=False)
    console.print(status_view(documents, console))


def status_view(documents: JobDocuments, console: Console) -> RenderableType:
    """Return figures, way and last events."""
    events = [
        Text(f"{event.at:%m-%d %H:%M}  {event.text}") for event in story(documents)[-_EVENTS:]
    ]
    strip = heat_strip(heat_map(documents), look_of(console))
    return Group(status_table(documents), Text(), strip, Text(), *events)


def status_table(documents: JobDocuments) -> Table:
    """Return name and value of all that matters now."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_row("job", documents.job.job_id)
    for name, value in facts(documents):
        table.add_row(name, Text(value))
    if documents.plan:
        table.add_row("plan", Text("\n".join(plan_lines(documents.plan))))
    return table


def status_json(documents: JobDocuments) -> dict[str, Any]:
    """Return the documents that say how the job stands; `None` where there is none yet."""
    parts = {
        "job": documents.job,
        "state": documents.state,
        "plan": documents.plan,
        "progress": documents.progress,
        "lease": documents.lease,
        "latest": documents.latest,
    }
    return {name: part and json.loads(encode(part)) for name, part in parts.items()}
