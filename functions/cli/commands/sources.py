"""`smartscheduler sources`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from functions.cli.options import GridZonesArgument, JsonOption


class Source(StrEnum):
    """Who is asked."""

    ELECTRICITY_MAPS = "electricity_maps"
    GENERATION_MIX = "generation_mix"


def sources(
    zones: GridZonesArgument = None,
    *,
    source: Annotated[
        Source | None,
        typer.Option(
            metavar="NAME",
            help="Who is asked, electricity_maps or generation_mix.",
            show_default="electricity_maps with a key",
        ),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder to add the hours to, one CSV file per grid zone.",
            show_default="none",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Ask the source of carbon intensity what it has: whether a key works, and for which zones."""
    from functions.cli.sources import ask_sources

    ask_sources(zones, source=source, save=save, as_json=as_json)
