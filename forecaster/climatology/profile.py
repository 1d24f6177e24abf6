"""Reads and writes the climatology as JSON; the shipped one is `profile.json` beside it."""

import functools
import json
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from forecaster.climatology import HOURS, KINDS_OF_DAY, MONTHS, Climatology
from forecaster.series import Basis

SCHEMA_VERSION = 1
ATTRIBUTION = (
    "Own statistics of hourly carbon intensity by Electricity Maps, electricitymaps.com;"
    " Open Database License (ODbL) 1.0, https://opendatacommons.org/licenses/odbl/1-0/;"
    " this derived database stays under it."
)


class ProfileError(ValueError):
    """A climatology file cannot be used; the message says why."""


@functools.cache
def load_climatology() -> Climatology:
    """Load the climatology that comes with the package.

    Raises:
        ProfileError: If it is missing or damaged.
    """
    file = resources.files("forecaster.climatology") / "profile.json"
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ProfileError(f"expected {file} in the package, found none; reinstall it") from error
    return climatology_from_json(text)


def climatology_to_json(climatology: Climatology, *, note: str) -> str:
    """Write compactly: one decimal below 100 gCO2eq/kWh and for spreads, else none.

    Args:
        climatology: What to write.
        note: What a reader must know about the data, such as a grid zone with one year only.
    """
    zones = {
        grid_zone: {
            "recorded": climatology.spans.get(grid_zone, ""),
            "autocorrelation": round(float(climatology.autocorrelation[row]), 4),
            "correlation": [round(float(value), 3) for value in climatology.correlation[row]],
            "mean": [_short(value) for value in climatology.mean[row].reshape(-1)],
            "spread": [round(float(value), 1) or 0.1 for value in climatology.spread[row].flat],
        }
        for row, grid_zone in enumerate(climatology.grid_zones)
    }
    head = {
        "schema_version": SCHEMA_VERSION,
        "attribution": ATTRIBUTION,
        "note": note,
        "unit": "gCO2eq/kWh",
        "basis": str(climatology.basis),
        "order": "month, workday then weekend (Saturday and Sunday, UTC), hour UTC",
    }
    lines = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    rows = [
        f"  {json.dumps(zone)}: {json.dumps(value, separators=(',', ':'))}"
        for zone, value in zones.items()
    ]
    joined = ",\n".join(rows)
    lines.append(f' "zones": {{\n{joined}\n }}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def climatology_from_json(text: str) -> Climatology:
    """Read what `climatology_to_json` wrote.

    Raises:
        ProfileError: If it is not of that form.
    """
    try:
        loaded: dict[str, Any] = json.loads(text)
        if loaded["schema_version"] != SCHEMA_VERSION:
            raise ProfileError(
                f"climatology: expected schema version {SCHEMA_VERSION},"
                f" found {loaded['schema_version']}; compute it again"
            )
        zones: dict[str, dict[str, Any]] = loaded["zones"]
        shape = (len(zones), MONTHS, KINDS_OF_DAY, HOURS)
        return Climatology(
            grid_zones=tuple(zones),
            mean=np.array([zone["mean"] for zone in zones.values()], dtype=float).reshape(shape),
            spread=np.array([zone["spread"] for zone in zones.values()], dtype=float).reshape(
                shape
            ),
            autocorrelation=np.array([zone["autocorrelation"] for zone in zones.values()]),
            correlation=np.array([zone["correlation"] for zone in zones.values()]).reshape(
                len(zones), len(zones)
            ),
            basis=Basis(loaded["basis"]),
            spans={name: zone["recorded"] for name, zone in zones.items()},
        )
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise ProfileError(f"climatology: expected its JSON form, found {error!r}") from error


def write_profile(path: Path, climatology: Climatology, *, note: str) -> None:
    """Write the climatology to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(climatology_to_json(climatology, note=note), encoding="utf-8")


def _short(value: float) -> float:
    return round(float(value), 1) if value < 100 else round(float(value))  # noqa: PLR2004 - said above
