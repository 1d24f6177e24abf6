"""Lists all jobs of a bucket."""

import json
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from functions.cli.reading import job_ids
from functions.domain.overview import JobLine
from functions.handlers.overview import read_jobs
from vm_runtime.contract.codec import encode
from vm_runtime.storage import open_store
from vm_runtime.storage.port import BlobStore


def show_jobs(bucket: str, *, as_json: bool) -> None:
    """Print the jobs in the bucket."""
    store = open_store(bucket)
    if as_json:
        typer.echo(
            json.dumps([_figures(line) for line in read_jobs(store, job_ids(store))], indent=1)
        )
        return
    Console(highlight=False).print(jobs_table(store))


def jobs_table(store: BlobStore) -> Table:
    """Return one row for each job."""
    table = Table("job", "phase", "steps", "message", box=None, pad_edge=False)
    for line in read_jobs(store, job_ids(store)):
        table.add_row(line.job_id, line.phase, line.steps, Text(line.message))
    return table


def _figures(line: JobLine) -> dict[str, Any]:
    parts = {"state": line.state, "progress": line.progress}
    return {
        "job_id": line.job_id,
        "phase": line.phase,
        "message": line.message,
        **{name: part and json.loads(encode(part)) for name, part in parts.items()},
    }
