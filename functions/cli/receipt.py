"""`smartscheduler receipt`: what a finished job emitted, against what."""

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from functions.cli.options import BucketOption, JobArgument, JsonOption
from functions.domain.accounting.document import Receipt
from functions.errors import InvalidInputError
from functions.handlers.documents import Documents
from functions.report.summary import receipt_lines
from functions.report.tables import baselines_table
from vm_runtime.contract import object_names as names
from vm_runtime.contract.codec import encode
from vm_runtime.storage import open_store


def receipt(job: JobArgument, bucket: BucketOption, *, as_json: JsonOption = False) -> None:
    """Print a job's receipt."""
    found = Documents(open_store(bucket)).peek(Receipt, names.receipt(job))
    if found is None:
        raise InvalidInputError(
            f"job {job!r}: expected a receipt in {bucket}, found none. It is written once the job"
            " has finished: see `smartscheduler status`."
        )
    if as_json:
        typer.echo(encode(found).decode())
        return
    print_receipt(Console(highlight=False), found)


def print_receipt(console: Console, receipt: Receipt) -> None:
    """Print the receipt: sentences, then the other ways as a table."""
    for line in receipt_lines(receipt):
        console.print(Text(line), soft_wrap=True)
    made = baselines_table(receipt)
    console.print(Text(f"\n{made.caption}:"))
    table = Table(box=None, pad_edge=False)
    for name in made.head:
        # A digest or a place may wrap; a number that does is misread.
        table.add_column(name, no_wrap=name != made.head[-1])
    for row in made.rows:
        table.add_row(*(Text(text) for text in row))
    console.print(table)
