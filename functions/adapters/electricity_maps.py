"""The port `IntensitySource` on the API of Electricity Maps (v4, or v3 by its base URL)."""

import logging
import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from http import HTTPStatus

import requests
import tenacity
from pydantic import SecretStr
from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry as RetryAfter

from forecaster.series import IntensityHour
from functions._version import __version__
from functions.adapters.electricity_maps_answer import read_hours
from functions.errors import IntensityUnavailableError

_LOG = logging.getLogger(__name__)

TIMEOUT_S = (3.05, 10.0)
"""To connect, and between two bytes."""
ATTEMPTS = 4
PATIENCE_S = 40.0
"""All attempts and waits together; a `Retry-After` that reaches beyond it ends them at once."""

_DENIED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
_SHOWN = 300
"""Characters of an answer that a message may hold."""


class IntensityRefusedError(IntensityUnavailableError):
    """The API refuses: key, plan, zone or address; asking again at once does not help.

    Of the port's kind, not a permanent error: one zone that is not in the plan must not keep
    the others from their forecasts.
    """


class _AgainError(Exception):
    """An attempt failed in a way that may pass."""

    def __init__(self, trouble: str, wait_s: float = 0.0) -> None:
        """Take what happened and the least wait that the server asked for, seconds."""
        super().__init__(trouble)
        self.wait_s = wait_s


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
        self._sleep = sleep

    @property
    def name(self) -> str:
        """Source and basis as printed beside numbers."""
        return "Electricity Maps (electricitymaps.com), life-cycle average"

    def recent_hours(self, grid_zone: str, now: datetime) -> Sequence[IntensityHour]:
        """Return the hours before the one that `now` is in, about 24 of them, ascending.

        Raises:
            IntensityUnavailableError: none can be had now; the message says why. It is an
                `IntensityRefusedError` if a person has to do something about it.
        """
        self._check_key()
        before = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_AgainError),
            wait=_wait_s,
            stop=tenacity.stop_after_attempt(ATTEMPTS) | tenacity.stop_before_delay(PATIENCE_S),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            body = attempts(self._get, grid_zone)
        except _AgainError as error:
            tries = attempts.statistics["attempt_number"]
            raise IntensityUnavailableError(
                f"Electricity Maps, {grid_zone}: expected an answer, found {error} after {tries}"
                " attempt(s). The next tick asks again."
            ) from error
        return read_hours(body, grid_zone, before=before)

    def _check_key(self) -> None:
        """Refuse a key that no header can hold: the library's own message would show it."""
        key = self._key.get_secret_value()
        if not key or not key.isascii() or not key.isprintable():
            raise IntensityRefusedError(
                "SMARTSCHEDULER_ELECTRICITY_MAPS_KEY: expected printable ASCII characters in one"
                " line, found something else (not shown: it is secret). Store the key anew."
            )

    def _get(self, grid_zone: str) -> bytes:
        try:
            # A session for each attempt: it is not safe to share one among threads, and one
            # request an hour and zone is too few to keep connections for. A redirect is not
            # followed: it would take the key along to another host.
            with requests.Session() as session:
                answer = session.get(
                    f"{self._base_url}/carbon-intensity/history",
                    params=self._parameters(grid_zone),
                    headers={
                        "auth-token": self._key.get_secret_value(),
                        "User-Agent": f"SmartScheduler/{__version__}",
                        "Accept": "application/json",
                    },
                    timeout=TIMEOUT_S,
                    allow_redirects=False,
                )
        except requests.RequestException as error:
            raise _AgainError(self._clean(f"{type(error).__name__}: {error}")) from error
        if answer.status_code != HTTPStatus.OK:
            self._refuse(answer, grid_zone)
        key = self._key.get_secret_value().encode()
        return answer.content.replace(key, b"***")

    def _parameters(self, grid_zone: str) -> dict[str, str]:
        # Without the last one, an unknown zone is answered for the place of the caller.
        v3 = self._base_url.endswith("/v3")
        return {
            "zone": grid_zone,
            "temporalGranularity": "hourly",
            "emissionFactorType": "lifecycle",
        } | ({"shouldUseFallbackCallerLookup": "false"} if v3 else {"disableCallerLookup": "true"})

    def _refuse(self, answer: requests.Response, grid_zone: str) -> None:
        """Raise what a status other than 200 means."""
        status = answer.status_code
        found = f"HTTP {status}: {self._clean(answer.text)}"
        who = f"Electricity Maps, {grid_zone}"
        if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise _AgainError(found, _retry_after_s(answer))
        if status in _DENIED:
            raise IntensityRefusedError(
                f"{who}: expected hours, found {found}. Either the key is wrong (check"
                " SMARTSCHEDULER_ELECTRICITY_MAPS_KEY; a newer key ends an older one) or this"
                " zone's history is not in your plan (GET /zones with the key lists what is)."
            )
        raise IntensityRefusedError(
            f"{who}: expected HTTP 200 from {self._base_url}, found {found}. Check"
            " SMARTSCHEDULER_ELECTRICITY_MAPS_URL, and that the API still knows the zone."
        )

    def _clean(self, text: str) -> str:
        """Return the beginning of `text` on one line, and never the key."""
        return " ".join(text.replace(self._key.get_secret_value(), "***").split())[:_SHOWN]


def _wait_s(state: tenacity.RetryCallState) -> float:
    """Return 1, 2, 4 s with jitter, or longer if the server asks for it."""
    backoff_s = 2.0 ** (state.attempt_number - 1) * random.uniform(0.5, 1.5)  # noqa: S311 - jitter
    error = state.outcome.exception() if state.outcome else None
    asked_s = error.wait_s if isinstance(error, _AgainError) else 0.0
    return max(backoff_s, asked_s)


def _retry_after_s(answer: requests.Response) -> float:
    """Return the seconds that the header `Retry-After` asks for, 0 without one."""
    value = answer.headers.get("Retry-After")
    if value is None:
        return 0.0
    try:
        return RetryAfter().parse_retry_after(value)
    except InvalidHeader:
        _LOG.warning("Retry-After: expected seconds or a date, found %r", value[:40])
        return 0.0
