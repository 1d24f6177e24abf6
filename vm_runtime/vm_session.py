"""The job around a training on a VM (or in a folder): lease, stop, progress and ledger as one."""

import logging
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from math import isfinite

from vm_runtime.contract import object_names
from vm_runtime.contract.checkpoint import Latest
from vm_runtime.contract.clock import Clock
from vm_runtime.contract.codec import decode
from vm_runtime.contract.job import Job
from vm_runtime.contract.ledger import LedgerEntry, SegmentKind
from vm_runtime.contract.progress import Progress, RunState
from vm_runtime.energy import EnergyCounter, Meter
from vm_runtime.json_log import note_step
from vm_runtime.lease import LeaseKeeper
from vm_runtime.metrics_file import MetricsFile
from vm_runtime.metrics_writer import MetricsWriter
from vm_runtime.pace import Pace, usable
from vm_runtime.place import Place
from vm_runtime.reporting import ProgressFile, Reporter
from vm_runtime.session import LeaseLostError, StopReason
from vm_runtime.stop import StopFlag
from vm_runtime.storage.port import BlobNotFoundError, BlobStore, StorageError

_log = logging.getLogger(__name__)

REPORT_PERIOD_S = 15.0
"""Seconds on the deployment's clock between two reports."""

_FASTEST_REPORT_S = 0.2
_SLOWEST_POLL_S = 2.0
_FASTEST_POLL_S = 0.05
_PATIENCE_S = 1800.0


class VmSession:
    """Implements `vm_runtime.session.Session`."""

    def __init__(  # noqa: PLR0913 - the parts it is made of
        self,
        *,
        job: Job,
        place: Place,
        store: BlobStore,
        clock: Clock,
        stop: StopFlag,
        lease: LeaseKeeper,
        poll_s: float,
        counters: Sequence[EnergyCounter] = (),
    ) -> None:
        """Take the parts; `start` makes the first effect.

        Args:
            job: the job document.
            place: who runs and where.
            store: the bucket.
            clock: the deployment's clock.
            stop: why to stop.
            lease: not yet held.
            poll_s: how often to look whether the lease is free, seconds on `clock`.
            counters: what of the machine's energy can be measured.
        """
        self._job, self._place, self._store, self._clock = job, place, store, clock
        self._stop, self._lease = stop, lease
        self._poll_s = min(max(clock.wait_s(poll_s), _FASTEST_POLL_S), _SLOWEST_POLL_S)
        self._guard = threading.Lock()
        self._meter = Meter(
            power_w=job.power_w,
            started_at=place.started_at,
            kind=SegmentKind.LOAD,
            counters=counters,
        )
        self._superseded = ""
        self._ended_because = ""
        self._begun = self._ended = self._has_lease = self._ran_out = False
        self._signs_of_life = 0
        self._first_step = self._last_step = self._committed_step = 0
        self._file = ProgressFile(store, job.job_id)
        self._progress = place.first_report(None, job.job_id)
        self._metrics = MetricsFile(store, job.job_id, place.incarnation)
        self._pace = Pace()
        self._metrics_writer = MetricsWriter(self._metrics, clock, is_held=self._is_held)
        self._reporter = Reporter(
            store=store,
            progress_file=self._file,
            make_progress=self._present_progress,
            make_ledger_entry=self._present_ledger_entry,
            on_superseded=self._on_superseded,
            write_metrics=lambda: self._metrics_writer.write_if_due(is_last=self._ended),
            period_s=max(clock.wait_s(REPORT_PERIOD_S), _FASTEST_REPORT_S),
        )

    @property
    def job(self) -> Job:
        """The job document."""
        return self._job

    @property
    def incarnation(self) -> int:
        """Incarnation of this VM, the fencing token."""
        return self._place.incarnation

    @property
    def store(self) -> BlobStore:
        """The bucket."""
        return self._store

    @property
    def clock(self) -> Clock:
        """The deployment's clock."""
        return self._clock

    @property
    def signs_of_life(self) -> int:
        """A number that grows with each step of the training, and while it waits its turn."""
        return self._signs_of_life

    @property
    def has_begun(self) -> bool:
        """Whether `begin` was called."""
        return self._begun

    @property
    def has_ended(self) -> bool:
        """Whether `end` was called, or `fail`, or `leave`."""
        return self._ended

    @property
    def has_finished(self) -> bool:
        """Whether all work is done."""
        return self._progress.state is RunState.FINISHED

    @property
    def has_failed(self) -> bool:
        """Whether `fail` was called."""
        return self._progress.state is RunState.FAILED

    def start(self) -> None:
        """Carry on from the last report and begin to report.

        Raises:
            DocumentError: the last report cannot be read.
            StorageError: the bucket did not answer.
        """
        self._progress = self._place.first_report(self._file.read(), self._job.job_id)
        self._note_committed()
        self._reporter.start()

    def begin(self) -> StopReason | None:
        """Block until the interval has started and the lease is held; see the Protocol.

        Raises:
            RuntimeError: the job is finished or failed already.
        """
        if self._ended:
            return self._reason_again()
        self._begun = True
        self._set_state(RunState.WAITING, SegmentKind.WAIT)
        _log.info(
            "waiting for %s and the lease",
            self._place.interval_start.isoformat(),
            extra={"event": "waiting"},
        )
        failing_since: datetime | None = None
        while (reason := self._stop.reason()) is None:
            self._signs_of_life += 1
            try:
                if self._clock.now() >= self._place.interval_start and self._lease.acquire():
                    break
                failing_since = None
            except StorageError as error:
                failing_since = failing_since or self._clock.now()
                if (self._clock.now() - failing_since).total_seconds() > _PATIENCE_S:
                    raise
                _log.warning(
                    "lease not taken, trying again: %s", error, extra={"event": "lease_unreachable"}
                )
            self._stop.wait(self._until_next_look())
        if reason is not None:
            return reason
        self._lease.start_renewing()
        self._has_lease = True
        self._note_committed()
        self._metrics.resume(self._committed_step)
        self._set_state(RunState.TRAINING, SegmentKind.LOAD)
        _log.info(
            "lease taken, training from step %d",
            self._committed_step,
            extra={"event": "lease_taken"},
        )
        return None

    def _reason_again(self) -> StopReason:
        reason = self._stop.reason()
        if self._progress.state is RunState.STOPPED and reason is not None:
            return reason
        raise RuntimeError(
            f"expected one training in a job, found another after the job was"
            f" {self._progress.state}. Call fit() once, and submit a second training as a job"
            " of its own."
        )

    def stop_reason(self) -> StopReason | None:
        """Return why to stop, `None` to go on."""
        self._signs_of_life += 1
        return self._stop.reason()

    @property
    def notice_s(self) -> float:
        """Real seconds that this machine stays up after it was told that it ends."""
        return self._place.notice_s

    @property
    def left_s(self) -> float | None:
        """Real seconds until the machine may be gone; `None`: nobody said that it will."""
        return self._stop.left_s

    def check_lease(self) -> None:
        """Raise `LeaseLostError` unless the lease is surely held now."""
        why = self._superseded or self._lease.lost
        if why:
            raise LeaseLostError(why)
        if not self._lease.held_surely(self._clock.now()):
            self._ran_out = True
            raise LeaseLostError(
                "expected a lease that lasts, found one that ran out before it was renewed:"
                " the machine stood still, or the bucket did not answer. It starts anew."
            )

    def spend(self, kind: SegmentKind) -> None:
        """Book the time from now on as `kind`."""
        with self._guard:
            self._meter.switch(kind, self._clock.now())

    def report(
        self,
        *,
        steps_done: int,
        steps_total: int | None,
        seconds_per_step: float | None,
        metrics: dict[str, float],
        committed_step: int,
    ) -> None:
        """Tell how far training is; written in the background; see the Protocol."""
        note_step(steps_done)
        # The documents refuse NaN; a diverging metric is no reason to stop training.
        metrics = {name: value for name, value in metrics.items() if isfinite(value)}
        now = self._clock.now()
        self._metrics.note(steps_done, metrics, now)
        seconds_per_step = self._pace.note(steps_done, now) or usable(seconds_per_step)
        with self._guard:
            self._last_step = steps_done
            committed_more = committed_step > self._committed_step
            self._committed_step = max(committed_step, self._committed_step)
            self._progress = replace(
                self._progress,
                steps_done=steps_done,
                steps_total=steps_total,
                seconds_per_step=seconds_per_step or self._progress.seconds_per_step,
                metrics=metrics,
                failures_in_a_row=0 if committed_more else self._progress.failures_in_a_row,
            )

    def end(self, *, finished: bool, stopped_because: StopReason | None) -> None:
        """Write the last progress and ledger entry, then release the lease."""
        why = "finished" if finished else str(stopped_because or "the script's own wish")
        state = RunState.FINISHED if finished else RunState.STOPPED
        safe_s = self._stop.since_s
        if stopped_because is not None:
            _log.info(
                "safe %.2f s after the first reason to stop (%s)",
                safe_s,
                stopped_because,
                extra={"event": "safe"},
            )
        self._close(
            state, why, message="" if finished else f"stopped: {why}, safe after {safe_s:.1f} s"
        )

    def fail(self, message: str) -> None:
        """Report that the script failed, close the ledger, release the lease.

        Args:
            message: for a person: what happened and what to do.
        """
        with self._guard:
            failures = self._progress.failures_in_a_row + 1
            self._progress = replace(self._progress, failures_in_a_row=failures)
        self._close(RunState.FAILED, "failed", message=message)

    def leave(self, why: str) -> None:
        """Go because the lease is not surely held any more.

        If another VM trains this job now, only the own ledger is closed, and not a word said.

        Args:
            why: what `check_lease` or a checkpoint's commit said.
        """
        if self._superseded or self._lease.lost or not self._ran_out:
            self._superseded = self._superseded or why
            self._close(self._progress.state, "superseded", message="")
        else:
            self._close(RunState.STOPPED, "lease ran out", message=why)

    def _close(self, state: RunState, why: str, *, message: str) -> None:
        if self._ended:
            return
        self._ended = True
        self._ended_because = why
        with self._guard:
            self._progress = replace(self._progress, message=message)
        self._set_state(state, SegmentKind.SHUTDOWN)
        self._reporter.close()
        try:
            self._lease.release()
        except StorageError as error:
            _log.warning("lease not released, it will run out: %s", error)

    def _set_state(self, state: RunState, kind: SegmentKind) -> None:
        with self._guard:
            self._progress = replace(self._progress, state=state)
            self._meter.switch(kind, self._clock.now())
        self._reporter.hurry()

    def _until_next_look(self) -> float:
        """Return real seconds until the interval starts, at most one poll."""
        left_s = (self._place.interval_start - self._clock.now()).total_seconds()
        return min(self._poll_s, self._clock.wait_s(left_s)) if left_s > 0 else self._poll_s

    def _note_committed(self) -> None:
        """Note the step of the latest committed checkpoint: where this VM goes on."""
        name = object_names.latest(self._job.job_id)
        try:
            step = decode(Latest, self._store.read(name).data, name=name).step
        except BlobNotFoundError:
            step = 0
        self._first_step = self._last_step = self._committed_step = step

    def save_metrics(self) -> None:
        """Write the metrics of all steps that were reported, if the lease is surely held.

        Called before a checkpoint is committed: after a crash the next VM goes on from it, so
        what came before it would be in no file.
        """
        self._metrics_writer.save()

    def _is_held(self) -> bool:
        return self._lease.held_surely(self._clock.now())

    def _present_progress(self) -> Progress | None:
        """Return the progress to write, `None` while it is another VM's to write.

        The target of a move waits while its source trains: were it to report, the source
        would take that for its own end.
        """
        if self._superseded or self._lease.lost:
            return None
        if not self._has_lease and self._lease.held_by_another():
            return None
        with self._guard:
            now = self._clock.now()
            return replace(
                self._progress,
                heartbeat_at=now,
                energy_kwh=self._meter.energy_kwh(now),
                energy_measured_kwh=self._meter.measured_kwh(now),
                energy_basis=self._meter.basis,
            )

    def _present_ledger_entry(self) -> LedgerEntry:
        with self._guard:
            now = self._clock.now()
            return LedgerEntry(
                job_id=self._job.job_id,
                vm=self._place.vm,
                incarnation=self._place.incarnation,
                compute_zone=self._place.compute_zone,
                started_at=self._place.started_at,
                updated_at=now,
                segments=self._meter.segments(now),
                first_step=self._first_step,
                last_step=max(self._last_step, self._first_step),
                committed_step=self._committed_step,
                energy_basis=self._meter.basis,
                energy_measured_kwh=self._meter.measured_kwh(now),
                ended_because=self._ended_because,
            )

    def _on_superseded(self, error: LeaseLostError) -> None:
        if not self._superseded:
            _log.error("superseded, training stops: %s", error, extra={"event": "superseded"})
        self._superseded = str(error)
