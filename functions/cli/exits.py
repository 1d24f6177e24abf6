"""Exit codes, and the one paragraph that a person reads when something failed. Loads nothing."""

import sys
from enum import IntEnum

_BUG = (
    "This is a mistake in SmartScheduler, not yours. `smartscheduler --debug ...` shows where;"
    " please report it with that text."
)
_CREDENTIALS = (
    "Give credentials: gcloud auth application-default login. `smartscheduler doctor` looks at all."
)


class Exit(IntEnum):
    """What a script can rely on."""

    DONE = 0
    NO = 1
    """It ran, and the answer is no: doctor found something, or a person said no."""
    INPUT = 2
    """A command, option, file, setting or job is not what it should be: mend it."""
    DENIED = 3
    """Credentials or a right are missing."""
    LATER = 4
    """Something did not answer, or is not there yet: try again."""
    BUG = 70
    """Our mistake, as sysexits has it (EX_SOFTWARE)."""
    INTERRUPTED = 130
    """Ctrl-C, as shells have it."""


def explain(error: Exception) -> tuple[str, Exit]:
    """Return what to print and the exit code for anything that a command may raise."""
    from functions.errors import PermissionDeniedError, SchedulerError, TransientError
    from vm_runtime.storage.port import StorageDeniedError, StorageError, StorageUnavailableError

    match error:
        case PermissionDeniedError() | StorageDeniedError():
            return f"error: {error}", Exit.DENIED
        case TransientError() | StorageUnavailableError():
            return f"error: {error}", Exit.LATER
    is_document = _is_of(error, "vm_runtime.contract.codec", "DocumentError")
    if is_document or isinstance(error, SchedulerError | StorageError):
        return f"error: {error}", Exit.INPUT
    if _is_of(error, "google.auth.exceptions", "GoogleAuthError"):
        return f"error: {error} {_CREDENTIALS}", Exit.DENIED
    return f"internal error: {type(error).__name__}: {error}. {_BUG}", Exit.BUG


def _is_of(error: Exception, module: str, name: str) -> bool:
    """Whether it is of a class that was not loaded here unless it was raised."""
    kind = getattr(sys.modules.get(module), name, None)
    return kind is not None and isinstance(error, kind)
