"""`import`: yearly exports of Electricity Maps into one folder."""

from pathlib import Path
from typing import Annotated

import typer

from forecaster.cli.options import clear_errors, say
from forecaster.importing import NOTE, import_files


def import_exports(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="<ZONE>_<YEAR>_hourly.csv, any number.")
    ],
    *,
    out: Annotated[Path, typer.Option(help="Folder to add them to.")] = Path("history"),
    replace: Annotated[
        bool, typer.Option("--replace", help="Let revised values replace those imported before.")
    ] = False,
) -> None:
    """Import yearly CSV exports of either header into one folder, one file per grid zone.

    Importing a file again does nothing; the folder's imports.json says what it was made from.
    """
    with clear_errors():
        note = import_files(
            files, out, replace=replace, on_file=lambda path, what: say(f"{path.name}: {what}")
        )
    zones = sorted({each.grid_zone for each in note.files})
    typer.echo(f"{out}: {', '.join(zones)}; {NOTE} lists {len(note.files)} file(s)")
