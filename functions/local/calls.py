"""HTTP calls to the embedded cloud, with its refusals as the control plane's errors."""

import requests
from pydantic import SecretStr

from functions.errors import (
    CallerRefusedError,
    InvalidInputError,
    PermissionDeniedError,
    QuotaExceededError,
    UnavailableError,
)
from functions.local.caller import authorization

_TIMEOUT_S = 10.0
_SERVER_ERROR = 500
_BAD_REQUEST = 400


class NotFoundError(InvalidInputError):
    """HTTP 404."""


class AlreadyExistsError(InvalidInputError):
    """HTTP 409."""


class InUseError(UnavailableError):
    """Another VM has it now; it may become free."""


def call(
    method: str,
    url: str,
    *,
    key: SecretStr,
    data: bytes = b"",
    params: dict[str, str] | None = None,
) -> bytes:
    """Call the embedded cloud, showing its key, and return the body of its answer.

    Raises:
        UnavailableError: no answer, or one that says to try again.
        NotFoundError, AlreadyExistsError, QuotaExceededError, PermissionDeniedError: refused.
        InvalidInputError: refused for another reason.
    """
    try:
        with requests.Session() as session:
            session.trust_env = False  # a proxy cannot reach this machine's loopback
            session.headers.update(authorization(key))
            answer = session.request(method, url, data=data, params=params, timeout=_TIMEOUT_S)
    except requests.RequestException as error:
        raise UnavailableError(
            f"embedded cloud: expected an answer of {url}, found {error}. Start it, or try again."
        ) from error
    if answer.status_code < _BAD_REQUEST:
        return answer.content
    raise _error(answer)


def _error(answer: requests.Response) -> Exception:
    is_json = "json" in answer.headers.get("Content-Type", "")
    body = answer.json() if is_json else {}
    reason, text = body.get("reason", ""), body.get("message", answer.text[:200])
    message = f"embedded cloud: expected success, found HTTP {answer.status_code} {reason}: {text}"
    if answer.status_code >= _SERVER_ERROR:
        return UnavailableError(f"{message}. Try again.")
    match answer.status_code, reason:
        case 400, "resourceInUseByAnotherResource":
            return InUseError(f"{message}. Try again.")
        case 403, "quotaExceeded":
            return QuotaExceededError(f"{message}. Raise the quota, or allow other regions.")
        case 403, _:
            return PermissionDeniedError(f"{message}. Grant the right.")
    kinds = {401: CallerRefusedError, 404: NotFoundError, 409: AlreadyExistsError}
    kind = kinds.get(answer.status_code, InvalidInputError)
    return kind(f"{message}. Mend the call.")
