"""Puts a job and its source into the bucket, or only says whether it could be."""

from datetime import UTC, datetime
from pathlib import Path

import typer

from functions.cli.jobfile import read_job, read_source
from functions.errors import InvalidInputError
from functions.handlers.submit import submit as put
from vm_runtime.storage import open_store


def submit_job(jobfile: Path, source: Path | None, bucket: str | None, *, check: bool) -> None:
    """Submit the job in `jobfile`, or only check it.

    Raises:
        InvalidInputError: job or source is not what it should be, or there is no bucket to put
            it into; nothing was written.
    """
    job = read_job(jobfile, datetime.now(UTC))
    files = read_source(source or jobfile.parent, job.script)
    size_kb = -(-sum(map(len, files.values())) // 1000)
    if check:
        typer.echo(
            f"{job.job_id}: well-formed; {len(files)} file(s) of source, {size_kb} kB, with"
            f" {job.script}. Nothing was written."
        )
        return
    if bucket is None:
        raise InvalidInputError(
            "--bucket: expected gs://NAME or file:///FOLDER, found nothing. Give the option, set"
            ' SMARTSCHEDULER_BUCKET, or write bucket = "..." into smartscheduler.toml.'
        )
    put(open_store(bucket), NextTick(), job, files)
    typer.echo(f"Submitted {job.job_id}. See: smartscheduler status {job.job_id}")


class NextTick:
    """An `Alarm` of somebody who may write to the bucket only: `forecast` comes by itself."""

    def aim_boundary(self, at: datetime, *later: datetime) -> None:
        """Leave the boundary job as it is."""

    def tick_now(self) -> None:
        """Leave it to the hourly tick."""
