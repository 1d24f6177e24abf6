"""`climatology`: what is usual, from CSV files to JSON."""

from pathlib import Path
from typing import Annotated

import typer

from forecaster.cli.options import DataOption, clear_errors, load, say
from forecaster.climatology import fit_climatology
from forecaster.climatology.profile import write_profile


def climatology(
    data: DataOption,
    out: Annotated[Path, typer.Option(help="JSON file to write.")],
    leave_out: Annotated[
        list[str] | None, typer.Option(help="Grid zone to leave out; may be given again.")
    ] = None,
) -> None:
    """Compute mean and spread by month, kind of day and hour, and write them as JSON."""
    with clear_errors():
        histories = load(data)
        for grid_zone in leave_out or []:
            histories.pop(grid_zone, None)
        found = fit_climatology(histories)
    longest = max(history.end - history.start for history in histories.values())
    short = [
        f"{zone} rests on {found.spans[zone]} alone"
        for zone, history in histories.items()
        if history.end - history.start < longest / 2
    ]
    write_profile(out, found, note="; ".join(short))
    say(f"{out}: {len(found.grid_zones)} grid zones, {out.stat().st_size / 1024:.0f} KiB")
