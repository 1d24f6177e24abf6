"""How all of Google's clients are called: bounded patience, and errors of the control plane.

One way for gRPC (Pub/Sub, Cloud Scheduler) and REST (Compute Engine), on google-api-core's own
`Retry`. What Compute Engine's refusals mean is in `compute_errors`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from functions.errors import (
    InvalidInputError,
    PermissionDeniedError,
    SchedulerError,
    UnavailableError,
)

if TYPE_CHECKING:
    from google.api_core.retry import Retry
    from google.api_core.timeout import ConstantTimeout

ATTEMPT_S = 10.0
PATIENCE_S = 30.0
"""How long one call may take, and be repeated, seconds."""
PAUSE_S = 0.2
LONGEST_PAUSE_S = 4.0
"""Longest pause before the second attempt, which doubles each time, and before any, seconds."""


def each_attempt(attempt_s: float | None = None) -> "ConstantTimeout":
    """Return the time-out of each attempt; a bare number would be that of all of them."""
    from google.api_core.timeout import ConstantTimeout  # noqa: PLC0415 - slow import

    wanted_s = ATTEMPT_S if attempt_s is None else attempt_s
    return ConstantTimeout(wanted_s)  # type: ignore[no-untyped-call]  # it has no types


def patient(within_s: float, *, pause_s: float = PAUSE_S) -> "Retry":
    """Return a policy that repeats what may pass, with back-off and jitter, for `within_s`.

    For calls only that may be done twice.
    """
    from google.api_core.retry import Retry  # noqa: PLC0415 - slow import

    return Retry(
        predicate=may_pass,
        initial=pause_s,
        maximum=LONGEST_PAUSE_S,
        multiplier=2.0,
        timeout=within_s,
    )


def may_pass(error: Exception) -> bool:
    """Tell whether the same call may succeed a moment later.

    google-api-core's own list, and what it leaves out: 502 and 504, calls that the service cut
    off, and sockets that time out.
    """
    import requests  # noqa: PLC0415 - with the client, when called
    from google.api_core import exceptions as api  # noqa: PLC0415
    from google.api_core.retry import if_transient_error  # noqa: PLC0415

    more = (api.Aborted, api.Cancelled, api.ServerError, requests.Timeout, ConnectionError)
    return if_transient_error(error) or isinstance(error, more)


def credentials_error(error: Exception, *, doing: str, right: str) -> SchedulerError | None:
    """Return what a failure to get an access token means; `None`: it is none.

    Args:
        error: what the client raised.
        doing: what was tried, for the message.
        right: what the account must be allowed to, for the message.
    """
    from google.auth import exceptions as auth  # noqa: PLC0415 - with the client, when called

    if not isinstance(error, auth.GoogleAuthError):
        return None
    unreachable = (auth.TransportError, auth.TimeoutError)
    # A RefreshError may merely wrap that the metadata server did not answer.
    is_silence = isinstance(error, unreachable) or isinstance(error.__cause__, unreachable)
    if error.retryable or is_silence:
        return UnavailableError(f"{doing}: no access token now ({error}). It is tried again.")
    return PermissionDeniedError(
        f"{doing}: expected Application Default Credentials with {right}, found none that work:"
        f" {error}. At a terminal, run `gcloud auth application-default login`; a function or VM"
        " must have its service account attached."
    )


@contextmanager
def mapped(what: str, *, grant: str, mend: str) -> Iterator[None]:
    """Turn the clients' errors into ours, the most specific first.

    Args:
        what: what was called, for the message.
        grant: what to grant if it was refused, such as `roles/pubsub.publisher on the topic`.
        mend: what to do if it is not there or the call makes no sense.
    """
    from google.api_core import exceptions as api  # noqa: PLC0415 - with the client, when called
    from google.auth import exceptions as auth  # noqa: PLC0415

    passing = (api.Aborted, api.Cancelled, api.ServerError, api.TooManyRequests, api.RetryError)
    try:
        yield
    except (*passing, ConnectionError, TimeoutError) as error:
        raise UnavailableError(
            f"{what}: expected an answer in time, found: {_found(error)}. It may have landed;"
            " repeating it is safe."
        ) from error
    except auth.GoogleAuthError as error:
        known = credentials_error(error, doing=what, right=grant)
        raise known or UnavailableError(f"{what}: found: {_found(error)}.") from error
    except (api.Forbidden, api.Unauthorized) as error:
        raise PermissionDeniedError(
            f"{what}: expected to be allowed to, found: {_found(error)}. Grant this function's"
            f" service account {grant}."
        ) from error
    except api.ClientError as error:
        raise InvalidInputError(
            f"{what}: expected success, found: {_found(error)}. {mend}"
        ) from error
    except api.GoogleAPIError as error:
        raise UnavailableError(f"{what}: expected success, found: {_found(error)}.") from error


def _found(error: Exception) -> str:
    cause = getattr(error, "cause", None)  # of a RetryError: what it was that kept failing
    return f"{type(error).__name__}: {error}" + (f" ({cause})" if cause else "")
