"""GET with patience: time-outs, bounded retries with back-off and jitter, `Retry-After`.

Knows HTTP; nothing of carbon intensity or of any vendor.
"""

import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

import requests
import tenacity
from pydantic import SecretStr
from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry as RetryAfter

from functions._version import __version__

_LOG = logging.getLogger(__name__)

TIMEOUT_S = (3.05, 10.0)
"""To connect, and between two bytes."""
ATTEMPTS = 4
PATIENCE_S = 40.0
"""All attempts and waits together; a `Retry-After` that reaches beyond it ends them at once."""
_SHOWN = 300
"""Characters of an answer that a message may hold."""


class NoAnswerError(Exception):
    """No attempt was answered; asking again later may help."""


class RefusedError(Exception):
    """The server refuses; asking again at once does not help."""

    def __init__(self, status: int, said: str) -> None:
        """Take the HTTP status and the beginning of what the server said."""
        super().__init__(f"HTTP {status}: {said}")
        self.status = status


class _AgainError(Exception):
    """An attempt failed in a way that may pass."""

    def __init__(self, trouble: str, wait_s: float = 0.0) -> None:
        """Take what happened and the least wait that the server asked for, seconds."""
        super().__init__(trouble)
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientGet:
    """Asks for a document; safe to call from many threads."""

    secret: SecretStr | None = None
    """What must never be shown: it is taken out of answers and messages."""
    carried_in: str = ""
    """Header that carries the secret, if there is one."""
    attempts: int = ATTEMPTS
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)

    def get(self, url: str, parameters: Mapping[str, str]) -> bytes:
        """Return the body of the answer.

        Raises:
            NoAnswerError: after all attempts, or when asked to wait longer than patience.
            RefusedError: at any status but 200, 429 and those from 500 on.
        """
        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_AgainError),
            wait=_wait_s,
            stop=tenacity.stop_after_attempt(self.attempts)
            | tenacity.stop_before_delay(PATIENCE_S),
            sleep=self.sleep,
            reraise=True,
        )
        try:
            return attempts(self._get, url, parameters)
        except _AgainError as error:
            tries = attempts.statistics["attempt_number"]
            raise NoAnswerError(f"{error} after {tries} attempt(s)") from error

    def _get(self, url: str, parameters: Mapping[str, str]) -> bytes:
        headers = {"User-Agent": f"SmartScheduler/{__version__}", "Accept": "application/json"}
        secret = self._shown()
        try:
            # A session for each attempt: it is not safe to share one among threads, and one
            # request an hour and zone is too few to keep connections for. A redirect is not
            # followed: it would take the secret along to another host.
            with requests.Session() as session:
                answer = session.get(
                    url,
                    params=dict(parameters),
                    headers=headers | ({self.carried_in: secret} if secret else {}),
                    timeout=TIMEOUT_S,
                    allow_redirects=False,
                )
        except requests.RequestException as error:
            raise _AgainError(self._clean(f"{type(error).__name__}: {error}")) from error
        status = answer.status_code
        if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            said = f"HTTP {status}: {self._clean(answer.text)}"
            raise _AgainError(said, _retry_after_s(answer))
        if status != HTTPStatus.OK:
            raise RefusedError(status, self._clean(answer.text))
        return answer.content.replace(secret.encode(), b"***") if secret else answer.content

    def _shown(self) -> str:
        return self.secret.get_secret_value() if self.secret is not None else ""

    def _clean(self, text: str) -> str:
        """Return the beginning of `text` on one line, and never the secret."""
        secret = self._shown()
        hidden = text.replace(secret, "***") if secret else text
        return " ".join(hidden.split())[:_SHOWN]


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
        _LOG.warning(
            "Retry-After: expected seconds or a date, found %r",
            value[:40],
            extra={"event": "source_limited"},
        )
        return 0.0
