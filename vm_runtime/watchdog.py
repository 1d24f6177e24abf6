"""Ends a process that hangs: the machine powers off with it, so no VM burns on.

Two limits: how long the script may be silent, and how long it may go on after its interval.
"""

import faulthandler
import logging
import os
import sys
import threading
import traceback
from typing import Final

from vm_runtime.contract.clock import Clock
from vm_runtime.script import ExitCode, outcome
from vm_runtime.stop import StopFlag
from vm_runtime.vm_session import VmSession

_log = logging.getLogger(__name__)

_SLOWEST_LOOK_S = 5.0
_FASTEST_LOOK_S = 0.02
_LAST_WORDS_S = 60.0
"""Real seconds for the report of a hang; then the process ends without it."""
_FROZEN_S: Final = 60.0
"""Real seconds beyond the silence after which even this thread is taken to be stuck."""
_SHOWN_LINES = 12


class Watchdog:
    """Looks now and then, in a thread of its own."""

    def __init__(self, *, stop: StopFlag, clock: Clock, grace_s: float) -> None:
        """Take what to look at.

        Args:
            stop: knows the interval's end.
            clock: the deployment's clock.
            grace_s: how long the script may go on after its interval's end, seconds on `clock`.
        """
        self._stop, self._clock, self._grace_s = stop, clock, grace_s
        self._main = threading.get_ident()
        self._session: VmSession | None = None
        self._silence_s = float("inf")
        self._silent_s = 0.0
        self._signs = -1

    def start(self) -> None:
        """Look from now on."""
        threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    def guard(self, session: VmSession) -> None:
        """Look at this session too: it has started, and its script shall not be silent."""
        self._silence_s = 60 * session.job.max_silence_minutes
        self._session = session

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            look_s = self._look_s()
            pause.wait(look_s)
            self._watch_this_thread()
            if self._stop.is_overdue(self._grace_s):
                self._end(f"still here {self._grace_s:g} s after its interval's end")
            if self._is_silent(look_s):
                self._end(f"silent for {self._silence_s / 60:g} minutes")

    def _look_s(self) -> float:
        grace_s = self._clock.wait_s(self._grace_s)
        return max(min(_SLOWEST_LOOK_S, grace_s / 10, self._silence_s / 10), _FASTEST_LOOK_S)

    def _is_silent(self, look_s: float) -> bool:
        """Whether too long passed without a step; time in which all stood still is not counted."""
        session = self._session
        if session is None or session.signs_of_life != self._signs:
            self._signs = session.signs_of_life if session else -1
            self._silent_s = 0.0
        else:
            self._silent_s += look_s
        return self._silent_s > self._silence_s

    def _watch_this_thread(self) -> None:
        """Let C code end the process, with all tracebacks, if this thread comes no more.

        So it is when an extension hangs that holds Python's global lock.
        """
        if self._silence_s < float("inf"):
            faulthandler.dump_traceback_later(
                self._silence_s + _FROZEN_S, exit=True, file=sys.__stderr__ or 2
            )

    def _end(self, what: str) -> None:
        where = self._where()
        _log.critical(
            "the script hangs: %s; the process ends by force. It was at:\n%s",
            what,
            where,
            extra={"event": "hangs"},
        )
        session = self._session
        had_ended = session is not None and session.has_ended
        if session is not None and not had_ended:
            report = threading.Thread(
                target=session.fail,
                args=(
                    f"{session.job.script} hangs: {what}. It was at:\n"
                    + "\n".join(where.splitlines()[-_SHOWN_LINES:])
                    + "\nWhat to do: find what it waits for (a download, a lock, a loader worker);"
                    " a script that needs longer for a step may say so by `max_silence_minutes`"
                    " in the job.",
                ),
                daemon=True,
            )
            report.start()
            report.join(_LAST_WORDS_S)
        # If its end was told before, that holds: a thread of the script keeps it from leaving.
        os._exit(outcome(session) if session is not None and had_ended else ExitCode.FAILED)

    def _where(self) -> str:
        frame = sys._current_frames().get(self._main)  # noqa: SLF001 - there is no other way
        return "".join(traceback.format_stack(frame)).rstrip() if frame else "nowhere"
