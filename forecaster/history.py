"""Reads recorded hours from CSV files. Knows files and headers; no model, no network.

Two layouts, told apart by their header: Electricity Maps' yearly exports
(`<ZONE>_<YEAR>_hourly.csv`, header of either release) and one file per grid zone with
the columns `zone,datetime_utc,carbon_intensity`. Both may be gzipped.
"""

import csv
import gzip
import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from forecaster.series import HIGHEST_PLAUSIBLE_GCO2EQ_PER_KWH, Basis, IntensityHistory

MISSING = frozenset({"", "nan", "na", "n/a", "null", "none"})
"""How exports write a missing value, in lower case."""


class HistoryFileError(ValueError):
    """A file of recorded hours cannot be read; the message names the file and the line."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Where to find what in a row."""

    time: int
    grid_zone: int
    intensity: int


@dataclass(frozen=True, slots=True)
class Row:
    """One hour as a file has it."""

    place: str
    """File and line, for messages."""
    grid_zone: str
    time: datetime
    gco2eq_per_kwh: float
    """NaN where the file has no value."""


def find_columns(header: list[str], *, basis: Basis, place: str) -> Columns:
    """Find the columns by their meaning, whatever their case and release.

    Raises:
        HistoryFileError: If one is missing; names all that are.
    """
    names = [name.strip().lower().removeprefix("\ufeff") for name in header]

    def is_intensity(name: str) -> bool:
        if not name.startswith(("carbon intensity", "carbon_intensity")):
            return False
        if basis is Basis.DIRECT:
            return "direct" in name
        return "lca" in name or "life cycle" in name or name == "carbon_intensity"

    meanings: dict[str, Callable[[str], bool]] = {
        "time (UTC)": lambda name: name in {"datetime (utc)", "datetime_utc"},
        "zone id": lambda name: name in {"zone id", "zone_id", "zone"},
        f"carbon intensity ({basis})": is_intensity,
    }
    found = {
        what: next((i for i, name in enumerate(names) if matches(name)), None)
        for what, matches in meanings.items()
    }
    missing = [what for what, i in found.items() if i is None]
    if missing:
        raise HistoryFileError(
            f"{place}: expected a column for each of {', '.join(meanings)}; no column for"
            f" {', '.join(missing)} among {', '.join(header) or 'none'}"
        )
    return Columns(*(i for i in found.values() if i is not None))


def read_file(path: Path, *, basis: Basis = Basis.LIFECYCLE) -> list[Row]:
    """Read one CSV file, plain or gzipped.

    Raises:
        HistoryFileError: If it is truncated, not UTF-8, or a column, time or value is wrong.
    """
    try:
        with _open_text(path) as lines:
            return list(_rows(lines, path=path, basis=basis))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise HistoryFileError(
            f"{path.name}: expected a whole gzip file, found a broken one ({error}); fetch it again"
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise HistoryFileError(f"{path.name}: expected CSV in UTF-8: {error}") from error


def load_folder(
    folder: Path,
    *,
    basis: Basis = Basis.LIFECYCLE,
    on_file: Callable[[Path], None] = lambda _path: None,
) -> dict[str, IntensityHistory]:
    """Read all CSV files directly in `folder`; files of the same grid zone are joined.

    Args:
        folder: Has `*.csv` or `*.csv.gz` files; other files are passed over.
        basis: Which of the intensity columns to read.
        on_file: Called with each file once it is read, to show progress.

    Raises:
        HistoryFileError: If there is no such file, or one of them is wrong.
    """
    paths = sorted({*folder.glob("*.csv"), *folder.glob("*.csv.gz")})
    if not paths:
        raise HistoryFileError(
            f"expected <ZONE>_<YEAR>_hourly.csv or <ZONE>.csv.gz in {folder}, found no CSV file"
        )
    seen: dict[str, dict[datetime, Row]] = {}
    for path in paths:
        for row in read_file(path, basis=basis):
            hours = seen.setdefault(row.grid_zone, {})
            if row.time in hours:
                raise HistoryFileError(
                    f"{row.place}: expected each hour of {row.grid_zone} once, found"
                    f" {row.time.isoformat()} also in {hours[row.time].place}; remove one"
                )
            hours[row.time] = row
        on_file(path)
    return {
        grid_zone: IntensityHistory.from_hours(
            grid_zone,
            ((row.time, row.gco2eq_per_kwh) for row in hours.values()),
            basis=basis,
        )
        for grid_zone, hours in sorted(seen.items())
    }


def _open_text(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _rows(lines: TextIO, *, path: Path, basis: Basis) -> Iterator[Row]:
    reader = csv.reader(lines)
    header = next(reader, [])
    columns = find_columns(header, basis=basis, place=path.name)
    for cells in reader:
        place = f"{path.name} line {reader.line_num}"
        if len(cells) != len(header):
            raise HistoryFileError(
                f"{place}: expected {len(header)} cells, found {len(cells)}: the file seems"
                " truncated; fetch it again"
            )
        yield Row(
            place=place,
            grid_zone=cells[columns.grid_zone].strip(),
            time=_time(cells[columns.time], place=place),
            gco2eq_per_kwh=_intensity(cells[columns.intensity], place=place),
        )


def _time(text: str, *, place: str) -> datetime:
    """Read a time; the exports' are UTC without saying so, which their header does."""
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise HistoryFileError(f"{place}: expected a time in UTC, found {text!r}") from error
    if time.tzinfo is not None and time.utcoffset() != UTC.utcoffset(None):
        raise HistoryFileError(
            f"{place}: expected a time in UTC, as its header says, found {text!r}; convert it"
        )
    time = time.replace(tzinfo=UTC)
    if time.minute or time.second or time.microsecond:
        raise HistoryFileError(f"{place}: expected the begin of an hour, found {text!r}")
    return time


def _intensity(text: str, *, place: str) -> float:
    if text.strip().lower() in MISSING:
        return math.nan
    try:
        value = float(text)
    except ValueError as error:
        raise HistoryFileError(f"{place}: expected gCO2eq/kWh, found {text!r}") from error
    # Checked here, not only in IntensityHistory, because here the line is known.
    if not 0 <= value <= HIGHEST_PLAUSIBLE_GCO2EQ_PER_KWH:
        raise HistoryFileError(
            f"{place}: expected 0 to {HIGHEST_PLAUSIBLE_GCO2EQ_PER_KWH:.0f} gCO2eq/kWh,"
            f" found {text}; check the unit and the column"
        )
    return value
