"""`smartscheduler logs`."""

from typing import Annotated

import typer

from functions.cli.options import BucketOption, JobArgument, JsonOption, MaybeProjectOption


def logs(  # noqa: PLR0913 - the options of one command
    job: JobArgument,
    bucket: BucketOption,
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the job is over, or Ctrl-C.")
    ] = False,
    every: Annotated[
        float, typer.Option(min=0.2, help="With --follow: seconds from one look to the next.")
    ] = 5.0,
    project: MaybeProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print what happened to a job, its metrics, and where its VMs' own lines are."""
    from functions.cli.logs import show_logs

    show_logs(job, bucket, project=project, follow=follow, every_s=every, as_json=as_json)
