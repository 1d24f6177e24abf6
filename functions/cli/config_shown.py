"""Shows which settings are in force, and where each comes from."""

import json

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from functions.cli.config import KEYS, Value, config_files, value_of

ORDER = (
    "A flag wins over the environment, that over ./smartscheduler.toml, that over your own file."
)


def show_config(*, as_json: bool) -> None:
    """Print each setting with its origin, and where settings may be.

    Raises:
        InvalidInputError: a file is wrong.
    """
    values = [value_of(key) for key in KEYS]
    if as_json:
        typer.echo(json.dumps({v.key: {"value": v.value, "origin": v.origin} for v in values}))
        return
    console = Console(highlight=False)
    console.print(config_table(values))
    console.print(Text(ORDER))
    for file in config_files():
        console.print(Text(f"{file}: {'there' if file.is_file() else 'none'}"), soft_wrap=True)


def config_table(values: list[Value]) -> Table:
    """Return key, value and origin of each setting."""
    table = Table("setting", "value", "from", box=None, pad_edge=False)
    for each in values:
        table.add_row(each.key, Text(each.value or f"- ({KEYS[each.key]})"), Text(each.origin))
    return table
