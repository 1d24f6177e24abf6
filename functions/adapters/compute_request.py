"""Ids of requests as Compute Engine takes them."""

from uuid import UUID, uuid5

_REQUESTS = UUID("0b6f4f0c-3a53-4a0e-8f0a-4b6a3f2f7d52")
"""Namespace of the UUIDs that Compute Engine wants as request ids."""


def as_uuid(request_id: str) -> str:
    """Compute Engine takes UUIDs only."""
    try:
        return str(UUID(request_id))
    except ValueError:
        return str(uuid5(_REQUESTS, request_id))
