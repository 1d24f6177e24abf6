"""Prints what a job that is over emitted, against what."""

import csv
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from functions.domain.accounting.document import Receipt
from functions.errors import InvalidInputError
from functions.handlers.documents import Documents
from functions.handlers.finding import find_state
from functions.handlers.settle import write_receipt
from functions.report.receipt_lines import baseline_notes, basis_lines, receipt_lines
from functions.report.receipt_tables import (
    AUDIT_HEAD,
    audit_rows,
    audit_table,
    baselines_table,
    intervals_table,
    revisions_table,
    spending_table,
)
from functions.report.tables import Table
from vm_runtime.contract import object_names as names
from vm_runtime.contract.codec import encode
from vm_runtime.storage import open_store


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The options."""

    as_json: bool
    refresh: bool
    audit: bool
    csv_file: Path | None
    plot: Path | None


def show_receipt(job: str, bucket: str, asked: Asked) -> None:
    """Print the receipt, and write what was asked for.

    Raises:
        InvalidInputError: there is no receipt, or a file cannot be written.
    """
    store = open_store(bucket)
    state = find_state(store, job).document
    # One from before a retry is out of date: it is written anew when the job is over again.
    found = Documents(store).peek(Receipt, names.receipt(job)) if state.phase.is_final else None
    if asked.refresh:
        found = write_receipt(store, job, datetime.now(UTC))
    if found is None:
        raise InvalidInputError(
            f"job {job!r}: expected a receipt in {bucket}, found none. It is written once the job"
            " has finished, failed or was cancelled, and its VMs are gone: see `smartscheduler"
            " status`."
        )
    if asked.csv_file is not None:
        _write_csv(found, asked.csv_file)
    if asked.plot is not None:
        from functions.cli.pictures import draw_receipt  # noqa: PLC0415 - needs matplotlib

        draw_receipt(asked.plot, found)
    if asked.as_json:
        typer.echo(encode(found).decode())
        return
    console = Console(highlight=False)
    print_receipt(console, found)
    if asked.audit:
        _print_table(console, revisions_table(found))
        _print_table(console, audit_table(found))


def print_receipt(console: Console, receipt: Receipt) -> None:
    """Print the receipt: what, against what, spent on what, on which basis."""
    console.print(Text(f"Receipt of job {receipt.job_id}", style="bold"))
    _print_lines(console, receipt_lines(receipt))
    if receipt.baselines:
        _print_table(console, baselines_table(receipt))
        _print_lines(console, baseline_notes(receipt.baselines))
    _print_table(console, spending_table(receipt))
    _print_table(console, intervals_table(receipt))
    console.print()
    _print_lines(console, basis_lines(receipt))


def _print_lines(console: Console, lines: tuple[str, ...]) -> None:
    for line in lines:
        console.print(Text(line))


def _print_table(console: Console, made: Table) -> None:
    console.print(Text(f"\n{made.caption}:"))
    table = RichTable(box=None, pad_edge=False)
    for name in made.head:
        # A place may wrap; a number that does is misread.
        table.add_column(name, no_wrap=name != made.head[-1])
    for row in made.rows:
        table.add_row(*(Text(text) for text in row))
    console.print(table)


def _write_csv(receipt: Receipt, file: Path) -> None:
    try:
        with file.open("w", encoding="utf-8", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(AUDIT_HEAD)
            writer.writerows(audit_rows(receipt))
    except OSError as error:
        raise InvalidInputError(
            f"{file}: expected a place to write the rows to, found {error.strerror}."
        ) from error
