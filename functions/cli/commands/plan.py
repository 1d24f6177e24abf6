"""`smartscheduler plan`."""

from pathlib import Path
from typing import Annotated

import typer

from functions.cli.options import JsonOption, MaybeBucketOption, PlotOption


def plan(  # noqa: PLR0913 - the options of one command
    *,
    job_file: Annotated[Path, typer.Option("--job", metavar="FILE", help="The job as JSON.")],
    forecast_file: Annotated[
        Path | None,
        typer.Option(
            "--forecast",
            metavar="FILE",
            help="A forecast document.",
            show_default="the newest one in the bucket",
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="TIME",
            help="When it is planned: 2026-03-02T06:00Z.",
            show_default="now",
        ),
    ] = None,
    state_file: Annotated[
        Path | None,
        typer.Option(
            "--state",
            metavar="FILE",
            help="The job's state: where it runs, blocks.",
            show_default="a new job",
        ),
    ] = None,
    progress_file: Annotated[
        Path | None,
        typer.Option(
            "--progress",
            metavar="FILE",
            help="Its progress: how much work is left.",
            show_default="all of it",
        ),
    ] = None,
    prices_file: Annotated[
        Path | None,
        typer.Option(
            "--prices",
            metavar="FILE",
            help="Prices, USD.",
            show_default="the built-in ones",
        ),
    ] = None,
    bucket: MaybeBucketOption = None,
    as_json: JsonOption = False,
    plot: PlotOption = None,
) -> None:
    """Plan one job under one forecast, and show what else it could do."""
    from functions.cli.plan import Asked, show_plan

    show_plan(
        Asked(
            job_file=job_file,
            forecast_file=forecast_file,
            at=at,
            state_file=state_file,
            progress_file=progress_file,
            prices_file=prices_file,
            bucket=bucket,
            as_json=as_json,
            plot=plot,
        )
    )
