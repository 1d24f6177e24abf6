"""`smartscheduler report`."""

from pathlib import Path
from typing import Annotated

import typer

from functions.cli.options import BucketOption, PlotOption, complete_job


def report(
    bucket: BucketOption,
    job: Annotated[
        str | None,
        typer.Argument(
            metavar="[JOB]",
            help="Id of the job; not with --all.",
            autocompletion=complete_job,
            show_default=False,
        ),
    ] = None,
    *,
    every: Annotated[
        bool, typer.Option("--all", help="All jobs, and how clean the grids are now.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE.html",
            help="Where to write the page.",
            show_default="JOB.html, or index.html",
        ),
    ] = None,
    plot: PlotOption = None,
) -> None:
    """Write a page about a job, or about all: HTML that needs no network."""
    from functions.cli.report import show_report

    show_report(bucket, job, every=every, output=output, plot=plot)
