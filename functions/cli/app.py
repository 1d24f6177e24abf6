"""Gathers the commands, and turns what fails into one paragraph and an exit code."""

import io
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from functions._version import __version__
from functions.cli.commands.config import config
from functions.cli.commands.doctor import doctor
from functions.cli.commands.forecast import forecast
from functions.cli.commands.init import init
from functions.cli.commands.life import cancel, pause, resume, retry
from functions.cli.commands.list_jobs import list_jobs
from functions.cli.commands.local import LocalCommand, local
from functions.cli.commands.logs import logs
from functions.cli.commands.plan import plan
from functions.cli.commands.purge import purge
from functions.cli.commands.receipt import receipt
from functions.cli.commands.report import report
from functions.cli.commands.schemas import schemas
from functions.cli.commands.sources import sources
from functions.cli.commands.status import status
from functions.cli.commands.submit import submit
from functions.cli.config import FileDefaults
from functions.cli.demo import demo
from functions.cli.exits import explain
from functions.cli.forecaster import forecaster
from functions.cli.simulate import simulate

START = "Start here"
JOBS = "Jobs"
LOOK = "Look ahead"
DEPLOYMENT = "Deployment"
SECTIONS = START, JOBS, LOOK, DEPLOYMENT

EPILOG = (
    "Options come from flags, else the environment, else ./smartscheduler.toml, else"
    " ~/.config/smartscheduler/config.toml; `smartscheduler config` shows which. Exit codes: 0"
    " done, 1 the answer is no, 2 mend your input, 3 credentials or rights are missing, 4 try again"
    " later, 70 our mistake, 130 Ctrl-C."
)


class _Commands(TyperGroup):
    """The group of commands, told in sections."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - click's Context: typer has its own copy
        """Run the command; what fails is told in one paragraph, with `--debug` in full."""
        ctx.default_map = FileDefaults()
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                # A terminal that has no arrow shows a question mark, not an error.
                stream.reconfigure(errors="replace")
        try:
            return super().invoke(ctx)
        except Exception as error:
            if _is_of_typer(error) or ctx.params.get("debug"):
                raise
            text, code = explain(error)
            typer.echo(text, err=True)
            raise typer.Exit(code) from error

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401, ARG002 - click's
        """Write the commands by what a person is about to do."""
        for title in SECTIONS:
            rows = [
                (name, command.get_short_help_str(100))
                for name, command in self.commands.items()
                if getattr(command, "rich_help_panel", None) == title and not command.hidden
            ]
            with formatter.section(title):
                formatter.write_dl(rows)


def _is_of_typer(error: Exception) -> bool:
    """Whether it is how typer ends: a usage error, an exit, an abortion, or a closed pipe."""
    return type(error).__module__.startswith("typer") or isinstance(error, BrokenPipeError)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - as typer calls it
    if wanted:
        typer.echo(f"smartscheduler {__version__}")
        raise typer.Exit


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # Rich's help takes as long as all the rest of it.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EPILOG,
    help="Trains neural networks when and where the electricity is cleanest.",
)


@app.callback()
def root(
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Train neural networks when and where the electricity is cleanest."""


app.command(rich_help_panel=START)(demo)
app.command(
    cls=LocalCommand,
    rich_help_panel=START,
    context_settings={"allow_interspersed_args": False},
)(local)
app.command(rich_help_panel=START)(init)
app.command(rich_help_panel=START)(doctor)
app.command(rich_help_panel=START)(config)

app.command(rich_help_panel=JOBS)(submit)
app.command(rich_help_panel=JOBS, name="list")(list_jobs)
app.command(rich_help_panel=JOBS)(status)
app.command(rich_help_panel=JOBS)(logs)
app.command(rich_help_panel=JOBS)(pause)
app.command(rich_help_panel=JOBS)(resume)
app.command(rich_help_panel=JOBS)(cancel)
app.command(rich_help_panel=JOBS)(retry)
app.command(rich_help_panel=JOBS)(receipt)
app.command(rich_help_panel=JOBS)(report)

app.command(rich_help_panel=LOOK)(forecast)
app.command(rich_help_panel=LOOK)(plan)
app.command(rich_help_panel=LOOK)(simulate)
app.command(rich_help_panel=LOOK)(sources)
app.add_typer(forecaster, name="forecaster", rich_help_panel=LOOK)

app.command(rich_help_panel=DEPLOYMENT)(purge)
app.command(rich_help_panel=DEPLOYMENT)(schemas)
