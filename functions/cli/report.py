"""Writes a job, or all jobs and the grids, as one HTML page."""

from datetime import UTC, datetime
from pathlib import Path

import typer

from functions.cli.reading import JobReader
from functions.errors import InvalidInputError
from functions.handlers.overview import read_overview
from functions.report.documents import JobDocuments
from vm_runtime.storage import open_store


def show_report(
    bucket: str, job: str | None, *, every: bool, output: Path | None, plot: Path | None
) -> None:
    """Write the page that was asked for, and say where it is.

    Raises:
        InvalidInputError: there is no such job, or the file cannot be written.
    """
    if every == (job is not None) or (every and plot is not None):
        raise InvalidInputError(
            "report: expected the id of a job, or --all (which has no --plot). Give one of them."
        )
    if job is None:
        from functions.report.index import render_index  # noqa: PLC0415 - needs jinja2

        file = output or Path("index.html")
        _write(file, render_index(read_overview(open_store(bucket), datetime.now(UTC))))
    else:
        documents = JobReader(open_store(bucket), job).read(datetime.now(UTC))
        file = output or Path(f"{job}.html")
        write_report(documents, file)
        if plot is not None:
            from functions.cli.pictures import draw_way  # noqa: PLC0415 - needs matplotlib

            draw_way(plot, documents)
    typer.echo(f"Wrote {file}, {-(-file.stat().st_size // 1000)} kB")


def write_report(documents: JobDocuments, file: Path, *, proof: str = "") -> None:
    """Write the report to `file`.

    Raises:
        InvalidInputError: plotly is not installed, or the file cannot be written.
    """
    from functions.report.page import render_report  # noqa: PLC0415 - needs jinja2 and plotly

    _write(file, render_report(documents, proof=proof))


def _write(file: Path, page: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(page, encoding="utf-8")
    except OSError as error:
        raise InvalidInputError(
            f"{file}: expected a place to write the report to, found {error.strerror}."
        ) from error
