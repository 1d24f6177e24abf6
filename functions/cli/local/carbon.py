"""Where the hours of one grid zone come from: live, with or without a key, or recorded."""

import shutil
from datetime import timedelta
from pathlib import Path

from forecaster.history import HistoryFileError
from functions.adapters.generation_mix import COVERED, GenerationMix
from functions.cli.local.wanted import Wanted
from functions.cli.sources import chosen_source
from functions.errors import InvalidInputError
from functions.local.intensity import LOOKBACK_H, LocalIntensity
from functions.local.recorded import pack, read_record
from functions.ports import IntensitySource

_PACKED = "history.npz"


def source_of(wanted: Wanted, folder: Path) -> IntensitySource:
    """Return who is asked about the grid zone.

    Args:
        wanted: names the grid zone, and recorded hours if those are to be used.
        folder: gets a copy of the recorded hours that is quick to read.

    Raises:
        InvalidInputError: nobody can answer, or the hours cannot be read; the message says what
            to do.
    """
    if wanted.history is not None:
        return _recorded(wanted, wanted.history, folder)
    source = chosen_source(None)
    if isinstance(source, GenerationMix) and wanted.grid_zone not in COVERED:
        raise InvalidInputError(
            f"--grid-zone {wanted.grid_zone}: expected one of {', '.join(sorted(COVERED))}, for"
            " which there is a source without a key. For the others set"
            " SMARTSCHEDULER_ELECTRICITY_MAPS_KEY to a key of Electricity Maps (a free one covers"
            " one grid zone), or try it on recorded hours with --history."
        )
    return source


def _recorded(wanted: Wanted, history: Path, folder: Path) -> IntensitySource:
    chosen = folder / "history"
    shutil.rmtree(chosen, ignore_errors=True)
    chosen.mkdir(parents=True)
    for file in _files(history, wanted.grid_zone):
        shutil.copy(file, chosen / file.name)
    target = folder / _PACKED
    try:
        pack(chosen, target)
    except HistoryFileError as error:
        raise InvalidInputError(f"--history {history}: {error}") from error
    _check(wanted, target, history)
    return LocalIntensity(history=str(target), seed=0)


def _files(history: Path, grid_zone: str) -> list[Path]:
    """Return what is to be read: of a folder with a file for each grid zone, only this one's."""
    if history.is_file():
        return [history]
    if not history.is_dir():
        raise InvalidInputError(
            f"--history {history}: expected a folder with recorded hours, or a CSV file, found"
            " neither. Make one: smartscheduler sources --save FOLDER"
        )
    tables = [path for path in sorted(history.iterdir()) if ".csv" in path.suffixes]
    mine = [path for path in tables if path.name.startswith((f"{grid_zone}.", f"{grid_zone}_"))]
    notes = [path for path in sorted(history.iterdir()) if path.suffix in {".md", ".txt"}]
    return [*(mine or tables), *notes]


def _check(wanted: Wanted, packed: Path, history: Path) -> None:
    found = read_record(packed).histories
    if wanted.grid_zone not in found:
        raise InvalidInputError(
            f"--history {history}: expected hours of {wanted.grid_zone}, found"
            f" {', '.join(found) or 'none'}. Choose another grid zone or folder."
        )
    recorded = found[wanted.grid_zone]
    first, last = recorded.start + timedelta(hours=LOOKBACK_H), recorded.end
    if wanted.at is None or not first <= wanted.at < last:
        given = "none" if wanted.at is None else f"{wanted.at:%Y-%m-%dT%H:%MZ}"
        raise InvalidInputError(
            f"--at: expected a time from {first:%Y-%m-%dT%H:%MZ} to {last:%Y-%m-%dT%H:%MZ}, when"
            f" {wanted.grid_zone} has recorded hours and a week before them, found {given}."
        )
