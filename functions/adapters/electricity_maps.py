"""The port `IntensitySource` on the API of Electricity Maps (v4, or v3 by its base URL)."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from pydantic import SecretStr

from forecaster.series import HOUR, IntensityHour
from functions.adapters.electricity_maps_answer import Access, read_access, read_hours
from functions.adapters.patient_get import NoAnswerError, PatientGet, RefusedError
from functions.errors import IntensityUnavailableError

_LOG = logging.getLogger(__name__)

HISTORY, PAST_RANGE = "carbon-intensity/history", "carbon-intensity/past-range"
LOOKBACK = timedelta(hours=168)
"""What the forecaster looks at; `past-range` gives at most ten days of hours."""
ACCESS_LASTS = timedelta(hours=24)
"""What a key may do changes with the plan, seldom."""
ASK_ACCESS_AGAIN = timedelta(minutes=30)
"""If it could not be learned."""

_DENIED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}


class IntensityRefusedError(IntensityUnavailableError):
    """The API refuses: key, plan, zone or address; asking again at once does not help.

    Of the port's kind, not a permanent error: one zone that is not in the plan must not keep
    the others from their forecasts.
    """


@dataclass(frozen=True, slots=True)
class _Known:
    """What the key may do, as far as it could be learned."""

    access: Access | None
    until: datetime


class ElectricityMaps:
    """Recent hourly life-cycle intensity of a grid zone; safe to call from many threads."""

    def __init__(
        self,
        *,
        base_url: str,
        key: SecretStr,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Take the API's address, such as `https://api.electricitymaps.com/v4`, and the key.

        The key is looked at when it is needed: functions that never ask need none.
        """
        # A secret made with `echo` ends in a line feed.
        self._key = SecretStr(key.get_secret_value().strip())
        self._base_url = base_url.rstrip("/")
        self._get = PatientGet(secret=self._key, carried_in="auth-token", sleep=sleep)
        self._get_once = PatientGet(
            secret=self._key, carried_in="auth-token", attempts=1, sleep=sleep
        )
        self._asking = threading.Lock()
        self._known: _Known | None = None

    @property
    def name(self) -> str:
        """Source and basis as printed beside numbers."""
        return "Electricity Maps (electricitymaps.com), life-cycle average"

    def recent_hours(self, grid_zone: str, now: datetime) -> Sequence[IntensityHour]:
        """Return the hours before the one that `now` is in, ascending.

        A week of them where the key may ask for a range, else what `history` gives, about 24.

        Raises:
            IntensityUnavailableError: none can be had now; the message says why. It is an
                `IntensityRefusedError` if a person has to do something about it.
        """
        self._check_key()
        before = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        access = self._access(before)
        allowed = access.get(grid_zone) if access is not None else None
        if access is not None and not _allows(allowed, HISTORY):
            having = ", ".join(sorted(z for z in access if _allows(access[z], HISTORY))) or "none"
            raise IntensityRefusedError(
                f"Electricity Maps, {grid_zone}: expected {HISTORY} in your plan, found it for"
                f" {having[:200]}. Widen the plan, or set SMARTSCHEDULER_INTENSITY_SOURCE to"
                " generation_mix, which needs no key."
            )
        if _allows(allowed, PAST_RANGE):
            try:
                return self._past_range(grid_zone, before)
            except IntensityRefusedError as error:
                # What `/zones` promises is not always kept.
                told = {"event": "source_limited"}
                _LOG.warning("%s; asking for the last 24 h instead", error, extra=told)
        return read_hours(self._ask(grid_zone, HISTORY, {}), grid_zone, before=before)

    def _past_range(self, grid_zone: str, before: datetime) -> Sequence[IntensityHour]:
        span = {"start": _time(before - LOOKBACK), "end": _time(before - HOUR)}
        return read_hours(self._ask(grid_zone, PAST_RANGE, span), grid_zone, before=before)

    def _access(self, now: datetime) -> Access | None:
        """Return what the key may ask for, by zone; `None` if that cannot be learned now."""
        with self._asking:
            if self._known is None or self._known.until <= now:
                access = self._probe()
                lasts = ASK_ACCESS_AGAIN if access is None else ACCESS_LASTS
                self._known = _Known(access, now + lasts)
            return self._known.access

    def _probe(self) -> Access | None:
        try:
            return read_access(self._get_once.get(f"{self._base_url}/zones", {}))
        except (NoAnswerError, RefusedError, IntensityUnavailableError) as error:
            _LOG.warning(
                "Electricity Maps: cannot tell what the key may do (%s)",
                error,
                extra={"event": "source_limited"},
            )
            return None

    def _check_key(self) -> None:
        """Refuse a key that no header can hold: the library's own message would show it."""
        key = self._key.get_secret_value()
        if not key or not key.isascii() or not key.isprintable():
            raise IntensityRefusedError(
                "SMARTSCHEDULER_ELECTRICITY_MAPS_KEY: expected printable ASCII characters in one"
                " line, found something else (not shown: it is secret). Store the key anew."
            )

    def _ask(self, grid_zone: str, path: str, span: dict[str, str]) -> bytes:
        who = f"Electricity Maps, {grid_zone}"
        try:
            return self._get.get(f"{self._base_url}/{path}", self._parameters(grid_zone) | span)
        except NoAnswerError as error:
            raise IntensityUnavailableError(
                f"{who}: expected an answer, found {error}. The next tick asks again."
            ) from error
        except RefusedError as error:
            if error.status in _DENIED:
                raise IntensityRefusedError(
                    f"{who}: expected hours, found {error}. Either the key is wrong (check"
                    " SMARTSCHEDULER_ELECTRICITY_MAPS_KEY; a newer key ends an older one) or this"
                    f" zone's {path} is not in your plan (GET /zones with the key lists what is)."
                ) from error
            raise IntensityRefusedError(
                f"{who}: expected HTTP 200 from {self._base_url}, found {error}. Check"
                " SMARTSCHEDULER_ELECTRICITY_MAPS_URL, and that the API still knows the zone."
            ) from error

    def _parameters(self, grid_zone: str) -> dict[str, str]:
        # Without the last one, an unknown zone is answered for the place of the caller.
        v3 = self._base_url.endswith("/v3")
        return {
            "zone": grid_zone,
            "temporalGranularity": "hourly",
            "emissionFactorType": "lifecycle",
        } | ({"shouldUseFallbackCallerLookup": "false"} if v3 else {"disableCallerLookup": "true"})


def _allows(allowed: frozenset[str] | None, path: str) -> bool:
    """Tell whether an entry of `access` covers a path; `*` covers all of its place."""
    if allowed is None:
        return False
    signal = path.partition("/")[0]
    return not allowed.isdisjoint({path, "*", f"{signal}/*"})


def _time(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"
