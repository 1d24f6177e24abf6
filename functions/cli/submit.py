"""`smartscheduler submit`: put a job and its source into the bucket."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from functions.cli.jobfile import read_job, read_source
from functions.cli.options import BucketOption
from vm_runtime.storage import open_store


def submit(
    jobfile: Annotated[
        Path, typer.Argument(metavar="JOBFILE", help="The job as JSON; README, Configure.")
    ],
    source: Annotated[
        Path, typer.Option("--source", metavar="DIR", help="Folder with the training script.")
    ],
    bucket: BucketOption,
) -> None:
    """Submit a job: it is planned at the next tick of `forecast`."""
    from functions.handlers.submit import submit as put  # noqa: PLC0415 - loads the handlers

    job = read_job(jobfile, datetime.now(UTC))
    put(open_store(bucket), NextTick(), job, read_source(source, job.script))
    typer.echo(f"Submitted {job.job_id}. See: smartscheduler status {job.job_id}")


class NextTick:
    """An `Alarm` of somebody who may write to the bucket only: `forecast` comes by itself."""

    def aim_boundary(self, at: datetime) -> None:
        """Leave the boundary job as it is."""

    def tick_now(self) -> None:
        """Leave it to the hourly tick."""
