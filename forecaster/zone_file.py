"""One CSV file per grid zone, `<ZONE>.csv.gz`: written whole, the same bytes for the same hours.

The plain layout that `forecaster.history` reads. `ATTRIBUTION.txt` beside it says whose the
hours are.
"""

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from forecaster.features import EPOCH
from forecaster.layouts import HistoryFileError
from forecaster.recording import read_file
from forecaster.series import HOUR

ATTRIBUTION = "ATTRIBUTION.txt"
"""File beside recorded hours whose first line says whose they are."""
COLUMNS = "zone,datetime_utc,carbon_intensity,carbon_intensity_direct,data_estimated,source_id"

Hours: TypeAlias = dict[int, str]
"""By hours since 1970-01-01 UTC: the cells after the time, without the source."""


def cells_of(lifecycle: float, *, direct: str = "", estimated: bool | None) -> str:
    """Return the cells of an hour; gCO2eq/kWh, NaN and `None` where not known."""
    value = "" if lifecycle != lifecycle else f"{lifecycle:g}"  # noqa: PLR0124 - NaN
    return f"{value},{direct},{'' if estimated is None else int(estimated)}"


def read_zone_file(folder: Path, grid_zone: str) -> tuple[Hours, str]:
    """Return the hours of a grid zone and their source; none if it has no file.

    Raises:
        HistoryFileError: If the file is wrong, or not one that `write_zone_file` wrote.
    """
    path = folder / f"{grid_zone}.csv.gz"
    if not path.exists():
        return {}, ""
    recording = read_file(path)
    if (found := len(recording.columns)) != (expected := COLUMNS.count(",") + 1):
        raise HistoryFileError(
            f"{path}: expected the {expected} columns {COLUMNS}, found {found}: the file was"
            " written by something else, and would be written over. Choose another folder."
        )
    *middle, sources = recording.columns[2:]
    rows = (",".join(cells) for cells in zip(*middle, strict=True))
    hours = {int(hour): row for hour, row in zip(recording.epoch_hours, rows, strict=True)}
    return hours, sources[0]


def write_zone_file(folder: Path, grid_zone: str, hours: Mapping[int, str], *, source: str) -> None:
    """Write all hours of a grid zone; the source must have no comma."""
    lines = [f"{grid_zone},{time_of(hour)},{hours[hour]},{source}" for hour in sorted(hours)]
    # Without a time in it the same hours give the same bytes.
    data = gzip.compress(("\n".join([COLUMNS, *lines]) + "\n").encode(), mtime=0)
    replace_file(folder / f"{grid_zone}.csv.gz", data)


def replace_file(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(data)
    part.replace(path)


def time_of(epoch_hour: int) -> str:
    """Return the begin of an hour as the files have it."""
    return f"{EPOCH + epoch_hour * HOUR:%Y-%m-%dT%H:%M:%SZ}"
