"""Prints what happened to a job, from its documents; a VM's own lines stay where they are."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import typer

from functions.cli.reading import JobReader
from functions.cli.status import is_over
from functions.report.documents import JobDocuments
from functions.report.story import story
from functions.report.summary import steps_text
from vm_runtime.storage import open_store

_METRICS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the log."""

    at: datetime
    kind: str
    """`event`, `progress` or `message`."""
    text: str


def show_logs(  # noqa: PLR0913 - the options of the command
    job: str, bucket: str, *, project: str | None, follow: bool, every_s: float, as_json: bool
) -> None:
    """Print what happened, then where the VMs' own lines are; with `follow` until it is over.

    Raises:
        InvalidInputError: there is no such job, or a document is malformed.
    """
    reader = JobReader(open_store(bucket), job)
    told: set[Line] = set()
    while True:
        documents = reader.read(datetime.now(UTC))
        # By membership, not by count: an event may become known late.
        for line in lines(documents):
            if line not in told:
                told.add(line)
                _print(line, as_json=as_json)
        if not follow or is_over(documents):
            break
        time.sleep(every_s)
    if not as_json:
        for text in whereabouts(job, bucket, project):
            typer.echo(text, err=True)


def lines(documents: JobDocuments) -> list[Line]:
    """Return all that the documents tell, ascending: events, the last progress, its message."""
    found = [Line(at=event.at, kind="event", text=event.text) for event in story(documents)]
    progress = documents.progress
    if progress is not None:
        metrics = [f"{k} {v:.4g}" for k, v in list(progress.metrics.items())[:_METRICS]]
        steps = steps_text(progress.steps_done, progress.steps_total)
        text = f"{progress.vm} {progress.state.value}: steps {steps}"
        text = ", ".join([text, *metrics])
        found.append(Line(at=progress.heartbeat_at, kind="progress", text=text))
        if progress.message:
            found.append(Line(at=progress.heartbeat_at, kind="message", text=progress.message))
    if documents.state and documents.state.message:
        at = documents.state.closed_at or documents.read_at.replace(second=0, microsecond=0)
        found.append(Line(at=at, kind="message", text=documents.state.message))
    return sorted(found, key=lambda line: line.at)


def whereabouts(job: str, bucket: str, project: str | None) -> Iterator[str]:
    """Return where each line is that VMs and functions wrote, and how to read it."""
    yield f"Metrics: {bucket.rstrip('/')}/jobs/{job}/metrics.csv"
    if bucket.startswith("file://"):
        vms = Path(unquote(urlsplit(bucket).path)).parent / "vms"
        for file in sorted(vms.glob(f"ss-{job}-*.log")):
            yield f"VM: {file}"
        return
    query = vm_query(job)
    name = project or "PROJECT"
    link = f"https://console.cloud.google.com/logs/query;query={quote(query, safe='')}"
    yield f"VMs and functions: {link}?project={name}"
    yield f"or: gcloud logging read '{query}' --project={name} --freshness=2d --order=asc"


def vm_query(job: str) -> str:
    """Return the Logs Explorer's query for one job; that of `infra/queries.tf`, one function less.

    Job ids are lower case, digits and dashes: nothing has to be escaped.
    """
    resource = f'labels."compute.googleapis.com/resource_name"=~"^ss-{job}-[0-9]+$"'
    return f'jsonPayload.job_id="{job}" OR {resource}'


def _print(line: Line, *, as_json: bool) -> None:
    if as_json:
        at = line.at.isoformat().replace("+00:00", "Z")
        typer.echo(json.dumps({"at": at, "kind": line.kind, "text": line.text}))
        return
    typer.echo(f"{line.at:%Y-%m-%d %H:%M:%S}  {line.text}")
