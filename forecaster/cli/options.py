"""Arguments and options that several commands share, and how they are read."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated, TypeAlias

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from forecaster.history import load_folder, paths_in
from forecaster.series import IntensityHistory

_Folder = {"exists": True, "file_okay": False}

DataOption: TypeAlias = Annotated[
    Path, typer.Option("--data", "--history", help="Folder with CSV files.", **_Folder)
]
ArtifactOption: TypeAlias = Annotated[
    Path | None,
    typer.Option("--artifact", help="Folder of a trained model; the shipped one if omitted."),
]
JsonOption: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print JSON, for programs, instead of text.")
]
MixedOption: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--accept-mixed-releases",
        help="Join files of both headers although releases differ in level.",
    ),
]


@contextmanager
def clear_errors() -> Iterator[None]:
    """Print what is wrong with the input as one paragraph, and end with exit code 2."""
    try:
        yield
    except (ValueError, OSError) as error:
        Console(stderr=True, highlight=False).print(
            f"error: {error}", style="red", markup=False, soft_wrap=True
        )
        raise typer.Exit(2) from error


def say(message: str) -> None:
    """Print a remark that is not the result."""
    Console(stderr=True).print(message, markup=False, highlight=False, soft_wrap=True)


def progress_bar() -> Progress:
    """Return a bar on the error stream, so that the result can be piped."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def load(folder: Path, *, accept_mixed_releases: bool = False) -> dict[str, IntensityHistory]:
    """Read all recorded hours in a folder behind a bar.

    Raises:
        HistoryFileError: If one of its files is wrong.
    """
    with progress_bar() as progress:
        task = progress.add_task("reading", total=len(paths_in(folder)))
        return load_folder(
            folder,
            accept_mixed_releases=accept_mixed_releases,
            on_file=lambda _path: progress.advance(task),
        )


def midnight(text: str, option: str) -> datetime:
    """Return 00:00 UTC of a date.

    Raises:
        ValueError: If it is none; the message names the option.
    """
    try:
        return datetime.combine(date.fromisoformat(text), time(), tzinfo=UTC)
    except ValueError as error:
        raise ValueError(f"{option}: expected a date such as 2024-01-01, found {text!r}") from error
