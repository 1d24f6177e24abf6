"""`smartscheduler receipt`."""

from pathlib import Path
from typing import Annotated

import typer

from functions.cli.options import BucketOption, JobArgument, JsonOption, PlotOption

RefreshOption = Annotated[
    bool,
    typer.Option(
        "--refresh", help="First make it anew from what is published by now, and say what changed."
    ),
]
AuditOption = Annotated[
    bool, typer.Option("--audit", help="Also print every row that the totals are added up from.")
]
CsvOption = Annotated[
    Path | None,
    typer.Option(
        "--csv", metavar="FILE", help="Write these rows to a CSV file.", show_default="none"
    ),
]


def receipt(  # noqa: PLR0913 - the options of one command
    job: JobArgument,
    bucket: BucketOption,
    *,
    as_json: JsonOption = False,
    refresh: RefreshOption = False,
    audit: AuditOption = False,
    csv_file: CsvOption = None,
    plot: PlotOption = None,
) -> None:
    """Print what a job that is over emitted, against what, on which accounting basis."""
    from functions.cli.receipt import Asked, show_receipt

    show_receipt(
        job,
        bucket,
        Asked(as_json=as_json, refresh=refresh, audit=audit, csv_file=csv_file, plot=plot),
    )
