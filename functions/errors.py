"""The error tree of the control plane.

    SchedulerError
    ├── PermanentError            trying again does not help: acknowledge, log, tell a person
    │   ├── InvalidInputError     a job, message, file or setting that a person must mend
    │   ├── PermissionDeniedError a right is missing
    │   ├── CallerRefusedError    a request is not from whom it should be
    │   └── QuotaExceededError    the project's quota of a region is used up
    └── TransientError            trying again may help: raise, so that the message comes again
        ├── StockOutError         no capacity in a compute zone now
        ├── StaleStateError       somebody else changed the state first
        ├── IntensityUnavailableError  no data from the source now
        └── UnavailableError      a service did not answer in time

Messages say what was expected, what was found and what to do.
"""


class SchedulerError(Exception):
    """Base of everything that the control plane raises on purpose."""


class PermanentError(SchedulerError):
    """Trying again does not help."""


class InvalidInputError(PermanentError):
    """Something a person wrote must be mended."""


class PermissionDeniedError(PermanentError):
    """A right is missing; the message names it."""


class CallerRefusedError(PermanentError):
    """A request to a function is not from its caller; nothing of it was looked at."""


class QuotaExceededError(PermanentError):
    """The quota of a region is used up."""


class TransientError(SchedulerError):
    """Trying again may help."""


class StockOutError(TransientError):
    """A compute zone has no capacity for the machine now."""


class StaleStateError(TransientError):
    """A conditional write lost against another writer."""


class IntensityUnavailableError(TransientError):
    """The source of carbon intensity has no data for now."""


class UnavailableError(TransientError):
    """A service did not answer in time."""
