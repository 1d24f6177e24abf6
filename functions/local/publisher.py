"""The port `Publisher` on the embedded cloud."""

from functions.local.calls import call
from functions.wire import WakeUp, encode_wake_up


class LocalPublisher:
    """The topic of the embedded bus."""

    def __init__(self, url: str) -> None:
        """Take the embedded cloud's address."""
        self._url = url

    def publish(self, message: WakeUp) -> None:
        """Publish; returns when the topic has it on disk. Raises `UnavailableError`."""
        call("POST", f"{self._url}/topics/interval-plan", data=encode_wake_up(message))
