"""Reads folders of recorded hours. Knows files and grid zones; no model, no network.

Two layouts, told apart by their header: Electricity Maps' yearly exports
(`<ZONE>_<YEAR>_hourly.csv`, header of either release) and one file per grid zone with
the columns `zone,datetime_utc,carbon_intensity`. Both may be gzipped.
"""

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from forecaster.features import EPOCH
from forecaster.layouts import HistoryFileError, Release
from forecaster.recording import Recording, read_file
from forecaster.series import HOUR, Basis, IntensityHistory

__all__ = ["HistoryFileError", "join", "load_folder", "paths_in"]


@dataclass(slots=True)
class _Parts:
    """All recordings of one grid zone, put together."""

    hours: list[NDArray[np.int64]] = field(default_factory=list)
    values: list[NDArray[np.float64]] = field(default_factory=list)
    places: list[tuple[Recording, NDArray[np.int64]]] = field(default_factory=list)


def paths_in(folder: Path) -> list[Path]:
    """Return the CSV files directly in `folder`, sorted.

    Raises:
        HistoryFileError: If there is none.
    """
    paths = sorted({*folder.glob("*.csv"), *folder.glob("*.csv.gz")})
    if not paths:
        raise HistoryFileError(
            f"expected <ZONE>_<YEAR>_hourly.csv or <ZONE>.csv.gz in {folder}, found no CSV file"
        )
    return paths


def load_folder(
    folder: Path,
    *,
    basis: Basis = Basis.LIFECYCLE,
    accept_mixed_releases: bool = False,
    on_file: Callable[[Path], None] = lambda _path: None,
) -> dict[str, IntensityHistory]:
    """Read all CSV files directly in `folder`; files of the same grid zone are joined.

    Args:
        folder: Has `*.csv` or `*.csv.gz` files; other files are passed over.
        basis: Which of the intensity columns to read.
        accept_mixed_releases: Join files of different releases although their levels differ.
        on_file: Called with each file once it is read, to show progress.

    Raises:
        HistoryFileError: If there is no such file, one of them is wrong, an hour is there
            twice, or the files of a grid zone are of several releases.
    """
    recordings = []
    for path in paths_in(folder):
        # The cells of all files at once would be some hundred MB.
        recordings.append(dataclasses.replace(read_file(path, basis=basis), columns=()))
        on_file(path)
    return join(recordings, basis=basis, accept_mixed_releases=accept_mixed_releases)


def join(
    recordings: Iterable[Recording], *, basis: Basis, accept_mixed_releases: bool = False
) -> dict[str, IntensityHistory]:
    """Join the files of each grid zone to one history.

    Raises:
        HistoryFileError: If an hour is there twice, or the files of a grid zone are of
            several releases and this is not accepted.
    """
    seen: dict[str, _Parts] = {}
    for recording in recordings:
        for grid_zone in np.unique(recording.grid_zones):
            rows = np.flatnonzero(recording.grid_zones == grid_zone)
            parts = seen.setdefault(str(grid_zone), _Parts())
            parts.hours.append(recording.epoch_hours[rows])
            parts.values.append(recording.gco2eq_per_kwh[rows])
            parts.places.append((recording, rows))
    return {
        grid_zone: _joined(grid_zone, parts, basis, accept_mixed_releases=accept_mixed_releases)
        for grid_zone, parts in sorted(seen.items())
    }


def _joined(
    grid_zone: str, parts: _Parts, basis: Basis, *, accept_mixed_releases: bool
) -> IntensityHistory:
    hours, values = np.concatenate(parts.hours), np.concatenate(parts.values)
    order = np.argsort(hours, kind="stable")
    doubled = np.flatnonzero(np.diff(hours[order]) == 0)
    if doubled.size:
        first, again = (_place(parts, int(order[doubled[0] + n])) for n in (0, 1))
        at = EPOCH + int(hours[order[doubled[0]]]) * HOUR
        raise HistoryFileError(
            f"{again}: expected each hour of {grid_zone} once, found {at.isoformat()} also in"
            f" {first}; remove one ({doubled.size} such hours)"
        )
    _check_releases(grid_zone, parts, accepted=accept_mixed_releases)
    first_hour = int(hours.min())
    filled = np.full(int(hours.max()) - first_hour + 1, np.nan, dtype=np.float32)
    filled[hours - first_hour] = values
    return IntensityHistory(
        grid_zone=grid_zone, start=EPOCH + first_hour * HOUR, gco2eq_per_kwh=filled, basis=basis
    )


def _place(parts: _Parts, index: int) -> str:
    for recording, rows in parts.places:
        if index < len(rows):
            return recording.place(int(rows[index]))
        index -= len(rows)
    raise IndexError(index)


def _check_releases(grid_zone: str, parts: _Parts, *, accepted: bool) -> None:
    by_release: dict[Release, str] = {}
    for recording, _ in parts.places:
        by_release.setdefault(recording.release, recording.path.name)
    if len(by_release) > 1 and not accepted:
        found = "; ".join(f"{name}: {release}" for release, name in by_release.items())
        raise HistoryFileError(
            f"{grid_zone}: expected files of one release, because releases differ in level by up"
            f" to 45 g, found {found}; fetch all years of it anew, or accept the step in level with"
            " --accept-mixed-releases"
        )
