"""`smartscheduler doctor`."""

from typing import Annotated

import typer

from functions.cli.options import JsonOption, MaybeBucketOption, MaybeProjectOption


def doctor(
    *,
    bucket: MaybeBucketOption = None,
    project: MaybeProjectOption = None,
    location: Annotated[
        str | None,
        typer.Option(
            envvar="SMARTSCHEDULER_LOCATION",
            metavar="REGION",
            help="Region of functions and Cloud Scheduler.",
            show_default="none",
        ),
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Look only at what needs no network.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Look for what is wrong, and print the command that mends it."""
    from functions.cli.doctor.run import run

    run(bucket=bucket, project=project, location=location, offline=offline, as_json=as_json)
