"""The port `Alarm` on the embedded cloud."""

from datetime import datetime
from functools import partial

from pydantic import SecretStr

from functions.local.calls import call


class LocalAlarm:
    """The jobs of the embedded scheduler."""

    def __init__(self, url: str, key: SecretStr) -> None:
        """Take the embedded cloud's address and key."""
        self._url = url
        self._call = partial(call, key=key)

    def aim_boundary(self, at: datetime, *later: datetime) -> None:
        """Make the boundary job wake all functions at each time (rounded up to the minute)."""
        times = "\n".join(time.isoformat() for time in (at, *later))
        self._call("POST", f"{self._url}/jobs/boundary", data=times.encode())

    def tick_now(self) -> None:
        """Trigger `forecast` now instead of at the full hour."""
        self._call("POST", f"{self._url}/jobs/forecast")
