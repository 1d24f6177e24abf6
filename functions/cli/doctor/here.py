"""Checks of this machine and its settings: no cloud, no credentials."""

import os
import sys
from importlib import metadata
from re import match

from functions.cli.config import KEYS, value_of
from functions.cli.doctor.findings import Finding, bad, good, skipped, warning
from functions.errors import InvalidInputError

_NEEDED = {
    "functions": ("google-cloud-storage", "google-cloud-compute", "requests", "torch"),
    "vm": ("lightning", "torch"),
    "demo": ("matplotlib", "plotly", "scikit-learn"),
}
_PYTHON = 3, 11


def check_python() -> Finding:
    """Whether Python is new enough."""
    found = f"Python {sys.version.split()[0]}"
    if sys.version_info < _PYTHON:
        return bad("python", found, "install Python 3.11 or newer and make a new environment")
    return good("python", found)


def check_packages() -> Finding:
    """Which packages of the extras are there, and whether any is older than what is asked for."""
    versions = {name: _version(name) for extra in _NEEDED.values() for name in extra}
    missing = {
        extra for extra, names in _NEEDED.items() if any(versions[name] is None for name in names)
    }
    told = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    old = [name for name, least in _least().items() if _is_older(versions.get(name), least)]
    if old:
        names = " ".join(f"'{name}>={_least()[name]}'" for name in old)
        return bad("packages", f"too old: {', '.join(old)}", f"pip install {names}")
    if missing:
        extras = ",".join(sorted(missing))
        return warning(
            "packages",
            f"extras not complete: {extras}; there: {told or 'none'}",
            f"pip install 'smartscheduler[{extras}]'",
        )
    return good("packages", told)


def check_settings() -> Finding:
    """Where bucket, project and location come from."""
    try:
        values = [value_of(key) for key in KEYS]
    except InvalidInputError as error:
        return bad("settings", str(error), "mend or remove that file")
    told = "; ".join(f"{v.key} {v.value} ({v.origin})" for v in values if v.value)
    if not told:
        return warning(
            "settings",
            "no bucket, project or location is set",
            'write bucket = "gs://NAME" and project = "ID" into smartscheduler.toml',
        )
    return good("settings", told)


def check_key() -> Finding:
    """Whether this machine has a key for carbon intensity; the deployment has its own."""
    if os.environ.get("SMARTSCHEDULER_ELECTRICITY_MAPS_KEY", "").strip():
        return good("key here", "SMARTSCHEDULER_ELECTRICITY_MAPS_KEY is set (sources, forecast)")
    return skipped(
        "key here",
        "no key of Electricity Maps on this machine: `sources` and `forecast --live` ask sources"
        " without a key, for nine grid zones",
    )


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _least() -> dict[str, str]:
    """Return the oldest version of each package that our own metadata allow."""
    try:
        lines = metadata.requires("smartscheduler") or []
    except metadata.PackageNotFoundError:
        return {}
    found = (match(r"([\w.-]+)\s*>=\s*([\d.]+)", line) for line in lines)
    return {each[1]: each[2] for each in found if each}


def _is_older(version: str | None, least: str) -> bool:
    return version is not None and _numbers(version) < _numbers(least)


def _numbers(version: str) -> tuple[int, ...]:
    found = match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()
