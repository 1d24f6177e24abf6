"""Reads what people write: `12h`, `250W`, `eu`, `2024-01-01`."""

import re
from datetime import UTC, datetime, timedelta

from functions.domain.regions import REGIONS
from functions.errors import InvalidInputError
from functions.near_name import did_you_mean

_MINUTES = {"m": 1, "min": 1, "h": 60, "d": 24 * 60}
_EUROPE = "europe-"


def minutes_of(text: str, *, of: str) -> int:
    """Return a duration such as `12h`, `90m` or `2d`, minutes, above 0.

    Raises:
        InvalidInputError: it is none; the message begins with `of`.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(m|min|h|d)?\s*", text)
    minutes = round(float(found[1]) * _MINUTES[found[2] or "h"]) if found else 0
    if minutes <= 0:
        raise InvalidInputError(f"{of}: expected a duration such as 12h, 90m or 2d, found {text!r}")
    return minutes


def deadline_of(text: str, now: datetime) -> datetime:
    """Return a time with offset, or so long after `now`.

    Raises:
        InvalidInputError: it is neither.
    """
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        try:
            return now + timedelta(minutes=minutes_of(text, of="--deadline"))
        except OverflowError as error:
            raise InvalidInputError(
                f"--deadline: expected a time that a calendar has, found {text!r}. Give an earlier"
                " one."
            ) from error
    if time.tzinfo is None:
        raise InvalidInputError(
            f"--deadline: expected a duration such as 24h, or a time with its offset such as"
            f" {text.strip()}Z, found {text!r}"
        )
    return time


def watts_of(text: str, *, of: str) -> float:
    """Return a power such as `250W` or `1.2kW`, watts, above 0.

    Raises:
        InvalidInputError: it is none; the message begins with `of`.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(w|kw)?\s*", text.lower())
    watts = float(found[1]) * (1000 if found[2] == "kw" else 1) if found else 0.0
    if watts <= 0:
        raise InvalidInputError(f"{of}: expected a power such as 250W or 1.2kW, found {text!r}")
    return watts


def regions_of(text: str, *, of: str) -> tuple[str, ...]:
    """Return the regions of `eu`, `all` or a list of regions or grid zones, in that order.

    Raises:
        InvalidInputError: one is unknown or there twice; the message begins with `of`.
    """
    if text == "all":
        return tuple(REGIONS)
    if text == "eu":
        return tuple(name for name in REGIONS if name.startswith(_EUROPE))
    by_zone = {region.grid_zone: name for name, region in REGIONS.items()}
    wanted = [name for name in re.split(r"[,;\s]+", text.strip()) if name]
    names = [by_zone.get(name, name) for name in wanted]
    wrong = [name for name in names if name not in REGIONS]
    if wrong or not names or len(set(names)) != len(names):
        guess = did_you_mean(wrong[0], (*REGIONS, *by_zone)) if wrong else ""
        raise InvalidInputError(
            f"{of}: expected eu, all, or each once of {', '.join(REGIONS)}, found {text!r}{guess}"
        )
    return tuple(names)


def hour_of(text: str, *, of: str) -> datetime:
    """Return a date or a time as the full hour in UTC at or after it.

    Raises:
        InvalidInputError: it is none; the message begins with `of`.
    """
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise InvalidInputError(
            f"{of}: expected a date or time such as 2024-01-31 or 2024-01-31T08:00Z, found {text!r}"
        ) from error
    time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    seconds = time.minute * 60 + time.second + time.microsecond / 1e6
    whole = time.replace(minute=0, second=0, microsecond=0)
    return whole if not seconds else datetime.fromtimestamp(whole.timestamp() + 3600, UTC)
