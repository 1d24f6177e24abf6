"""Inserts and starts refused at once, as done operations: their name says how they ended."""

import logging

from functions.adapters.compute_errors import AlreadyExistsError
from functions.domain.lifecycle.vm import FailureKind, Operation
from functions.errors import InvalidInputError, QuotaExceededError, SchedulerError, StockOutError

REFUSALS = (StockOutError, QuotaExceededError, InvalidInputError)
"""What a call may be refused with at once, as its operation may be later."""

_OTHER = FailureKind.OTHER
_RULED_OUT = (
    (StockOutError, FailureKind.STOCK_OUT),
    (QuotaExceededError, FailureKind.QUOTA),
)
_LOG = logging.getLogger(__name__)

_ENDINGS: dict[FailureKind | None, str] = {
    None: "existing-",
    **{kind: f"refused-{kind}-" for kind in FailureKind},
}
"""How names of operations begin that never began; Compute Engine's begin with `operation-`."""


def exists(what: str, compute_zone: str, error: AlreadyExistsError) -> Operation:
    """Return the operation that stands for what somebody, likely we, made before."""
    told = {"event": "vm_exists"}
    _LOG.info("%s exists in %s: %s", what, compute_zone, error, extra=told)
    return Operation.over(_name(what, None), compute_zone)


def refused(what: str, compute_zone: str, error: SchedulerError) -> Operation:
    """A done operation that Compute Engine does not know; its name says how it ended.

    Args:
        what: kind and name of what was to be made or started, `VM ss-digits-1`.
        compute_zone: where.
        error: the refusal, of `REFUSALS`; it says what is ruled out.
    """
    failure = next((kind for rules, kind in _RULED_OUT if isinstance(error, rules)), _OTHER)
    return Operation.over(_name(what, failure), compute_zone, failure=failure, message=str(error))


def never_began(name: str, compute_zone: str) -> Operation | None:
    """Return the operation that `refused` or `exists` made up, from its name alone."""
    for failure, prefix in _ENDINGS.items():
        if name.startswith(prefix):
            message = f"{name}: refused at once, see the log of that time" if failure else ""
            return Operation.over(name, compute_zone, failure=failure, message=message)
    return None


def _name(what: str, failure: FailureKind | None) -> str:
    return f"{_ENDINGS[failure]}{what.rpartition(' ')[2]}"
