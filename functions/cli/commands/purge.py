"""`smartscheduler purge`."""

from typing import Annotated

import typer

from functions.cli.options import ProjectOption


def purge(
    project: ProjectOption,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete every VM labelled managed-by=smartscheduler; before `terraform destroy`."""
    from functions.cli.purge import delete_all_of

    delete_all_of(project, yes=yes)
