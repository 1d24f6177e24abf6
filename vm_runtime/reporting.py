"""Progress and ledger on their way to the bucket: in the background, so a step costs nothing."""

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from vm_runtime.contract import object_names
from vm_runtime.contract.codec import decode, encode
from vm_runtime.contract.ledger import LedgerEntry
from vm_runtime.contract.progress import Progress, RunState
from vm_runtime.session import LeaseLostError
from vm_runtime.storage.port import (
    BlobNotFoundError,
    BlobStore,
    PreconditionFailedError,
    StorageError,
)

_log = logging.getLogger(__name__)

_ATTEMPTS = 5
_BACK_OFF_S = 0.2
_JOIN_S = 60.0


class ProgressFile:
    """The job's progress document, written by compare-and-swap."""

    def __init__(self, store: BlobStore, job_id: str) -> None:
        """Read and write nothing yet."""
        self._store = store
        self._name = object_names.progress(job_id)
        self._generation: int | None = None
        self._found: Progress | None = None

    def read(self) -> Progress | None:
        """Return what was reported last, by whatever VM; `None`: nothing yet.

        Raises:
            DocumentError: it cannot be read.
        """
        try:
            blob = self._store.read(self._name)
        except BlobNotFoundError:
            self._generation, self._found = 0, None
            return None
        self._found = decode(Progress, blob.data, name=self._name)
        self._generation = blob.generation
        return self._found

    def write(self, progress: Progress) -> None:
        """Write unless a VM of a higher incarnation has written.

        Raises:
            LeaseLostError: it has; nothing was written.
            StorageError: the bucket did not answer.
        """
        for attempt in range(_ATTEMPTS):
            if self._generation is None or attempt:
                self.read()
            self._check_incarnation(self._found, progress.incarnation)
            try:
                self._generation = self._store.write(
                    self._name, encode(progress), if_generation=self._generation
                )
            except PreconditionFailedError:
                continue
            except StorageError:
                self._generation = None  # it may have landed: look before the next write
                raise
            return
        raise StorageError(
            f"{self._name}: expected to be the only writer, found others {_ATTEMPTS} times in a"
            " row. Is another VM with the same incarnation up? Delete one of them."
        )

    def write_failure(
        self, *, job_id: str, vm: str, incarnation: int, now: datetime, message: str
    ) -> None:
        """Write for a runtime that cannot: one failure more, the rest as last reported.

        Raises:
            LeaseLostError: a VM of a higher incarnation has written.
            DocumentError: what was last reported cannot be read.
            StorageError: the bucket did not answer.
        """
        last = self.read()
        fresh = Progress(
            job_id=job_id,
            vm=vm,
            incarnation=incarnation,
            state=RunState.FAILED,
            heartbeat_at=now,
        )
        failed = fresh if last is None else carried_over(last, fresh)
        failures = failed.failures_in_a_row + 1
        failed = replace(failed, failures_in_a_row=failures, message=message)
        self.write(failed)

    def _check_incarnation(self, found: Progress | None, mine: int) -> None:
        if found is None or found.incarnation <= mine:
            return
        raise LeaseLostError(
            f"expected no incarnation above {mine} in {self._name}, found {found.incarnation}"
            f" ({found.vm}): this VM was superseded."
        )


def carried_over(last: Progress, fresh: Progress) -> Progress:
    """Return `fresh` with what was known before, so that nothing falls back."""
    known = replace(
        fresh,
        steps_done=last.steps_done,
        steps_total=last.steps_total,
        seconds_per_step=last.seconds_per_step,
        metrics=last.metrics,
        failures_in_a_row=last.failures_in_a_row,
    )
    if last.incarnation != fresh.incarnation:
        return known
    return replace(
        known,
        energy_kwh=last.energy_kwh,
        energy_measured_kwh=last.energy_measured_kwh,
        energy_basis=last.energy_basis,
    )


class Reporter:
    """A thread that writes the present progress, ledger entry and metrics now and then."""

    def __init__(  # noqa: PLR0913 - what to write, where, how often
        self,
        *,
        store: BlobStore,
        progress_file: ProgressFile,
        make_progress: Callable[[], Progress | None],
        make_ledger_entry: Callable[[], LedgerEntry],
        on_superseded: Callable[[LeaseLostError], None],
        write_metrics: Callable[[], None],
        period_s: float,
    ) -> None:
        """Write nothing yet.

        Args:
            store: the bucket.
            progress_file: the progress document.
            make_progress: returns the progress to write, `None` if it must not be written now.
            make_ledger_entry: returns the ledger entry to write.
            on_superseded: called if a VM of a higher incarnation reports.
            write_metrics: writes the metrics if it is time to.
            period_s: real seconds between two writes.
        """
        self._store, self._file = store, progress_file
        self._make_progress, self._make_ledger_entry = make_progress, make_ledger_entry
        self._on_superseded, self._write_metrics = on_superseded, write_metrics
        self._period_s = period_s
        self._writing = threading.Lock()
        self._wake, self._closing = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)

    def start(self) -> None:
        """Begin to write in the background."""
        self._thread.start()

    def hurry(self) -> None:
        """Write soon: something changed that others wait for."""
        self._wake.set()

    def close(self) -> None:
        """Write a last time, patiently but not for ever, and end the thread."""
        self._closing.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(_JOIN_S)
        pause = threading.Event()
        for attempt in range(_ATTEMPTS):
            if self.write_now():
                return
            pause.wait(_BACK_OFF_S * 2**attempt)
        _log.error(
            "the last progress or ledger entry could not be written", extra={"event": "report_lost"}
        )

    def write_now(self) -> bool:
        """Write all; returns whether all went well. What failed was logged."""
        with self._writing:
            # The ledger first: it belongs to this incarnation alone, whoever trains by now.
            results = [
                self._try(write)
                for write in (self._write_ledger, self._write_metrics, self._write_progress)
            ]
            return all(results)

    def _run(self) -> None:
        while not self._closing.is_set():
            self.write_now()
            self._wake.wait(self._period_s)
            self._wake.clear()

    def _write_ledger(self) -> None:
        entry = self._make_ledger_entry()
        self._store.write(object_names.ledger_entry(entry.job_id, entry.incarnation), encode(entry))

    def _write_progress(self) -> None:
        progress = self._make_progress()
        if progress is not None:
            self._file.write(progress)

    def _try(self, write: Callable[[], None]) -> bool:
        try:
            write()
        except LeaseLostError as error:
            self._on_superseded(error)
        except (StorageError, ValueError) as error:
            _log.warning(
                "report not written, trying again: %s", error, extra={"event": "report_late"}
            )
            return False
        return True
