"""`sources`: what the source of carbon intensity gives now, and its hours as CSV files."""

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from forecaster.features import epoch_hour
from forecaster.series import HOUR, IntensityHour
from forecaster.zone_file import (
    ATTRIBUTION,
    cells_of,
    read_zone_file,
    replace_file,
    write_zone_file,
)
from functions.bootstrap import intensity_source
from functions.cli.commands.sources import Source
from functions.cli.suggest import known_zones
from functions.errors import IntensityUnavailableError, InvalidInputError
from functions.ports import IntensitySource
from functions.settings import PREFIX, read_deployment

_SETTINGS = (
    "ELECTRICITY_MAPS_KEY",
    "ELECTRICITY_MAPS_URL",
    "ENERGY_CHARTS_URL",
    "UK_CARBON_INTENSITY_URL",
)

Found = dict[str, Sequence[IntensityHour] | str]
"""By grid zone: its hours, or why there are none."""


def ask_sources(
    zones: Sequence[str] | None, *, source: Source | None, save: Path | None, as_json: bool
) -> None:
    """Ask, and print or save what was answered.

    Raises:
        InvalidInputError: a grid zone is unknown, a setting is wrong, or a file to add to is.
    """
    wanted = known_zones(zones or ())
    asked = chosen_source(source)
    with Console(stderr=True).status("asking, and again where it does not answer ..."):
        found = ask_all(asked, wanted, datetime.now(UTC))
    if save is not None:
        _save(save, asked.name, found)
    if as_json:
        typer.echo(json.dumps(_figures(asked.name, found), indent=1))
        return
    _show(asked.name, found)


def _show(name: str, found: Found) -> None:
    """Print a table of what there is, and below it a paragraph on each grid zone without."""
    table = Table(title=name, box=SIMPLE_HEAD, caption="gCO2eq/kWh; times are UTC")
    for heading in ("grid zone", "hours", "newest until", "newest", "estimated"):
        table.add_column(heading)
    for zone, hours in found.items():
        if not isinstance(hours, str):
            table.add_row(zone, *_row(hours))
    console = Console()
    if table.rows:
        console.print(table)
    for hours in found.values():
        if isinstance(hours, str):
            console.print(hours, markup=False, highlight=False, soft_wrap=True)


def chosen_source(wanted: Source | None) -> IntensitySource:
    """Return the source that is wanted, from the settings that concern it."""
    key = os.environ.get(f"{PREFIX}ELECTRICITY_MAPS_KEY", "").strip()
    chosen = os.environ.get(f"{PREFIX}INTENSITY_SOURCE")
    if wanted is None and chosen is None:
        wanted = Source.ELECTRICITY_MAPS if key else Source.GENERATION_MIX
    names = [PREFIX + name for name in _SETTINGS]
    environment = {name: os.environ[name] for name in names if name in os.environ} | {
        # Neither bucket nor project is needed to ask.
        f"{PREFIX}BUCKET": "file:///none",
        f"{PREFIX}CLOUD": "http://127.0.0.1:1",
        f"{PREFIX}INTENSITY_SOURCE": str(wanted or chosen),
    }
    return intensity_source(read_deployment(environment).settings)


def ask_all(source: IntensitySource, zones: Sequence[str], now: datetime) -> Found:
    """Ask for all grid zones at once; where there are no hours, say why."""

    def ask(zone: str) -> Sequence[IntensityHour] | str:
        try:
            return source.recent_hours(zone, now)
        except IntensityUnavailableError as error:
            return str(error)

    with ThreadPoolExecutor(len(zones)) as pool:
        return dict(zip(zones, pool.map(ask, zones), strict=True))


def _save(folder: Path, source: str, found: Found) -> None:
    """Add hours to the files of a folder; a later value of an hour replaces the earlier one.

    Raises:
        InvalidInputError: if a file there is of another source.
    """
    folder.mkdir(parents=True, exist_ok=True)
    source_id = source.replace(",", ";")
    for zone, hours in found.items():
        if isinstance(hours, str):
            continue
        stored, stored_source = read_zone_file(folder, zone)
        if stored and stored_source != source_id:
            raise InvalidInputError(
                f"{folder / zone}.csv.gz: expected hours of {source_id!r}, found"
                f" {stored_source!r}: two sources differ in level. Save into another folder."
            )
        new = {
            epoch_hour(hour.start): cells_of(hour.gco2eq_per_kwh, estimated=hour.estimated)
            for hour in hours
        }
        write_zone_file(folder, zone, stored | new, source=source_id)
    replace_file(folder / ATTRIBUTION, f"{source}\n".encode())


def _row(hours: Sequence[IntensityHour]) -> tuple[str, ...]:
    newest = hours[-1]
    estimated = sum(hour.estimated for hour in hours) / len(hours)
    value, until = f"{newest.gco2eq_per_kwh:.0f}", newest.start + HOUR
    return str(len(hours)), f"{until:%Y-%m-%d %H:%M}", value, f"{estimated:.0%}"


def _figures(name: str, found: Found) -> dict[str, object]:
    return {
        "source": name,
        "unit": "gCO2eq/kWh",
        "zones": {
            zone: {"trouble": hours}
            if isinstance(hours, str)
            else {
                "hours": [
                    {
                        "start": f"{hour.start:%Y-%m-%dT%H:%M:%SZ}",
                        "gco2eq_per_kwh": hour.gco2eq_per_kwh,
                        "estimated": hour.estimated,
                    }
                    for hour in hours
                ]
            }
            for zone, hours in found.items()
        },
    }
