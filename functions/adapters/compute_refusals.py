"""Inserts that were refused at once, as done operations: their name says how they ended."""

import logging

from functions.domain.lifecycle.vm import FailureKind, Operation, VmSpec

_LOG = logging.getLogger(__name__)

_ENDINGS: dict[FailureKind | None, str] = {
    None: "existing-",
    **{kind: f"refused-{kind}-" for kind in FailureKind},
}
"""How names of operations begin that never began; Compute Engine's begin with `operation-`."""


def refused(spec: VmSpec, failure: FailureKind | None, error: Exception) -> Operation:
    """A done operation that Compute Engine does not know; its name says how it ended."""
    if failure is None:
        told = {"event": "vm_exists"}
        _LOG.info("VM %s exists in %s: %s", spec.name, spec.compute_zone, error, extra=told)
    return Operation(
        name=f"{_ENDINGS[failure]}{spec.name}",
        compute_zone=spec.compute_zone,
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
