"""A folder of recorded hours as one file: read once before the simulated clock starts.

Thirteen grid zones over some years are 400,000 lines and take seconds to read, which would be
hours of simulated time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from forecaster.history import load_folder
from forecaster.series import Basis, IntensityHistory
from forecaster.zone_file import ATTRIBUTION

_PUBLISHER = "Electricity Maps, electricitymaps.com"
_META = "attribution", "origin", "basis"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Recorded hours and whose they are."""

    histories: Mapping[str, IntensityHistory]
    """By grid zone."""
    attribution: str
    """To be printed beside the numbers."""


def read_record(path: Path) -> Record:
    """Return the record in a folder, or in a file that `pack` has written.

    Raises:
        HistoryFileError: the folder has no record, or one that cannot be read.
    """
    if path.is_dir() or not path.exists():
        return Record(histories=load_folder(path), attribution=_attribution(path))
    with np.load(path) as file:
        basis = Basis(str(file["basis"]))
        names = {name.partition("/")[0] for name in file.files} - set(_META)
        histories = {
            name: IntensityHistory(
                grid_zone=name,
                start=datetime.fromtimestamp(float(file[f"{name}/start_s"]), UTC),
                gco2eq_per_kwh=file[f"{name}/gco2eq_per_kwh"],
                basis=basis,
            )
            for name in sorted(names)
        }
        return Record(histories=histories, attribution=str(file["attribution"]))


def pack(folder: Path, target: Path) -> None:
    """Write the record in `folder` to the file `target`, unless that is there and newer.

    Raises:
        HistoryFileError: the folder has no record, or one that cannot be read.
    """
    if target.exists() and _is_of(folder, target):
        return
    record = read_record(folder)
    bases = {str(history.basis) for history in record.histories.values()}
    arrays: dict[str, Any] = {
        "attribution": np.array(record.attribution),
        "origin": np.array(str(folder.absolute())),
        "basis": np.array(bases.pop()),
    }
    for name, history in record.histories.items():
        arrays[f"{name}/start_s"] = np.array(history.start.timestamp())
        arrays[f"{name}/gco2eq_per_kwh"] = history.gco2eq_per_kwh
    part = target.with_suffix(".part.npz")
    np.savez(part, **arrays)
    part.replace(target)


def _is_of(folder: Path, target: Path) -> bool:
    newest_s = max((file.stat().st_mtime for file in folder.iterdir()), default=0.0)
    with np.load(target) as file:
        is_same = str(file["origin"]) == str(folder.absolute())
    return is_same and target.stat().st_mtime > newest_s


def _attribution(folder: Path) -> str:
    """Return whose hours these are, as the folder says; else its name."""
    file = folder / ATTRIBUTION
    if file.exists():
        return file.read_text(encoding="utf-8").partition("\n")[0].strip()
    readme = folder / "README.md"
    if readme.exists() and _PUBLISHER in readme.read_text(encoding="utf-8"):
        return _PUBLISHER
    return f"folder {folder.name}"
