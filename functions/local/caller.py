"""Who calls a function, or the API, of the embedded cloud: whoever has the key of this start.

They listen on the loopback, which every user and every web page of this machine can reach.
"""

import hmac

from pydantic import SecretStr

from functions.errors import CallerRefusedError


def authorization(key: SecretStr) -> dict[str, str]:
    """Return the header that shows `key`."""
    return {"Authorization": f"Bearer {key.get_secret_value()}"}


class LocalCallerCheck:
    """Admits who shows the key."""

    def __init__(self, key: SecretStr) -> None:
        """Take the key; an empty one admits nobody."""
        self._wanted = authorization(key)["Authorization"].encode()
        self._is_empty = not key.get_secret_value()

    def admit(self, authorization: str) -> None:
        """Return if the header shows the key.

        Raises:
            CallerRefusedError: it does not.
        """
        if self._is_empty or not hmac.compare_digest(authorization.encode(), self._wanted):
            raise CallerRefusedError(
                "expected the key of this embedded cloud (SMARTSCHEDULER_LOCAL_KEY), found"
                " another or none. Take the environment that the running cloud names."
            )
