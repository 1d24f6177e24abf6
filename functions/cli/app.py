"""Gathers the commands and turns expected errors into one paragraph and exit code 2."""

from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from functions._version import __version__
from functions.cli.demo import demo
from functions.cli.forecaster import forecaster
from functions.cli.life import cancel, pause, resume, retry
from functions.cli.list_jobs import list_jobs
from functions.cli.plan import plan
from functions.cli.purge import purge
from functions.cli.receipt import receipt
from functions.cli.report import report
from functions.cli.schemas import schemas
from functions.cli.simulate import simulate
from functions.cli.sources import sources
from functions.cli.status import status
from functions.cli.submit import submit
from functions.errors import SchedulerError
from vm_runtime.contract.codec import DocumentError
from vm_runtime.storage.port import StorageError

EXPECTED = (SchedulerError, StorageError, DocumentError)
"""Errors whose message says all that a person needs; anything else is a bug, with traceback."""


class _Commands(TyperGroup):
    """The group of commands."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - click's Context: typer has its own copy
        """Run the command; an expected error is printed and becomes exit code 2."""
        try:
            return super().invoke(ctx)
        except EXPECTED as error:
            Console(stderr=True, highlight=False).print(
                f"error: {error}", markup=False, soft_wrap=True
            )
            raise typer.Exit(2) from error


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - as typer calls it
    if wanted:
        typer.echo(f"smartscheduler {__version__}")
        raise typer.Exit


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Trains neural networks when and where the electricity is cleanest.",
)


@app.callback()
def root(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Train neural networks when and where the electricity is cleanest."""


app.command()(demo)
app.command()(submit)
app.command()(plan)
app.command(name="list")(list_jobs)
app.command()(status)
app.command()(pause)
app.command()(resume)
app.command()(cancel)
app.command()(retry)
app.command()(receipt)
app.command()(report)
app.command()(purge)
app.command()(schemas)
app.command()(simulate)
app.command()(sources)
app.add_typer(forecaster, name="forecaster")
