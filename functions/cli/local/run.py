"""The loop of a local training: forecast and plan each hour, look, act, show, until it is over."""

import logging
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import FrameType
from typing import Protocol

from functions.cli.local.folder import Folder, Saved
from functions.cli.local.machine import OneMachine
from functions.cli.local.wanted import Wanted
from functions.cli.reading import JobReader
from functions.domain.accounting.document import Receipt
from functions.domain.lifecycle.actions import Owner
from functions.domain.lifecycle.state import JobState, Phase, Verb
from functions.errors import SchedulerError, TransientError
from functions.handlers.documents import Documents
from functions.handlers.reconcile import reconcile
from functions.handlers.settle import write_receipt
from functions.handlers.submit import submit
from functions.handlers.tick import tick
from functions.handlers.wishes import wish
from functions.ports import IntensitySource
from functions.report.documents import JobDocuments
from functions.wire import WakeUp, WakeUpKind
from vm_runtime.contract import object_names as names

_LOG = logging.getLogger(__name__)

_LOOK_S = 0.5
"""Real seconds between two looks."""
_AGAIN = timedelta(minutes=5)
"""A forecast that could not be made is tried again after it."""
_PUBLISHED = timedelta(hours=3)
"""Recorded hours are waited for so long after the end, in a trial."""
_MOST_STEPS = 20


class Watcher(Protocol):
    """Whoever looks on."""

    def show(self, documents: JobDocuments) -> None:
        """See how things are now."""
        ...

    def trouble(self, text: str) -> None:
        """Hear of something that a person should know."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a run came to its end."""

    documents: JobDocuments
    stopped_by: signal.Signals | None
    """The signal that ended it before the training was over."""

    @property
    def receipt(self) -> Receipt | None:
        """What the training emitted, once it is over."""
        return self.documents.receipt

    @property
    def phase(self) -> Phase:
        """How the training stands."""
        return self.documents.state.phase if self.documents.state else Phase.ACTIVE


@dataclass(slots=True)
class Run:
    """One run of the command: from its start, or from where an earlier one was stopped."""

    folder: Folder
    wanted: Wanted
    source: IntensitySource
    watcher: Watcher
    before: Saved | None
    _stopped_by: signal.Signals | None = None
    _next_tick: datetime | None = None

    def run(self) -> Ended:
        """Train until it is over, or until SIGINT or SIGTERM.

        Raises:
            SchedulerError: it cannot be trained; the message says what to mend.
            KeyboardInterrupt: at a second SIGINT; the training is killed.
        """
        machine = OneMachine(
            folder=self.folder, wanted=self.wanted, source=self.source, before=self.before
        )
        with self._on_signals():
            machine.start()
            try:
                self._submit(machine)
                machine.save(at_once=True)
                return self._follow(machine)
            finally:
                machine.close()

    def _submit(self, machine: OneMachine) -> None:
        documents = Documents(machine.ports.store)
        state = documents.find(JobState, names.state(self.wanted.job_id))
        if state is None:
            job = self.wanted.job(machine.clock.now())
            submit(machine.ports.store, machine.wishes, job, self.wanted.source())
        elif state.document.phase.is_final and state.document.phase is not Phase.FINISHED:
            # Whoever runs the command again after a failure has mended what was wrong.
            wish(
                machine.ports.store,
                self.wanted.job_id,
                Verb.RETRY,
                machine.clock.now(),
                source=self.wanted.source(),
            )

    def _follow(self, machine: OneMachine) -> Ended:
        reader = JobReader(machine.ports.store, self.wanted.job_id)
        while True:
            self._tick_if_due(machine)
            self._reconcile(machine, tuple(Owner))
            documents = reader.read(machine.clock.now())
            if self._is_over(machine, documents):
                documents = self._settled(machine, reader)
                if self._has_all(documents):
                    self.watcher.show(documents)
                    return Ended(documents=documents, stopped_by=None)
            self.watcher.show(documents)
            if self._stopped_by is not None:
                return self._stop(machine, reader)
            machine.save()
            self._wait(machine)

    def _tick_if_due(self, machine: OneMachine) -> None:
        """Forecast and plan at each full hour, or soon again if that did not work."""
        now = machine.clock.now()
        due = self._next_tick is None or now >= self._next_tick
        if not (due or machine.wishes.wants_tick):
            return
        machine.wishes.wants_tick = False
        self._next_tick = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        try:
            result = tick(machine.ports, machine.timing, (self.wanted.grid_zone,))
        except TransientError as error:
            self._next_tick = now + _AGAIN
            self.watcher.trouble(f"no new forecast: {error} It is tried again in 5 minutes.")
            return
        if result.failed:
            self._next_tick = now + _AGAIN

    def _reconcile(self, machine: OneMachine, owners: tuple[Owner, ...]) -> None:
        """Take steps until nothing more is to do now."""
        for _ in range(_MOST_STEPS):
            machine.wishes.wants_look = False
            for owner in owners:
                message = WakeUp(kind=WakeUpKind.AGAIN, job_id=self.wanted.job_id)
                try:
                    reconcile(machine.ports, machine.timing, owner, message)
                except TransientError as error:
                    _LOG.warning("%s: looked at again soon (%s)", owner, error)
            if not machine.wishes.wants_look:
                return

    def _is_over(self, machine: OneMachine, documents: JobDocuments) -> bool:
        state = documents.state
        return state is not None and state.phase.is_final and not machine.ports.fleet.list()

    def _settled(self, machine: OneMachine, reader: JobReader) -> JobDocuments:
        try:
            write_receipt(machine.ports.store, self.wanted.job_id, machine.clock.now())
        except SchedulerError as error:
            self.watcher.trouble(f"no receipt: {error}")
        return reader.read(machine.clock.now())

    def _has_all(self, documents: JobDocuments) -> bool:
        """Whether nothing is to be waited for: of live data the last hours come too late."""
        receipt, state = documents.receipt, documents.state
        if self.wanted.history is None or receipt is None or receipt.complete:
            return True
        closed_at = state.closed_at if state else None
        return closed_at is None or documents.read_at > closed_at + _PUBLISHED

    def _stop(self, machine: OneMachine, reader: JobReader) -> Ended:
        self.watcher.trouble("stopping: the training saves its work ...")
        machine.stop_training()
        # What ended is booked and removed; nothing new is started.
        self._reconcile(machine, (Owner.STOP_VM,))
        documents = reader.read(machine.clock.now())
        if self._is_over(machine, documents):
            documents = self._settled(machine, reader)
            return Ended(documents=documents, stopped_by=None)
        return Ended(documents=documents, stopped_by=self._stopped_by)

    def _wait(self, machine: OneMachine) -> None:
        """Wait for the next look, or for the boundary if that comes first."""
        wait_s = _LOOK_S
        if machine.wishes.boundary is not None:
            left = machine.wishes.boundary - machine.clock.now()
            wait_s = min(wait_s, max(machine.clock.wait_s(left.total_seconds()), 0.05))
        end_s = time.monotonic() + wait_s
        while time.monotonic() < end_s and self._stopped_by is None:
            time.sleep(0.05)

    @contextmanager
    def _on_signals(self) -> Iterator[None]:
        """Let SIGINT and SIGTERM end the loop; a second SIGINT interrupts as usual."""

        def on_signal(number: int, _frame: FrameType | None) -> None:
            self._stopped_by = signal.Signals(number)
            signal.signal(signal.SIGINT, signal.default_int_handler)

        is_main = threading.current_thread() is threading.main_thread()
        numbers = (signal.SIGINT, signal.SIGTERM) if is_main else ()
        before = {number: signal.signal(number, on_signal) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
