"""What the embedded compute service answers to a call that it does not carry out."""


class RefusedError(Exception):
    """The service answers a call with an error; `status` and `reason` as Compute Engine's."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        """Take the HTTP status, the reason and what to tell."""
        super().__init__(message)
        self.status = status
        self.reason = reason
