"""The sheet that all pictures are drawn on: size, colours, source, and where it is written to."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from functions.errors import InvalidInputError

KINDS = ".png", ".svg", ".pdf"
COLOURS = "#332288", "#117733", "#CC6677", "#DDCC77", "#88CCEE", "#AA4499", "#44AA99", "#999933"
"""Paul Tol's muted scheme: told apart without colour vision, too."""
OURS, OTHERS, OVERHEAD, MARK = "#117733", "#9aa0a6", "#DDAA33", "#BB3311"
HEAT = "#e8f4e5", "#b5ddd8", "#7ab5d4", "#9085c2", "#6f3f70"
"""From clean to dirty, as in the report."""
UNIT = "gCO2eq/kWh"
_DPI = 130


def check_kind(file: Path) -> None:
    """Refuse a file that no picture can be written to, before any work is done.

    Raises:
        InvalidInputError: its ending is none of `KINDS`.
    """
    if file.suffix.lower() not in KINDS:
        raise InvalidInputError(f"--plot: expected a file {', '.join(KINDS)}, found {str(file)!r}.")


@contextmanager
def canvas(file: Path, *, height: float, source: str) -> Iterator[Any]:
    """Give a figure of matplotlib to draw on, and write it to `file`.

    Args:
        file: its ending says the kind.
        height: inches; it is 10 wide.
        source: what the figures rest on; stands below.

    Raises:
        InvalidInputError: matplotlib is missing, or the file cannot be written.
    """
    check_kind(file)
    try:
        import matplotlib as mpl  # noqa: PLC0415 - large
        from matplotlib.figure import Figure  # noqa: PLC0415 - large
    except ModuleNotFoundError as error:
        raise InvalidInputError(
            "--plot: expected the package matplotlib, found none. Install it:"
            " pip install 'smartscheduler[demo]'."
        ) from error
    style = {
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 11,
        "axes.titlelocation": "left",
        "font.size": 9,
        "svg.fonttype": "none",
    }
    with mpl.rc_context(style):  # type: ignore[arg-type]
        figure = Figure(figsize=(10, height), layout="constrained")
        yield figure
        figure.supxlabel(source, fontsize=7.5, color="#555555", wrap=True)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(file, dpi=_DPI)
        except OSError as error:
            raise InvalidInputError(
                f"--plot: expected a place to write {file} to, found {error.strerror}."
            ) from error
    typer.echo(f"Wrote {file}", err=True)


def time_axis(axes: Any) -> None:  # noqa: ANN401 - of matplotlib
    """Write times as people do, in UTC."""
    from matplotlib import dates  # noqa: PLC0415 - large

    of_time: Any = dates  # which has no types
    locator = of_time.AutoDateLocator()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(of_time.ConciseDateFormatter(locator))
    axes.set_xlabel("UTC")


def heat_scale() -> Any:  # noqa: ANN401 - of matplotlib
    """Return a scale by the square root: one dirty grid must not make all others look alike."""
    from matplotlib.colors import PowerNorm  # noqa: PLC0415 - large

    return PowerNorm(gamma=0.5)


def heat_colours() -> Any:  # noqa: ANN401 - of matplotlib
    """Return the colours from clean to dirty."""
    from matplotlib.colors import LinearSegmentedColormap  # noqa: PLC0415 - large

    return LinearSegmentedColormap.from_list("heat", list(HEAT))
