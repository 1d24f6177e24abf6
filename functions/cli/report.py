"""`smartscheduler report`: a job as one HTML page."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from functions.cli.options import BucketOption, JobArgument
from functions.cli.reading import JobReader
from functions.errors import InvalidInputError
from functions.report.documents import JobDocuments
from vm_runtime.storage import open_store


def report(
    job: JobArgument,
    bucket: BucketOption,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where to.")],
) -> None:
    """Write a job's report: one HTML file that needs no network."""
    documents = JobReader(open_store(bucket), job).read(datetime.now(UTC))
    write_report(documents, output)
    typer.echo(f"Wrote {output}")


def write_report(documents: JobDocuments, file: Path, *, proof: str = "") -> None:
    """Write the report to `file`.

    Raises:
        InvalidInputError: plotly is not installed, or the file cannot be written.
    """
    from functions.report.page import render_report  # noqa: PLC0415 - needs jinja2 and plotly

    page = render_report(documents, proof=proof)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(page, encoding="utf-8")
    except OSError as error:
        raise InvalidInputError(
            f"{file}: expected a place to write the report to, found {error.strerror}."
        ) from error
