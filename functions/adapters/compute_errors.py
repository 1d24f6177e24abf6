"""What Compute Engine's errors mean: of calls and of operations, most specific first."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import requests

from functions.adapters.google_calls import credentials_error
from functions.domain.lifecycle.vm import FailureKind
from functions.errors import (
    InvalidInputError,
    PermissionDeniedError,
    QuotaExceededError,
    SchedulerError,
    StockOutError,
    UnavailableError,
)

_REQUEST_TIMEOUT, _SERVER_ERROR = 408, 500
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 401, 403, 404
_CONFLICT, _PRECONDITION_FAILED, _TOO_MANY = 409, 412, 429


class NotFoundError(InvalidInputError):
    """HTTP 404."""


class AlreadyExistsError(InvalidInputError):
    """HTTP 409, because of the name."""


class InUseError(UnavailableError):
    """HTTP 400: another resource has it now; it may become free."""


class ConditionNotMetError(UnavailableError):
    """HTTP 412: somebody else changed it since it was read."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that Compute Engine complains about."""

    code: str
    """`ZONE_RESOURCE_POOL_EXHAUSTED` in operations, `quotaExceeded` in calls; may be empty."""
    message: str = ""


_RULES: tuple[tuple[str, str, FailureKind], ...] = (
    # Part of the fault | what it looks like | what it rules out.
    # A 403, and yet no missing right: the project may not use this one location.
    ("message", r".*Location .*is not found or access is unauthorized", FailureKind.STOCK_OUT),
    # No place would help: a person must mend the template.
    ("message", r".*cannot be smaller than the image", FailureKind.DENIED),
    # By prefix: in practice the code ends in _WITH_DETAILS.
    ("code", r"((ZONE|REGION)_)?RESOURCE_POOL_EXHAUSTED", FailureKind.STOCK_OUT),
    ("code", r"INSUFFICIENT_CAPACITY|.*STOCK_?OUT", FailureKind.STOCK_OUT),
    ("code", r"QUOTA_EXCEEDED", FailureKind.QUOTA),
    # No quota, but like one it rules out the region and nothing else.
    ("code", r"SUBNET_NOT_FOUND_FOR_VPC", FailureKind.QUOTA),
    # Seen when preempted during creation; while an older VM of the name goes down; too often.
    ("code", r"UNSUPPORTED_OPERATION|RESOURCE_NOT_READY", FailureKind.STOCK_OUT),
    ("code", r"RESOURCE_OPERATION_RATE_EXCEEDED", FailureKind.STOCK_OUT),
    ("code", r"VPC_NOT_FOUND|(IAM_)?PERMISSION(S?_ERROR|_DENIED)|FORBIDDEN", FailureKind.DENIED),
    ("code", r"ACCESS_NOT_CONFIGURED|SERVICE_DISABLED|UNAUTHENTICATED", FailureKind.DENIED),
)
_IN_USE = "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE"
_TOO_FAST = re.compile(r"(USER_)?RATE_LIMIT_EXCEEDED|RESOURCE_OPERATION_RATE_EXCEEDED")


def failure_kind(faults: Iterable[Fault], *, http_status: int = 0) -> FailureKind:
    """Return what faults rule out: the most specific rule that fits any of them.

    RESOURCE_NOT_FOUND is OTHER: in practice it means no capacity in the compute zone, which
    OTHER rules out too; but a template that names something missing must not try for ever.
    """
    given = [(snake(fault.code), fault.message) for fault in faults]
    for part, pattern, kind in _RULES:
        texts = (code if part == "code" else message for code, message in given)
        if any(re.match(pattern, text) for text in texts):
            return kind
    denied = http_status in {_UNAUTHORIZED, _FORBIDDEN}
    return FailureKind.DENIED if denied else FailureKind.OTHER


def snake(code: str) -> str:
    """Return `quotaExceeded` as `QUOTA_EXCEEDED`; calls and operations differ in style."""
    return code if code.isupper() else re.sub(r"(?<!^)(?=[A-Z])", "_", code).upper()


def port_error(error: Exception, *, doing: str, right: str) -> SchedulerError | None:
    """Return what the port promises for a failure of the client library, or `None`.

    Args:
        error: what the client library raised.
        doing: what was tried, for the message.
        right: the IAM permission that it needs.
    """
    # It comes with the client library, which is loaded only when it is first called.
    from google.api_core.exceptions import GoogleAPICallError, RetryError  # noqa: PLC0415

    if isinstance(error, RetryError) and isinstance(error.cause, Exception):
        error = error.cause
    if isinstance(error, GoogleAPICallError):
        faults = [Fault(str(one.get("reason", ""))) for one in error.errors if "reason" in one]
        faults = [Fault(fault.code, error.message) for fault in faults or [Fault("")]]
        if error.reason:
            faults.append(Fault(error.reason, error.message))
        return _refusal(int(error.code or 0), faults, doing=doing, right=right)
    of_credentials = credentials_error(error, doing=doing, right=right)
    if of_credentials is not None:
        return of_credentials
    if isinstance(error, (RetryError, requests.RequestException)):
        return UnavailableError(
            f"{doing}: expected an answer of Compute Engine, found {error}. It may have worked:"
            " it is looked at and tried again."
        )
    return None


def _refusal(status: int, faults: list[Fault], *, doing: str, right: str) -> SchedulerError:
    kind = failure_kind(faults, http_status=status)
    codes = {snake(fault.code) for fault in faults}
    said = f"{doing}: HTTP {status} {'/'.join(sorted(filter(None, codes)))}: {faults[0].message}"
    again = f"{said} It is tried again."
    if status in {_REQUEST_TIMEOUT, _TOO_MANY} or status >= _SERVER_ERROR:
        found: SchedulerError = UnavailableError(again)
    elif any(_TOO_FAST.match(code) for code in codes):
        found = UnavailableError(again)
    elif kind is FailureKind.STOCK_OUT:
        found = StockOutError(said)
    elif kind is FailureKind.QUOTA:
        found = QuotaExceededError(f"{said} Ask for more, or free some.")
    elif kind is FailureKind.DENIED:
        found = PermissionDeniedError(f"{said} Expected the right {right}: grant it.")
    elif _IN_USE in codes:
        found = InUseError(again)
    elif status == _NOT_FOUND:
        found = NotFoundError(said)
    elif status == _PRECONDITION_FAILED:
        found = ConditionNotMetError(again)
    elif status == _CONFLICT:
        exists = any(code.endswith("ALREADY_EXISTS") for code in codes)
        found = AlreadyExistsError(said) if exists else UnavailableError(again)
    else:
        found = InvalidInputError(f"{said} Mend the job's machine type or the template.")
    return found
