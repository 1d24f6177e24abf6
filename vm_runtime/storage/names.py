"""Which object names all stores take: those that are also a path in a folder."""

from vm_runtime.storage.port import StorageError

RESERVED = ".locks"
"""The file store's own folder; no object may be below it."""


def split_name(name: str) -> list[str]:
    """Return the parts of an object's name.

    Raises:
        StorageError: not relative, or an empty, `.` or `..` part, or below `.locks`.
    """
    parts = name.split("/")
    if {"", ".", ".."} & set(parts) or "\0" in name or parts[0] == RESERVED:
        raise StorageError(
            "expected an object name such as 'jobs/a/job.json' (relative, no empty, '.' or '..'"
            f" part, not below {RESERVED!r}), found {name!r}. Use another name."
        )
    return parts
