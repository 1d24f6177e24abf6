"""`smartscheduler init`."""

from pathlib import Path
from typing import Annotated

import typer

from functions.cli.options import complete_region


def init(  # noqa: PLR0913 - the options of one command
    folder: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="Folder to write to; made if it is not there.")
    ] = Path(),
    *,
    job_id: Annotated[
        str | None,
        typer.Option("--job-id", metavar="NAME", help="Id of the job.", show_default="DIR's name"),
    ] = None,
    region: Annotated[
        list[str] | None,
        typer.Option(
            "--region",
            metavar="REGION",
            help="Where it may run, the first is `here`; may be given again.",
            show_default="europe-west3, -southwest1, -west4, -north1",
            autocompletion=complete_region,
        ),
    ] = None,
    work_h: Annotated[
        float, typer.Option("--work-h", min=0.01, help="Compute time that it needs, hours.")
    ] = 1.0,
    deadline_h: Annotated[
        float,
        typer.Option("--deadline-h", min=0.1, help="Time from now until its deadline, hours."),
    ] = 24.0,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files without asking.")] = False,
) -> None:
    """Write a job file and a training script that run, to go on from."""
    from functions.cli.init import Wanted, write_start

    write_start(
        folder,
        Wanted(
            job_id=job_id,
            regions=tuple(region or ()),
            work_h=work_h,
            deadline_h=deadline_h,
        ),
        force=force,
    )
