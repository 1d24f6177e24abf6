"""`smartscheduler purge`."""

from typing import Annotated

import typer

from functions.cli.options import JsonOption, ProjectOption


def purge(  # noqa: PLR0913 - options, by name
    project: ProjectOption,
    *,
    bucket: Annotated[
        str | None,
        typer.Option(
            "--bucket",
            metavar="URL",
            help="Only what belongs to the deployment with this bucket, gs://NAME.",
            show_default="all deployments of the project",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would be removed.")
    ] = False,
    wait: Annotated[
        float,
        typer.Option("--wait", metavar="SECONDS", min=0, help="Wait so long at most, seconds."),
    ] = 300.0,
    as_json: JsonOption = False,
) -> None:
    """Remove every VM, disk and snapshot labelled managed-by=smartscheduler.

    For before and after `terraform destroy`, which does not know them. Nothing without that label
    is touched, nor the bucket. To run it again does no harm.
    """
    from functions.cli.purge import Asked, purge_project

    asked = Asked(project=project, yes=yes, as_json=as_json, dry_run=dry_run, wait_s=wait)
    purge_project(asked, bucket=bucket or "")
