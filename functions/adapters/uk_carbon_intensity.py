"""Reads Great Britain's generation by kind from NESO's Carbon Intensity API. Pure.

`/generation/{from}/{to}` answers `{"data": [{"from", "to", "generationmix": [{"fuel",
"perc"}]}]}` by half hours. Data: NESO, CC BY 4.0. Its own intensity is not used: that is
neither life cycle nor comparable with other countries'.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import groupby

from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from functions.adapters.emission_factors import Kind
from functions.adapters.energy_charts import Mix
from functions.errors import IntensityUnavailableError
from vm_runtime.contract.codec import explain

GRID_ZONE = "GB"
IMPORTS = "imports"
"""Of other countries' generation: production-based accounting leaves it out."""
KINDS: dict[str, Kind] = {
    "biomass": Kind.BIOMASS,
    "coal": Kind.COAL,
    "gas": Kind.GAS,
    "hydro": Kind.HYDRO,
    "nuclear": Kind.NUCLEAR,
    "oil": Kind.OIL,
    "other": Kind.UNKNOWN,
    "solar": Kind.SOLAR,
    "wind": Kind.WIND_ONSHORE,
}
HALF_HOUR = timedelta(minutes=30)
PERCENT_OFF = 2.0
"""By how much rounded shares may miss 100 %; NESO rounds each to 0.1."""


class _Share(BaseModel):
    fuel: str
    perc: float | None = Field(ge=0, le=100)


class _HalfHour(BaseModel):
    begin: AwareDatetime = Field(alias="from")
    generationmix: list[_Share]


class _Answer(BaseModel):
    data: list[_HalfHour]


def read_mixes(body: bytes, *, before: datetime) -> Iterator[Mix]:
    """Return the mix of each whole hour that starts before `before`, ascending, in percent.

    Raises:
        IntensityUnavailableError: not an answer of this form, or with an unknown fuel.
    """
    try:
        answer = _Answer.model_validate_json(body)
    except ValidationError as error:
        raise IntensityUnavailableError(
            f"NESO, GB: expected JSON with half hours of generation: {explain(error)[:500]}."
        ) from error
    halves = {half.begin.astimezone(UTC): _mix(half) for half in answer.data}
    whole = [(begin, mix) for begin, mix in sorted(halves.items()) if mix is not None]
    return _hourly(whole, before)


def _mix(half: _HalfHour) -> dict[Kind, float] | None:
    """Return the shares of generation, `None` if one is missing or they are not all."""
    shares = {share.fuel: share.perc for share in half.generationmix}
    unknown = shares.keys() - KINDS.keys() - {IMPORTS}
    if unknown:
        raise IntensityUnavailableError(
            f"NESO, GB: expected fuels that are known, found {', '.join(sorted(unknown))}."
            " Nothing of it was stored; a newer version of SmartScheduler may know it."
        )
    known = {fuel: share for fuel, share in shares.items() if share is not None}
    if len(known) < len(shares) or abs(sum(known.values()) - 100) > PERCENT_OFF:
        return None
    return {KINDS[fuel]: share for fuel, share in known.items() if fuel != IMPORTS}


def _hourly(halves: list[tuple[datetime, dict[Kind, float]]], before: datetime) -> Iterator[Mix]:
    for hour, group in groupby(halves, key=lambda half: half[0].replace(minute=0)):
        mixes = [mix for _, mix in group]
        if hour < before and len(mixes) * HALF_HOUR == timedelta(hours=1):
            kinds = {kind for mix in mixes for kind in mix}
            yield hour, {kind: sum(mix.get(kind, 0.0) for mix in mixes) / 2 for kind in kinds}
