"""`smartscheduler forecast`."""

from pathlib import Path
from typing import Annotated

import typer

from functions.cli.options import GridZonesArgument, JsonOption, MaybeBucketOption, PlotOption


def forecast(  # noqa: PLR0913 - the options of one command
    zones: GridZonesArgument = None,
    *,
    bucket: MaybeBucketOption = None,
    history: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Forecast from recorded hours (CSV) instead of the bucket's.",
            show_default="none",
        ),
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Ask the source of carbon intensity instead.")
    ] = False,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="With --history: from when on, such as 2024-06-01T06:00Z.",
            show_default="the end of the records",
        ),
    ] = None,
    hours: Annotated[int, typer.Option(min=1, max=168, help="How far to look, hours.")] = 24,
    as_json: JsonOption = False,
    plot: PlotOption = None,
) -> None:
    """Show how clean the grids will be, hour by hour."""
    from functions.cli.forecast import Asked, run

    run(
        Asked(zones=tuple(zones or ()), bucket=bucket, history=history, live=live, at=at,
              hours=hours, as_json=as_json, plot=plot)
    )  # fmt: skip
