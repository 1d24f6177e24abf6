"""Gathers Electricity Maps' yearly exports in one folder: one file per grid zone, and a note.

The folder has `<ZONE>.csv.gz` in the plain layout that `forecaster.history` reads, and
`imports.json`: which files it was made from, their sha256 and their release. Importing a file
again changes nothing; importing a longer export of the same year adds its hours.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from forecaster.history import HistoryFileError
from forecaster.layouts import Release
from forecaster.recording import Recording, read_file
from forecaster.series import document
from forecaster.zone_file import (
    ATTRIBUTION,
    Hours,
    cells_of,
    read_zone_file,
    replace_file,
    time_of,
    write_zone_file,
)

NOTE = "imports.json"
SOURCES = {
    Release.OLDER: "electricity-maps-export-older",
    Release.NEWER: "electricity-maps-export-newer",
}
"""What `source_id` says of each release: they differ in level, so a series has only one."""
_YES, _NO = frozenset({"true", "1"}), frozenset({"false", "0"})


@document
class Imported:
    """One file that was imported."""

    name: str
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    grid_zone: str
    release: Release
    hours: int
    """Hours in it, with or without a value."""
    first_utc: str
    last_utc: str


@document
class ImportNote:
    """What a folder was made from."""

    files: tuple[Imported, ...] = ()
    attribution: str = "Electricity Maps, electricitymaps.com (ODbL 1.0)"
    schema_version: Literal[1] = 1


_NOTE = TypeAdapter(ImportNote)


def import_files(
    paths: Sequence[Path],
    folder: Path,
    *,
    replace: bool = False,
    on_file: Callable[[Path, str], None] = lambda _path, _what: None,
) -> ImportNote:
    """Add yearly exports to `folder`; nothing is written before all of them have been read.

    Args:
        paths: Yearly CSV exports, plain or gzipped, of any grid zones and either header.
        folder: Is made if it is not there.
        replace: Let a later value of an hour replace the earlier one; else it is refused.
        on_file: Called with each file and what was done with it.

    Raises:
        HistoryFileError: If a file is wrong, no export, of another release than the grid
            zone's others, or has another value of an hour that is there already.
    """
    note = read_note(folder)
    known = {each.sha256 for each in note.files}
    zones: dict[str, Hours] = {}
    files = list(note.files)
    for path in paths:
        recording = read_file(path)
        imported = _describe(recording)
        if imported.sha256 in known:
            on_file(path, "imported before, nothing to do")
            continue
        _check_release(imported, files)
        zone = imported.grid_zone
        hours = zones.setdefault(zone, read_zone_file(folder, zone)[0])
        added = _add(hours, recording, replace=replace)
        files.append(imported)
        known.add(imported.sha256)
        on_file(path, f"{added} new hours of {zone}, {imported.release}")
    if len(files) > len(note.files):
        folder.mkdir(parents=True, exist_ok=True)
        for zone, hours in zones.items():
            release = next(each.release for each in files if each.grid_zone == zone)
            write_zone_file(folder, zone, hours, source=SOURCES[release])
        note = ImportNote(files=tuple(files))
        text = json.dumps(_NOTE.dump_python(note, mode="json"), indent=1)
        replace_file(folder / ATTRIBUTION, f"{note.attribution}\n".encode())
        replace_file(folder / NOTE, f"{text}\n".encode())
    return note


def read_note(folder: Path) -> ImportNote:
    """Return what a folder was made from; nothing if it has no note.

    Raises:
        HistoryFileError: If its note cannot be read.
    """
    path = folder / NOTE
    if not path.exists():
        return ImportNote()
    try:
        return _NOTE.validate_json(path.read_bytes())
    except ValidationError as error:
        raise HistoryFileError(
            f"{path}: expected the note of an import, schema version 1; import into another"
            f" folder: {error}"
        ) from error


def _describe(recording: Recording) -> Imported:
    if recording.release not in SOURCES:
        raise HistoryFileError(
            f"{recording.path.name}: expected a yearly export of Electricity Maps, found the"
            " plain layout, which needs no import: put it into a folder as it is"
        )
    first, last = recording.epoch_hours.min(), recording.epoch_hours.max()
    return Imported(
        name=recording.path.name,
        sha256=hashlib.sha256(recording.path.read_bytes()).hexdigest(),
        grid_zone=str(recording.grid_zones[0]),
        release=recording.release,
        hours=len(recording.epoch_hours),
        first_utc=time_of(int(first)),
        last_utc=time_of(int(last)),
    )


def _check_release(imported: Imported, files: Iterable[Imported]) -> None:
    for other in files:
        if other.grid_zone == imported.grid_zone and other.release is not imported.release:
            raise HistoryFileError(
                f"{imported.name}: expected the release of {other.name}, {other.release}, found"
                f" {imported.release}: releases differ in level by up to 45 g. Import all years"
                " of one release, or into another folder"
            )


def _add(hours: Hours, recording: Recording, *, replace: bool) -> int:
    """Put a file's hours among those that are known; return how many are new or changed."""
    before, added, own = dict(hours), 0, set[int]()
    for row, hour in enumerate(map(int, recording.epoch_hours)):
        if hour in own:
            raise HistoryFileError(
                f"{recording.place(row)}: expected each hour once, found {time_of(hour)} again;"
                " remove one"
            )
        own.add(hour)
        cells = _cells(recording, row)
        if before.get(hour, cells) != cells and not replace:
            raise HistoryFileError(
                f"{recording.place(row)}: expected {before[hour]!r} of {time_of(hour)}, which was"
                f" imported before, found {cells!r}: it was revised. Take the new values with"
                " --replace, or import into another folder"
            )
        added += before.get(hour) != cells
        hours[hour] = cells
    return added


def _cells(recording: Recording, row: int) -> str:
    """Return life cycle, direct and estimated, as the plain layout has them."""
    columns, layout = recording.columns, recording.layout
    direct = "" if layout.direct is None else columns[layout.direct][row].strip()
    said = "" if layout.estimated is None else columns[layout.estimated][row].strip().lower()
    estimated = True if said in _YES else False if said in _NO else None
    value = float(recording.gco2eq_per_kwh[row])
    return cells_of(value, direct=direct, estimated=estimated)
