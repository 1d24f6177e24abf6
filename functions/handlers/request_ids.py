"""Ids of requests: a repeated one is the same request to Compute Engine, not another."""

from datetime import datetime
from uuid import UUID, uuid5

from functions.domain.lifecycle.timing import Timing

_NAMESPACE = UUID("6f1d2f0e-5d0c-4f5e-9a57-3d6f0c1b7a11")
"""Of request ids: the same thing (VM, disk, snapshot), verb and attempt give the same id."""


def request_id(now: datetime, timing: Timing, name: str, verb: str) -> str:
    """Return the same id for the same attempt; a new attempt every force_stop_after_s.

    Compute Engine answers a repeated id with the first result, even if that was a failure.
    """
    attempt = int(now.timestamp() // timing.force_stop_after_s)
    return str(uuid5(_NAMESPACE, f"{name}/{verb}/{attempt}"))


def insert_request_id(vm: str) -> str:
    """Return the same id for ever: a failed insert is given up, and the next VM has another name.

    So a VM that was made and is gone, before anybody could note that it was asked for, is not
    made a second time.
    """
    return str(uuid5(_NAMESPACE, f"{vm}/insert"))


def start_request_id(vm: str, incarnation: int) -> str:
    """Return the same id for ever, as for an insert: each start has its own incarnation."""
    return str(uuid5(_NAMESPACE, f"{vm}/{incarnation}/start"))
