"""The port `Publisher` on the embedded cloud."""

from functools import partial

from pydantic import SecretStr

from functions.local.calls import call
from functions.wire import WakeUp, encode_wake_up


class LocalPublisher:
    """The topic of the embedded bus."""

    def __init__(self, url: str, key: SecretStr) -> None:
        """Take the embedded cloud's address and key."""
        self._url = url
        self._call = partial(call, key=key)

    def publish(self, message: WakeUp) -> None:
        """Publish; returns when the topic has it on disk. Raises `UnavailableError`."""
        self._call("POST", f"{self._url}/topics/interval-plan", data=encode_wake_up(message))
