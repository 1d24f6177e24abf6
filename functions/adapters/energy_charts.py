"""Reads generation by kind from Energy-Charts (Fraunhofer ISE), `/public_power`. Pure.

The answer is `{"unix_seconds": [...], "production_types": [{"name", "data": [MW or null]}]}`,
in steps of 15, 30 or 60 minutes (API 1.4). Data: CC BY 4.0, energy-charts.info.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from functions.adapters.emission_factors import Kind
from functions.errors import IntensityUnavailableError
from vm_runtime.contract.codec import explain

COUNTRIES = {
    "BE": "be",
    "CH": "ch",
    "DE": "de",
    "ES": "es",
    "FI": "fi",
    "FR": "fr",
    "NL": "nl",
    "PL": "pl",
}
"""Grid zones that are whole countries there. Not IT-NO: `it` is all of Italy."""

KINDS: dict[str, Kind] = {
    "biomass": Kind.BIOMASS,
    "fossil brown coal / lignite": Kind.LIGNITE,
    "fossil coal-derived gas": Kind.COAL_GAS,
    "fossil gas": Kind.GAS,
    "fossil hard coal": Kind.COAL,
    "fossil oil": Kind.OIL,
    "fossil oil shale": Kind.LIGNITE,
    "fossil peat": Kind.PEAT,
    "geothermal": Kind.GEOTHERMAL,
    "hydro run-of-river": Kind.HYDRO,
    "hydro water reservoir": Kind.HYDRO,
    "marine": Kind.MARINE,
    "nuclear": Kind.NUCLEAR,
    "other renewables": Kind.OTHER_RENEWABLE,
    "others": Kind.UNKNOWN,
    "solar": Kind.SOLAR,
    "waste": Kind.WASTE,
    "wind offshore": Kind.WIND_OFFSHORE,
    "wind onshore": Kind.WIND_ONSHORE,
}
"""By their names there, in lower case."""

STORED = ("pumped storage", "battery", "energy storage")
"""Electricity from stores was counted when it was generated."""
NO_GENERATION = ("load", "share", "trading", "consumption", "import", "export")
"""Words of the names of what is no generation."""

_HOUR_S = 3600

Mix = tuple[datetime, dict[Kind, float]]
"""Begin of an hour (UTC), and mean power by kind, MW."""


class _Type(BaseModel):
    name: str
    data: list[float | None]


class _Answer(BaseModel):
    unix_seconds: list[int]
    production_types: list[_Type]


def read_mixes(body: bytes, grid_zone: str, *, before: datetime) -> Iterator[Mix]:
    """Return the mix of each whole hour that starts before `before`, ascending.

    An hour in which one kind is not published yet is left out: a mix without its gas would
    look clean. A kind without any value in the answer is one that the country does not have.

    Raises:
        IntensityUnavailableError: not an answer of this form, or with a kind of generation
            that is not known here.
    """
    who = f"Energy-Charts, {grid_zone}"
    try:
        answer = _Answer.model_validate_json(body)
    except ValidationError as error:
        raise IntensityUnavailableError(
            f"{who}: expected JSON with unix_seconds and production_types: {explain(error)[:500]}."
        ) from error
    times = np.array(answer.unix_seconds, dtype=np.int64)
    if any(len(each.data) != len(times) for each in answer.production_types):
        raise IntensityUnavailableError(f"{who}: expected one value per time, found other lengths.")
    power_mw = _by_kind(answer.production_types, who)
    if not power_mw or len(times) < 2 or (np.diff(times) <= 0).any():  # noqa: PLR2004 - a step
        raise IntensityUnavailableError(f"{who}: expected ascending times of generation.")
    return _hourly(times, power_mw, before)


def _by_kind(types: list[_Type], who: str) -> dict[Kind, NDArray[np.float64]]:
    found: dict[Kind, NDArray[np.float64]] = {}
    for each in types:
        name = each.name.strip().lower()
        if any(word in name for word in (*STORED, *NO_GENERATION)):
            continue
        if name not in KINDS:
            raise IntensityUnavailableError(
                f"{who}: expected kinds of generation that are known, found {each.name!r}."
                " Nothing of it was stored; a newer version of SmartScheduler may know it."
            )
        values = np.array(each.data, dtype=np.float64)
        if np.isnan(values).all():
            continue
        kind = KINDS[name]
        found[kind] = found.get(kind, np.zeros(len(values))) + np.maximum(values, 0)
    return found


def _hourly(
    times: NDArray[np.int64], power_mw: dict[Kind, NDArray[np.float64]], before: datetime
) -> Iterator[Mix]:
    """Average whole hours in which each kind has each of its steps."""
    step_s = int(np.diff(times).min())
    whole = np.isfinite(np.stack(list(power_mw.values()))).all(axis=0)
    for hour in np.unique(times // _HOUR_S):
        begin = datetime.fromtimestamp(int(hour) * _HOUR_S, UTC)
        among = (times // _HOUR_S == hour) & whole
        if begin < before and among.sum() * step_s == _HOUR_S:
            yield begin, {kind: float(values[among].mean()) for kind, values in power_mw.items()}
