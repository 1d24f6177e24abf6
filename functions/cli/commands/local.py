"""`smartscheduler local`."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from functions.cli.options import JsonOption

WRAP = "--"


def local(  # noqa: PLR0913, PLR0917 - options of the command
    context: typer.Context,
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SCRIPT [ARGUMENT]... | -- COMMAND [ARGUMENT]...",
            help="A script that uses IntervalTrainer or Run, or any command after `--`.",
        ),
    ] = None,
    grid_zone: Annotated[
        str,
        typer.Option(
            "--grid-zone",
            metavar="ZONE",
            help="Your grid: DE, GB, FR, ...",
            show_default="none: it is required",
        ),
    ] = "",
    work: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="Compute time it needs: 6h, 90m.",
            show_default="not known: the cleanest half of each day",
        ),
    ] = None,
    deadline: Annotated[
        str | None,
        typer.Option(
            metavar="WHEN",
            help="24h from the first start, or a time with offset.",
            show_default="the first start + 2 x work",
        ),
    ] = None,
    power: Annotated[
        str, typer.Option(metavar="POWER", help="Of this machine while it trains: 250W.")
    ] = "100W",
    max_carbon_intensity: Annotated[
        float | None,
        typer.Option(
            metavar="GRAMS",
            help="Not above it, gCO2eq/kWh, if the deadline allows.",
            show_default="no limit",
        ),
    ] = None,
    min_interval: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Shortest stay: 30m.", show_default="none"),
    ] = None,
    grace: Annotated[
        float, typer.Option(metavar="SECONDS", help="From SIGTERM to SIGKILL, seconds.", min=0)
    ] = 60.0,
    retries: Annotated[
        int, typer.Option(metavar="N", help="How often it starts anew after a failure.", min=0)
    ] = 0,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--dir",
            metavar="DIR",
            help="Where its state is.",
            show_default=".smartscheduler beside the script",
        ),
    ] = None,
    history: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Try it on recorded hours: folder or CSV.",
            show_default="live hours",
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="When the clock starts, with --history.",
            show_default="required with --history",
        ),
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            help="How fast it runs, with --history: simulated seconds in one.",
            min=1,
            show_default="600",
        ),
    ] = None,
    *,
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin anew; what is there is set aside.")
    ] = False,
    live: Annotated[bool, typer.Option("--live/--no-live", help="A live view, or lines.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Train on this machine, but only in the clean hours of its grid.

    Run the same command again after Ctrl-C, a crash or a power failure: it goes on where it was.

    Exit codes: 0 finished, 1 the training failed, 2 it cannot be done as asked, 130 interrupted
    by Ctrl-C, 143 by SIGTERM.
    """
    from functions.cli.local.command import start

    start(
        what or [],
        wraps=bool(context.meta.get(WRAP)),
        grid_zone=grid_zone,
        work=work,
        deadline=deadline,
        power=power,
        max_carbon_intensity=max_carbon_intensity,
        min_interval=min_interval,
        grace=grace,
        retries=retries,
        folder=folder,
        history=history,
        at=at,
        speed=speed,
        restart=restart,
        live=live,
        as_json=as_json,
    )


class LocalCommand(TyperCommand):
    """Options, then a script or `--` and a command; what follows is not ours to read."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - click's
        """Remember whether `--` stood before the first word: the parser drops it."""
        given = list(args)
        rest: list[str] = super().parse_args(ctx, args)
        at = given.index(WRAP) if WRAP in given else None
        ctx.meta[WRAP] = at is not None and given[at + 1 :] == (ctx.params.get("what") or [])
        return rest
