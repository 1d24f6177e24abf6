"""`smartscheduler status`."""

from typing import Annotated

import typer

from functions.cli.options import BucketOption, JobArgument, JsonOption, PlotOption


def status(  # noqa: PLR0913 - the options of one command
    job: JobArgument,
    bucket: BucketOption,
    *,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Go on until the job is over, or Ctrl-C.")
    ] = False,
    every: Annotated[
        float, typer.Option(min=0.2, help="With --watch: seconds from one look to the next.")
    ] = 5.0,
    as_json: JsonOption = False,
    plot: PlotOption = None,
) -> None:
    """Show a job's phase, progress, plan and last events."""
    from functions.cli.status import show_status

    show_status(job, bucket, watch=watch, every_s=every, as_json=as_json, plot=plot)
