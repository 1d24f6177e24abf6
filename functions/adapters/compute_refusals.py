"""Inserts and starts refused at once, as done operations: their name says how they ended."""

import logging

from functions.domain.lifecycle.vm import FailureKind, Operation

_LOG = logging.getLogger(__name__)

_ENDINGS: dict[FailureKind | None, str] = {
    None: "existing-",
    **{kind: f"refused-{kind}-" for kind in FailureKind},
}
"""How names of operations begin that never began; Compute Engine's begin with `operation-`."""


def refused(
    what: str, compute_zone: str, failure: FailureKind | None, error: Exception
) -> Operation:
    """A done operation that Compute Engine does not know; its name says how it ended.

    Args:
        what: kind and name of what was to be made, `VM ss-digits-1`.
        compute_zone: where.
        failure: what the refusal rules out; `None`: the name exists.
        error: the refusal.
    """
    if failure is None:
        told = {"event": "vm_exists"}
        _LOG.info("%s exists in %s: %s", what, compute_zone, error, extra=told)
    return Operation(
        name=f"{_ENDINGS[failure]}{what.rpartition(' ')[2]}",
        compute_zone=compute_zone,
        done=True,
        failure=failure,
        message=str(error) if failure else "",
    )


def never_began(name: str, compute_zone: str) -> Operation | None:
    """Return the operation that `refused` made up, from its name alone."""
    for failure, prefix in _ENDINGS.items():
        if name.startswith(prefix):
            message = f"{name}: refused at once, see the log of that time" if failure else ""
            return Operation(
                name=name,
                compute_zone=compute_zone,
                done=True,
                failure=failure,
                message=message,
            )
    return None
