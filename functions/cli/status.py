"""`smartscheduler status`: one job as it is now."""

import json
from datetime import UTC, datetime
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from functions.cli.options import BucketOption, JobArgument, JsonOption
from functions.cli.reading import JobReader
from functions.report.documents import JobDocuments
from functions.report.story import story
from functions.report.summary import facts, plan_lines
from vm_runtime.contract.codec import encode
from vm_runtime.storage import open_store

_EVENTS = 12


def status(job: JobArgument, bucket: BucketOption, *, as_json: JsonOption = False) -> None:
    """Show a job's phase, progress, plan and last events."""
    documents = JobReader(open_store(bucket), job).read(datetime.now(UTC))
    if as_json:
        typer.echo(json.dumps(status_json(documents), indent=2))
        return
    console = Console(highlight=False)
    console.print(status_table(documents))
    for event in story(documents)[-_EVENTS:]:
        console.print(Text(f"{event.at:%m-%d %H:%M}  {event.text}"))


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
