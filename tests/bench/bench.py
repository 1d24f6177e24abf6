"""`make bench`: speed and quality, printed beside the peers; nothing here can fail a test.

Each `bench_*.py` beside this file lists in `FIGURES` what it measures: functions that take nothing
and return one `Figure` or several. `make bench ONLY=plan,trainer` runs some of them.
"""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from figure import Figure
from rich.console import Console
from rich.progress import track
from rich.table import Table


def figures(only: str) -> Iterator[Figure]:
    """Measure one after the other, with a bar; `only` is a list of names, empty for all."""
    torch.set_num_threads(1)
    names = sorted(path.stem for path in Path(__file__).parent.glob("bench_*.py"))
    wanted = [name for name in names if not only or name.removeprefix("bench_") in only.split(",")]
    if not wanted:
        known = ", ".join(name.removeprefix("bench_") for name in names)
        sys.exit(f"ONLY: expected some of {known}, found {only!r}")
    measures = [each for name in wanted for each in importlib.import_module(name).FIGURES]
    for measure in track(measures, description="measuring", console=Console(stderr=True)):
        found = measure()
        yield from [found] if isinstance(found, Figure) else found


def main() -> None:
    """Print the table."""
    table = Table("what", "ours", "peer", "peer's time / ours", title="SmartScheduler, medians")
    for figure in figures(sys.argv[1] if len(sys.argv) > 1 else ""):
        table.add_row(figure.what, figure.ours, figure.peer, figure.ratio)
    Console().print(table)


if __name__ == "__main__":
    main()
