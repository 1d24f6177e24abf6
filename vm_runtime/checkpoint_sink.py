"""A stream that hashes and counts what goes through it, and can be told to stop."""

import hashlib
from collections.abc import Callable
from typing import BinaryIO


class HashingSink:
    """Takes `write` and passes it on; knows size and SHA-256 of all that went through."""

    def __init__(self, check_wanted: Callable[[], object]) -> None:
        """Take no stream yet.

        Args:
            check_wanted: called before each piece; raises to end the writing.
        """
        self._check_wanted = check_wanted
        self._stream: BinaryIO | None = None
        self._digest = hashlib.sha256()
        self.size_bytes = 0
        """Bytes that went through."""
        self.error: Exception | None = None
        """What the stream raised first."""

    @property
    def sha256(self) -> str:
        """Digest of what went through, lower-case hexadecimal."""
        return self._digest.hexdigest()

    def restart(self, stream: BinaryIO) -> None:
        """Begin anew, into another stream."""
        self._stream = stream
        self._digest = hashlib.sha256()
        self.size_bytes, self.error = 0, None

    def write(self, piece: bytes | memoryview) -> int:
        """Pass on a piece; returns its size, bytes."""
        if self._stream is None:
            message = "expected restart() before write()"
            raise ValueError(message)
        try:
            self._check_wanted()
            self._stream.write(piece)
        except Exception as error:
            self.error = self.error or error
            raise
        self._digest.update(piece)
        size_bytes = memoryview(piece).nbytes
        self.size_bytes += size_bytes
        return size_bytes

    def flush(self) -> None:
        """Do nothing: the store flushes when all is there."""
