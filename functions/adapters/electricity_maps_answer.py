"""Reads an answer of Electricity Maps. Pure: bytes in, hours out."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, TypeAlias

from pydantic import AliasChoices, AwareDatetime, BaseModel, Field, TypeAdapter, ValidationError

from forecaster.series import Basis, IntensityHour
from functions.errors import IntensityUnavailableError
from vm_runtime.contract.codec import explain

_LOG = logging.getLogger(__name__)


class _Row(BaseModel):
    """One hour as the API says it; what it may leave out is optional."""

    datetime: AwareDatetime
    carbon_intensity: float | None = Field(default=None, alias="carbonIntensity")
    is_estimated: bool | None = Field(default=None, alias="isEstimated")
    estimation_method: str | None = Field(default=None, alias="estimationMethod")
    emission_factor_type: str | None = Field(default=None, alias="emissionFactorType")
    zone: str | None = None


class _Zone(BaseModel):
    """What the API says of a zone; without a key it does not say what one may ask for."""

    access: list[str] | None = None


Access: TypeAlias = dict[str, frozenset[str]]
"""By zone, what a key may ask for: `signal/temporality`."""

_ZONES = TypeAdapter(dict[str, _Zone])


class _Answer(BaseModel):
    """A list of hours; its name differs between signals and versions."""

    zone: str
    temporal_granularity: str | None = Field(default=None, alias="temporalGranularity")
    rows: list[dict[str, Any]] = Field(validation_alias=AliasChoices("history", "data", "forecast"))


def read_access(body: bytes) -> Access:
    """Return what a key may ask for, by zone; only zones for which the answer says so.

    Raises:
        IntensityUnavailableError: not a list of zones, or it says of none what is allowed.
    """
    try:
        zones = _ZONES.validate_json(body)
    except ValidationError as error:
        raise IntensityUnavailableError(
            f"Electricity Maps, zones: expected JSON with zones: {explain(error)[:300]}."
        ) from error
    access = {
        name: frozenset(zone.access) for name, zone in zones.items() if zone.access is not None
    }
    if not access:
        raise IntensityUnavailableError("Electricity Maps, zones: expected access, found none.")
    return access


def read_hours(body: bytes, grid_zone: str, *, before: datetime) -> list[IntensityHour]:
    """Return the hours of an answer that start before `before`, ascending.

    Null and missing values are left out, never taken for 0.

    Raises:
        IntensityUnavailableError: not an answer for this zone, hourly and life-cycle, or no
            hour in it.
    """
    who = f"Electricity Maps, {grid_zone}"
    try:
        answer = _Answer.model_validate_json(body)
    except ValidationError as error:
        raise IntensityUnavailableError(
            f"{who}: expected JSON with a zone and a list of hours: {explain(error)[:500]}."
        ) from error
    rows = list(_rows(answer, who))
    _check(answer, rows, grid_zone)
    found = {hour.start: hour for hour in _hours(rows, who) if hour.start < before}
    if not found:
        raise IntensityUnavailableError(
            f"{who}: expected hours before {before:%Y-%m-%d %H:%M} UTC, found none among"
            f" {len(answer.rows)} row(s). The zone may be published late; the next tick asks again."
        )
    return [found[start] for start in sorted(found)]


def _rows(answer: _Answer, who: str) -> Iterator[_Row]:
    for row in answer.rows:
        try:
            yield _Row.model_validate(row)
        except ValidationError as error:
            told = {"event": "hour_left_out"}
            _LOG.warning("%s: left out a row: %s", who, explain(error)[:300], extra=told)


def _check(answer: _Answer, rows: list[_Row], grid_zone: str) -> None:
    """Refuse an answer about something else than was asked: series are never mixed.

    An unknown zone can be answered, with a valid body, for the place of the caller.
    """
    zones = {answer.zone, *(row.zone for row in rows)} - {None, grid_zone}
    bases = {row.emission_factor_type for row in rows} - {None, Basis.LIFECYCLE.value}
    steps = {answer.temporal_granularity} - {None, "hourly"}
    steps |= {str(row.datetime) for row in rows if not _is_full_hour(row.datetime)}
    for what, expected, others in (
        ("zone", grid_zone, zones),
        ("emissionFactorType", Basis.LIFECYCLE.value, bases),
        ("hours", "full ones", steps),
    ):
        if others:
            found = ", ".join(sorted(str(other) for other in others)[:3])
            raise IntensityUnavailableError(
                f"Electricity Maps, {grid_zone}: expected {what} {expected}, found {found}."
                " Nothing of it was stored."
            )


def _is_full_hour(time: datetime) -> bool:
    utc = time.astimezone(UTC)
    return not (utc.minute or utc.second or utc.microsecond)


def _hours(rows: list[_Row], who: str) -> Iterator[IntensityHour]:
    for row in rows:
        if row.carbon_intensity is None:
            continue
        method = row.estimation_method
        try:
            yield IntensityHour(
                start=row.datetime,
                gco2eq_per_kwh=row.carbon_intensity,
                estimated=bool(method) if row.is_estimated is None else row.is_estimated,
            )
        except ValidationError as error:
            _LOG.warning(
                *("%s: left out %s: %s", who, row.datetime, explain(error)[:300]),
                extra={"event": "hour_left_out"},
            )
