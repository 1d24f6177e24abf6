"""When the metrics of a job are written, and by whom: the VM that surely holds its lease."""

import logging
from collections.abc import Callable
from datetime import datetime

from vm_runtime.contract.clock import Clock
from vm_runtime.metrics_file import MetricsFile
from vm_runtime.storage.port import PreconditionFailedError, StorageError

_log = logging.getLogger(__name__)

METRICS_PERIOD_S = 60.0
"""Seconds on the deployment's clock between two writes, beside those before a checkpoint."""


class MetricsWriter:
    """Writes a metrics file now and then, and when asked to."""

    def __init__(self, file: MetricsFile, clock: Clock, *, is_held: Callable[[], bool]) -> None:
        """Write nothing yet.

        Args:
            file: the metrics.
            clock: the deployment's clock.
            is_held: whether this VM surely holds the job's lease now.
        """
        self._file, self._clock, self._is_held = file, clock, is_held
        self._written_at: datetime | None = None

    def save(self) -> None:
        """Write all that was noted; what fails is logged and made up for later."""
        try:
            self._write()
        except StorageError as error:
            _log.warning(
                "metrics not written, trying again: %s", error, extra={"event": "report_late"}
            )

    def write_if_due(self, *, is_last: bool) -> None:
        """Write if the last time is long ago, or `is_last`.

        Raises:
            StorageError: the bucket did not answer.
        """
        at, now = self._written_at, self._clock.now()
        if is_last or at is None or not 0 <= (now - at).total_seconds() < METRICS_PERIOD_S:
            self._write()

    def _write(self) -> None:
        if not self._is_held():
            return
        try:
            self._file.write()
        except PreconditionFailedError:
            # A stale VM wrote in between: who holds the lease overrules it, once.
            if not self._is_held():
                return
            self._file.look_again()
            self._file.write()
        self._written_at = self._clock.now()
