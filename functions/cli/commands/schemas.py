"""`smartscheduler schemas`."""

from pathlib import Path
from typing import Annotated

import typer


def schemas(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder to write to.")] = Path(
        "docs/schemas"
    ),
) -> None:
    """Write the JSON Schema of every document, and the topic's schema where it is kept."""
    from functions.cli.schemas import write_schemas

    write_schemas(out)
