"""Arguments and options that several commands share, with what the shell completes them by."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

_SHOWN = 200
"""Completions beyond so many help nobody."""


def complete_job(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the jobs in the bucket that begin so; none if the bucket cannot be asked."""
    from functions.cli.config import value_of

    try:
        url = ctx.params.get("bucket") or value_of("bucket").value
        if not url:
            return []
        from functions.cli.reading import job_ids
        from vm_runtime.storage import open_store

        return _beginning(incomplete, job_ids(open_store(url)))
    except Exception:  # noqa: BLE001 - a shell that completes has no place for an error
        return []


def complete_grid_zone(incomplete: str) -> list[str]:
    """Return the grid zones that begin so."""
    from functions.domain.regions import GRID_ZONES

    return _beginning(incomplete.upper(), GRID_ZONES)


def complete_region(incomplete: str) -> list[str]:
    """Return the regions that begin so."""
    from functions.domain.regions import REGIONS

    return _beginning(incomplete, REGIONS)


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)][:_SHOWN]


JobArgument: TypeAlias = Annotated[
    str, typer.Argument(metavar="JOB", help="Id of the job.", autocompletion=complete_job)
]

GridZonesArgument: TypeAlias = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[GRID_ZONE]...",
        help="Such as DE FR; all 13 if omitted.",
        autocompletion=complete_grid_zone,
    ),
]

_BUCKET: Any = {
    "envvar": "SMARTSCHEDULER_BUCKET",
    "metavar": "URL",
    "help": "The bucket: gs://NAME or file:///FOLDER.",
}

BucketOption: TypeAlias = Annotated[str, typer.Option("--bucket", **_BUCKET, show_default=False)]

MaybeBucketOption: TypeAlias = Annotated[
    str | None, typer.Option("--bucket", **_BUCKET, show_default="none")
]

_PROJECT: Any = {
    "envvar": "SMARTSCHEDULER_PROJECT",
    "metavar": "PROJECT",
    "help": "Id of the Google Cloud project.",
}

ProjectOption: TypeAlias = Annotated[str, typer.Option("--project", **_PROJECT, show_default=False)]

MaybeProjectOption: TypeAlias = Annotated[
    str | None, typer.Option("--project", **_PROJECT, show_default="none")
]

JsonOption: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print JSON, for programs, instead of text.")
]

PlotOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--plot",
        metavar="FILE.png",
        help="Also draw it into a picture, .png, .svg or .pdf.",
        show_default="none",
    ),
]
