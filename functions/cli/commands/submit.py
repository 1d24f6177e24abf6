"""`smartscheduler submit`."""

from pathlib import Path
from typing import Annotated

import typer

from functions.cli.options import MaybeBucketOption


def submit(
    jobfile: Annotated[
        Path, typer.Argument(metavar="JOBFILE", help="The job as JSON; README, Configure.")
    ],
    source: Annotated[
        Path | None,
        typer.Option(
            "--source",
            metavar="DIR",
            help="Folder with the training script.",
            show_default="that of JOBFILE",
        ),
    ] = None,
    bucket: MaybeBucketOption = None,
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Say what is wrong, or that all is well; write nothing.")
    ] = False,
) -> None:
    """Submit a job: it is planned at the next tick of `forecast`."""
    from functions.cli.submit import submit_job

    submit_job(jobfile, source, bucket, check=check)
