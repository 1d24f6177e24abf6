"""What the columns of a CSV file of recorded hours mean. Pure.

Electricity Maps' yearly exports come with two headers, by the date of their release, and in
several spellings; other files have `zone,datetime_utc,carbon_intensity` and what follows.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from forecaster.series import Basis

UNIT = "gco2eq/kwh"
_UNIT_SHOWN = "gCO2eq/kWh"
_FOUND_UNIT = re.compile(r"(?<![a-z0-9])((?:[a-zµ]{1,5} ?)?co2(?:eq?)?\.? ?/ ?[a-z]+)")
_SAME_UNITS = frozenset({UNIT, "gco2e/kwh", "gco2/kwh", "kgco2eq/mwh", "kgco2e/mwh"})
"""Spellings of the same number; kg per MWh are g per kWh."""


class HistoryFileError(ValueError):
    """A file of recorded hours cannot be used; the message names the file and the line."""


class Release(StrEnum):
    """Which header a file has. Two releases of the same hours differ in level."""

    OLDER = "older export (LCA, Low Carbon Percentage)"
    NEWER = "newer export (Life cycle, CFE%)"
    PLAIN = "plain (zone, datetime_utc, carbon_intensity)"


@dataclass(frozen=True, slots=True)
class Layout:
    """Where to find what in a row; `None` where the file does not have it."""

    release: Release
    cells: int
    """Cells of every row."""
    time: int
    grid_zone: int
    intensity: int
    """Of the basis that was asked for."""
    lifecycle: int | None
    direct: int | None
    estimated: int | None
    source: int | None
    """Who compiled the file (plain layout)."""


def find_layout(header: list[str], *, basis: Basis, place: str) -> Layout:
    """Find the columns by their meaning, whatever their case, spelling and release.

    Raises:
        HistoryFileError: If one is missing (names all that are), there twice, or in
            another unit.
    """
    names = [_plain_name(name) for name in header]
    found = {
        what: [i for i, name in enumerate(names) if matches(name)]
        for what, matches in _MEANINGS.items()
    }
    wanted = str(basis)
    needed = {"time": "time (UTC)", "zone": "zone id", wanted: f"carbon intensity ({basis})"}
    missing = [shown for what, shown in needed.items() if not found.get(what)]
    if missing:
        raise HistoryFileError(
            f"{place}: expected a column for each of {', '.join(needed.values())}; no column for"
            f" {', '.join(missing)} among {', '.join(header) or 'none'}"
        )
    doubled = [needed[what] for what in needed if len(found[what]) > 1]
    if doubled:
        raise HistoryFileError(
            f"{place}: expected one column for each of {', '.join(needed.values())}, found several"
            f" for {', '.join(doubled)}; remove the others"
        )
    _check_unit(names[found[wanted][0]], place=place)
    first = {what: columns[0] if columns else None for what, columns in found.items()}
    return Layout(
        release=_release(names),
        cells=len(header),
        time=found["time"][0],
        grid_zone=found["zone"][0],
        intensity=found[wanted][0],
        lifecycle=first["lifecycle"],
        direct=first["direct"],
        estimated=first["estimated"],
        source=first["source"],
    )


def _plain_name(name: str) -> str:
    """Return the name in lower case, `₂` as `2`, blanks single, without a byte-order mark."""
    return " ".join(unicodedata.normalize("NFKC", name).replace("\ufeff", "").lower().split())


def _is_intensity(name: str) -> bool:
    return name.replace("_", " ").startswith("carbon intensity")


_MEANINGS: dict[str, Callable[[str], bool]] = {
    "time": lambda name: name in {"datetime (utc)", "datetime_utc"},
    "zone": lambda name: name in {"zone id", "zone_id", "zone"},
    "lifecycle": lambda name: (
        _is_intensity(name)
        and ("lca" in name or "life cycle" in name or "lifecycle" in name or "direct" not in name)
    ),
    "direct": lambda name: _is_intensity(name) and "direct" in name,
    "estimated": lambda name: name.replace("_", " ") == "data estimated",
    "source": lambda name: name == "source_id",
}


def _release(names: list[str]) -> Release:
    if "datetime_utc" in names:
        return Release.PLAIN
    is_older = any("lca" in name or "low carbon" in name for name in names)
    return Release.OLDER if is_older else Release.NEWER


def _check_unit(name: str, *, place: str) -> None:
    """Refuse a column that says another unit; one that says none may have the right one."""
    unit = _FOUND_UNIT.search(name.replace("carbon intensity", "").strip())
    if unit is not None and unit[1].replace(" ", "").replace(".", "") not in _SAME_UNITS:
        raise HistoryFileError(
            f"{place}: expected {_UNIT_SHOWN}, found a column in {unit[1]!r} ({name!r});"
            " convert it and mend the header"
        )
