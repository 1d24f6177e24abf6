"""`smartscheduler purge`: delete all VMs of a project that SmartScheduler made."""

import typer
from rich.console import Console
from rich.table import Table

from functions.errors import UnavailableError
from functions.ports import VmFleet


def delete_all_of(project: str, *, yes: bool) -> None:
    """Delete every VM of SmartScheduler in a project of Google Cloud.

    Raises:
        UnavailableError: some VM could not be deleted now.
        Abort: the person said no.
    """
    delete_all(_fleet(project), project, yes=yes)


def _fleet(project: str) -> VmFleet:
    from functions.adapters.compute_engine import ComputeEngineFleet  # noqa: PLC0415 - slow import

    return ComputeEngineFleet(project=project, instance_templates={})


def delete_all(fleet: VmFleet, project: str, *, yes: bool) -> None:
    """Show what is there, ask, delete, and say what is left.

    Raises:
        UnavailableError: some VM could not be deleted now.
        Abort: the person said no.
    """
    from functions.handlers.purge import purge as delete  # noqa: PLC0415 - loads the handlers

    found = fleet.list()
    if not found:
        typer.echo(f"No VM of SmartScheduler in {project}.")
        return
    table = Table("VM", "compute zone", "status", "job")
    for vm in found:
        table.add_row(vm.name, vm.compute_zone, vm.status, vm.job_id)
    Console().print(table)
    if not yes:
        typer.confirm(
            f"Delete these {len(found)} VMs? What they did since their last checkpoint is lost",
            abort=True,
        )
    left = delete(fleet, on_vm=lambda vm: typer.echo(f"{vm.name}: asked to go"))
    if left:
        names = ", ".join(vm.name for vm in left)
        raise UnavailableError(f"purge: {names} could not be deleted now. Run it again.")
    typer.echo(f"All {len(found)} go now. The bucket is as it was.")
