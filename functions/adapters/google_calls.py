"""How Google's gRPC clients are called: bounded patience, and errors of the control plane."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from functions.errors import InvalidInputError, PermissionDeniedError, UnavailableError

if TYPE_CHECKING:
    from google.api_core.retry import Retry
    from google.api_core.timeout import ConstantTimeout

ATTEMPT_S = 10.0
PATIENCE_S = 30.0
"""How long one call may take, and be repeated, seconds."""


def each_attempt() -> "ConstantTimeout":
    """Return the time-out of each attempt; a bare number would be that of all of them."""
    from google.api_core.timeout import ConstantTimeout  # noqa: PLC0415 - slow import

    return ConstantTimeout(ATTEMPT_S)  # type: ignore[no-untyped-call]  # it has no types


def patient(within_s: float) -> "Retry":
    """Return a policy that repeats what may pass, with back-off and jitter, for `within_s`.

    For calls only that may be done twice.
    """
    from google.api_core import exceptions as api  # noqa: PLC0415 - slow import
    from google.api_core.retry import Retry, if_exception_type  # noqa: PLC0415

    passing = if_exception_type(
        *(api.Aborted, api.Cancelled, api.ServerError, api.TooManyRequests, ConnectionError)
    )
    return Retry(predicate=passing, initial=0.2, maximum=4.0, multiplier=2.0, timeout=within_s)


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
    unreachable = (auth.TransportError, auth.TimeoutError, ConnectionError, TimeoutError)
    try:
        yield
    except (*passing, *unreachable) as error:
        raise UnavailableError(
            f"{what}: expected an answer in time, found: {_found(error)}. It may have landed;"
            " repeating it is safe."
        ) from error
    except (api.Forbidden, api.Unauthorized, auth.GoogleAuthError) as error:
        if isinstance(error, auth.GoogleAuthError) and error.retryable:
            raise UnavailableError(
                f"{what}: expected credentials, found: {_found(error)}. Try later."
            ) from error
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
