"""The lease: who may train. Changed only by compare-and-swap on the object's generation."""

from datetime import datetime
from typing import Literal

from vm_runtime.contract.base import Count, JobId, Utc, document


@document
class Lease:
    """The right of one VM to train a job until `expires_at`."""

    job_id: JobId
    """The job."""
    holder: str
    """VM name and a nonce of the boot: a restarted VM is another holder."""
    incarnation: Count
    """Incarnation of the holder; it never falls."""
    acquired_at: Utc
    """When this holder got it."""
    expires_at: Utc
    """Until when it holds unless renewed."""
    released: bool = False
    """Whether the holder gave it back."""
    schema_version: Literal[1] = 1
    """Version of this document."""

    def is_held(self, now: datetime) -> bool:
        """Whether someone may be training at `now`."""
        return not self.released and now < self.expires_at
