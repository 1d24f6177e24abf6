"""How long a person waits for `--help`, of each command, beside a bare import of typer."""

import subprocess
import sys
import time
from collections.abc import Iterator

import typer
from figure import Figure

from functions.cli import app

TURNS = 5
MOST_S = 0.4
"""What a person takes for at once; the bar of this project."""


def least_s(*arguments: str) -> float:
    """Return the least time of several calls in a process of their own, seconds.

    The least, not the median: a busy machine only ever adds.
    """
    spans = []
    for _ in range(TURNS):
        begin = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)  # noqa: S603
        spans.append(time.perf_counter() - begin)
    return min(spans)


def time_to_help() -> Iterator[Figure]:
    """Yield the root's help and the slowest one of all commands, beside a bare `import typer`."""
    program = "from functions.cli import app; app(prog_name='smartscheduler')"
    bare_s = least_s("-c", "import typer")
    names = ["", *typer.main.get_group(app).commands]
    spans = {name: least_s("-c", program, *([name] if name else []), "--help") for name in names}
    slowest = max(spans, key=lambda name: spans[name])
    for what, name in (("smartscheduler --help", ""), (f"slowest: {slowest} --help", slowest)):
        yield Figure(
            what=f"{what} (bar {MOST_S} s)",
            ours=f"{spans[name]:.2f} s",
            peer=f"import typer: {bare_s:.2f} s",
            ratio=f"{bare_s / spans[name]:.2f}",
        )


FIGURES = [time_to_help]
