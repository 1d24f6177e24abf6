"""Messages on the topic `interval-plan`, to and from JSON. Documents: `contract.codec`."""

import dataclasses
from enum import StrEnum
from typing import Literal

from functions.domain.plan.document import Plan
from functions.errors import InvalidInputError
from vm_runtime.contract.base import Count, JobId, Utc, document
from vm_runtime.contract.codec import DocumentError, decode, encode

LARGEST_BYTES = 2**20
"""Of a message; a plan of two weeks of slots has a tenth of it."""


class WakeUpKind(StrEnum):
    """Why the functions are woken; none of them changes what they do."""

    PLAN = "plan"
    """A new plan of one job; the message carries it so that a person can read it in the logs."""
    AGAIN = "again"
    """A step was taken for one job and more may be to do."""
    HEARTBEAT = "heartbeat"
    """Regular look at all jobs."""
    BOUNDARY = "boundary"
    """An interval starts or ends about now: look at all jobs."""


@document
class WakeUp:
    """A message on the topic. Truth is in the bucket: it may be lost, late or doubled."""

    kind: WakeUpKind
    """Why."""
    sent_at: Utc | None = None
    """When; `None`: by Cloud Scheduler, whose messages are always the same."""
    job_id: JobId | None = None
    """Which job to look at; `None`: all."""
    seq: Count | None = None
    """`seq` of the plan in force when it was sent; a function ignores it if an older one."""
    plan: Plan | None = None
    """The plan, for the logs; never acted on."""
    schema_version: Literal[1] = 1
    """Version of this message."""


def encode_wake_up(message: WakeUp) -> bytes:
    """Return the message's data; a plan that is too large for it stays in the bucket alone."""
    data = encode(message)
    if len(data) <= LARGEST_BYTES:
        return data
    return encode(dataclasses.replace(message, plan=None))


def decode_wake_up(data: bytes) -> WakeUp:
    """Return the message in `data`.

    Raises:
        InvalidInputError: it is empty, too large or malformed; sending it again would not help.
    """
    if len(data) > LARGEST_BYTES:
        raise InvalidInputError(
            f"message: expected at most {LARGEST_BYTES} bytes, found {len(data)}. Find out who"
            " publishes that."
        )
    if not data:
        raise InvalidInputError("message: expected a WakeUp as JSON, found no data. Publish one.")
    try:
        return decode(WakeUp, data, name="message")
    except DocumentError as error:
        raise InvalidInputError(str(error)) from error
