"""Reads one CSV file of recorded hours and refuses what cannot be right.

Knows files and rows; nothing of folders, models or the network.
"""

import csv
import gzip
import io
import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from forecaster.features import EPOCH
from forecaster.layouts import HistoryFileError, Layout, Release, find_layout
from forecaster.series import HIGHEST_PLAUSIBLE_GCO2EQ_PER_KWH, HOUR, Basis

MISSING = frozenset({"", "nan", "na", "n/a", "null", "none"})
"""How exports write a missing value, in lower case."""
LEAST_LIFECYCLE_GCO2EQ_PER_KWH = 5.0
"""No grid is cleaner over its life cycle: hydro, wind and nuclear begin at about 5 to 24
(UNECE 2021; IPCC AR5 WG3 Annex III)."""
LOOKED_AT_H = 48
"""With so many values, what all of them have in common tells about the file."""

_TIME_CHARACTERS = 19
"""Of `2024-01-01T00:00:00`."""
_ZERO_OFFSETS = frozenset({"", "Z", "z", "+00:00", ".000Z"})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recording:
    """One file's hours, in the order of its rows."""

    path: Path
    layout: Layout
    columns: Sequence[Sequence[str]]
    """The cells as they are in the file, without the header, by column."""
    lines: NDArray[np.int64]
    """Line of each row, for messages."""
    grid_zones: NDArray[np.str_]
    """Of each row."""
    epoch_hours: NDArray[np.int64]
    """Begin of each hour, hours since 1970-01-01 UTC."""
    gco2eq_per_kwh: NDArray[np.float64]
    """NaN where the file has no value."""
    basis: Basis

    @property
    def release(self) -> Release:
        """Which header the file has."""
        return self.layout.release

    def place(self, row: int) -> str:
        """Return file and line of a row, for messages."""
        return f"{self.path.name} line {self.lines[row]}"


def read_file(path: Path, *, basis: Basis = Basis.LIFECYCLE) -> Recording:
    """Read one CSV file, plain or gzipped.

    Raises:
        HistoryFileError: If it is truncated, not UTF-8, in another unit, constant, of several
            grid zones or sources, or a column, time or value is wrong.
    """
    try:
        recording = _read(_text(path), path=path, basis=basis)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise HistoryFileError(
            f"{path.name}: expected a whole gzip file, found a broken one ({error}); fetch it again"
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise HistoryFileError(f"{path.name}: expected CSV in UTF-8: {error}") from error
    except OSError as error:
        raise HistoryFileError(f"{path}: expected a file that can be read: {error}") from error
    _check_whole(recording)
    return recording


def _text(path: Path) -> str:
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")


def _read(text: str, *, path: Path, basis: Basis) -> Recording:
    header, _, body = text.partition("\n")
    layout = find_layout(next(csv.reader([header]), []), basis=basis, place=path.name)
    split = _columns_quoted if '"' in body else _columns
    columns, lines = split(body, layout.cells, path.name)
    if layout.intensity == layout.cells - 1 and not body.endswith(("\n", "\r")):
        raise HistoryFileError(
            f"{path.name} line {lines[-1]}: expected the end of a line after its last value,"
            " found the end of the file: it seems truncated; fetch it again"
        )
    zones = columns[layout.grid_zone]
    stripped = {zone: zone.strip() for zone in set(zones)}
    return Recording(
        path=path,
        layout=layout,
        columns=columns,
        lines=lines,
        grid_zones=np.array([stripped[zone] for zone in zones]),
        epoch_hours=_times(columns[layout.time], path.name, lines),
        gco2eq_per_kwh=_intensities(columns[layout.intensity], path.name, lines),
        basis=basis,
    )


def _columns(body: str, cells: int, name: str) -> tuple[list[list[str]], NDArray[np.int64]]:
    """Split text without quotes into columns at once: a list per row would cost most of all."""
    whole = body.replace("\r\n", "\n").removesuffix("\n")
    data = np.frombuffer(f"{whole}\n".encode(), dtype=np.uint8)
    ends = np.flatnonzero(data == ord("\n"))
    commas = np.diff(np.searchsorted(np.flatnonzero(data == ord(",")), ends), prepend=0)
    blank = np.diff(ends, prepend=-1) == 1
    lines = _checked_lines(np.where(blank, 0, commas + 1), cells, name)
    if blank.any():
        whole = "\n".join(filter(None, whole.split("\n")))
    flat = whole.replace("\n", ",").split(",")
    return [flat[column::cells] for column in range(cells)], lines


def _columns_quoted(body: str, cells: int, name: str) -> tuple[list[list[str]], NDArray[np.int64]]:
    """Split any text as the library does."""
    rows = list(csv.reader(io.StringIO(body, newline="")))
    found = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
    lines = _checked_lines(found, cells, name)
    return [[row[column] for row in rows if row] for column in range(cells)], lines


def _checked_lines(found: NDArray[np.int64], cells: int, name: str) -> NDArray[np.int64]:
    """Return the lines that are not blank; `found` has the cells of each below the header."""
    lines = np.arange(2, 2 + len(found), dtype=np.int64)
    wrong = np.flatnonzero((found != cells) & (found > 0))
    if wrong.size:
        raise HistoryFileError(
            f"{name} line {lines[wrong[0]]}: expected {cells} cells, found {found[wrong[0]]}: the"
            " file seems truncated; fetch it again"
        )
    if not found.any():
        raise HistoryFileError(f"{name}: expected hours below the header, found none")
    return lines[found > 0]


def _times(texts: Sequence[str], name: str, lines: NDArray[np.int64]) -> NDArray[np.int64]:
    """Read all times at once; only if one of them is odd, one by one to name it."""
    if {text[_TIME_CHARACTERS:] for text in texts} <= _ZERO_OFFSETS:
        try:
            seconds = np.array(
                [text[:_TIME_CHARACTERS] for text in texts], dtype="datetime64[s]"
            ).astype(np.int64)
        except ValueError:
            pass  # The slow way says which.
        else:
            # A shorter one, such as 2024-01, would be read as its first hour.
            if not (seconds % 3600).any() and min(map(len, texts)) >= _TIME_CHARACTERS:
                return seconds // 3600
    return np.array(
        [
            (_time(text, place=f"{name} line {line}") - EPOCH) // HOUR
            for text, line in zip(texts, lines, strict=True)
        ],
        dtype=np.int64,
    )


def _time(text: str, *, place: str) -> datetime:
    """Read a time; the exports' are UTC without saying so, which their header does."""
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise HistoryFileError(
            f"{place}: expected a time in UTC, found {text!r}; write it as 2024-01-31T23:00:00Z"
        ) from error
    if time.tzinfo is not None and time.utcoffset() != UTC.utcoffset(None):
        raise HistoryFileError(
            f"{place}: expected a time in UTC, as its header says, found {text!r}; convert it"
        )
    time = time.replace(tzinfo=UTC)
    if time.minute or time.second or time.microsecond:
        raise HistoryFileError(
            f"{place}: expected the begin of an hour, found {text!r}; average to full hours"
        )
    return time


def _intensities(texts: Sequence[str], name: str, lines: NDArray[np.int64]) -> NDArray[np.float64]:
    """Read all values at once; only if one of them is odd, one by one to name it."""
    try:
        values = np.array([*map(float, texts)], dtype=np.float64)
    except ValueError:
        values = np.fromiter(_floats(texts, name, lines), dtype=np.float64, count=len(texts))
    known = values[np.isfinite(values)]
    if known.size and np.median(known) > HIGHEST_PLAUSIBLE_GCO2EQ_PER_KWH:
        raise HistoryFileError(
            f"{name}: expected gCO2eq/kWh, found half of the values above {np.median(known):.0f}:"
            " this looks like mg/kWh or g/MWh; divide by 1000"
        )
    # A comparison with NaN is false: a missing value is a gap, not an offence.
    wrong = np.flatnonzero(
        (values < 0) | (values > HIGHEST_PLAUSIBLE_GCO2EQ_PER_KWH) | np.isinf(values)
    )
    if wrong.size:
        raise HistoryFileError(
            f"{name} line {lines[wrong[0]]}: expected 0 to"
            f" {HIGHEST_PLAUSIBLE_GCO2EQ_PER_KWH:.0f} gCO2eq/kWh, found {texts[wrong[0]].strip()};"
            " check the unit and the column"
        )
    return values


def _floats(texts: Sequence[str], name: str, lines: NDArray[np.int64]) -> Iterator[float]:
    for text, line in zip(texts, lines, strict=True):
        try:
            yield float(text)
        except ValueError:
            if text.strip().lower() not in MISSING:
                raise HistoryFileError(
                    f"{name} line {line}: expected gCO2eq/kWh, found {text!r}; mend or empty it"
                ) from None
            yield math.nan


def _check_whole(recording: Recording) -> None:
    """Refuse a file whose rows are each possible but that cannot be right as a whole."""
    name = recording.path.name
    _check_one(recording, name)
    for grid_zone in np.unique(recording.grid_zones):
        if not grid_zone:
            row = int(np.flatnonzero(recording.grid_zones == "")[0])
            raise HistoryFileError(
                f"{recording.place(row)}: expected a grid zone such as DE, found none"
            )
        values = recording.gco2eq_per_kwh[recording.grid_zones == grid_zone]
        values = values[np.isfinite(values)]
        if len(values) < LOOKED_AT_H:
            continue
        if values.min() == values.max():
            raise HistoryFileError(
                f"{name}: expected values of {grid_zone} that change, found {values[0]:g} in all"
                f" {len(values)} hours; this is a placeholder, not a recording: fetch it again"
            )
        is_small = values.max() < LEAST_LIFECYCLE_GCO2EQ_PER_KWH
        if recording.basis is Basis.LIFECYCLE and is_small:
            raise HistoryFileError(
                f"{name}: expected gCO2eq/kWh of {grid_zone}, found at most {values.max():g}: this"
                " looks like kg/kWh or t/MWh; multiply by 1000"
            )


def _check_one(recording: Recording, name: str) -> None:
    """Refuse a yearly export of several grid zones, and any file of several sources."""
    layout, zones = recording.layout, recording.grid_zones
    strangers = np.flatnonzero(zones != zones[0])
    if strangers.size and recording.release is not Release.PLAIN:
        raise HistoryFileError(
            f"{recording.place(int(strangers[0]))}: expected the grid zone {zones[0]} of the rows"
            f" above, found {zones[strangers[0]]}; an export has one grid zone: split the file"
        )
    if layout.source is None:
        return
    columns = recording.columns
    sources = set(zip(columns[layout.grid_zone], columns[layout.source], strict=True))
    if len(sources) > len({grid_zone for grid_zone, _ in sources}):
        found = ", ".join(sorted({source for _, source in sources}))
        raise HistoryFileError(
            f"{name}: expected one source_id for each grid zone, found {found}; sources differ in"
            " level: split the file"
        )
