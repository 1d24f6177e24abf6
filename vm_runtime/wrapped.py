"""Runs any command inside a session: SIGTERM when it has to stop, and it is started again later.

What the command keeps is its own affair: it must checkpoint on SIGTERM and go on from there when
it is started again. A step of such a job is a second in which the command has run.
"""

import hashlib
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from vm_runtime.checkpoint import Checkpoints
from vm_runtime.checkpoint_objects import CheckpointError
from vm_runtime.contract.ledger import SegmentKind
from vm_runtime.script import ExitCode, outcome
from vm_runtime.session import LeaseLostError, StopReason
from vm_runtime.vm_session import VmSession

_log = logging.getLogger(__name__)

MARKER = "command.json"
"""Payload of this job's checkpoints: how often and how long the command has run."""

_KEEPER = Path(__file__).with_name("keeper.py")
_LOOK_S = 0.1
_REPORT_S = 1.0
_ROOM = 1.25
"""A command that takes longer than was declared: a quarter more than it has taken, each time."""
_ENDED_BY_SIGNAL = 128


class Group:
    """A command with all that it starts: signalled, and killed, as a whole."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start it."""
        self._process = subprocess.Popen(  # noqa: S603 - what the user asked for, no shell
            [sys.executable, "-I", str(_KEEPER), *command],
            stdin=subprocess.PIPE,
            env=dict(environment),
            start_new_session=True,
        )

    @property
    def exit_code(self) -> int | None:
        """Exit code as shells have it; `None` while it runs."""
        return self._process.poll()

    def terminate(self) -> None:
        """Send SIGTERM to all of it."""
        self._signal(signal.SIGTERM)

    def close(self) -> None:
        """Kill what is left of it."""
        self._signal(signal.SIGKILL)
        self._process.wait()
        if self._process.stdin:
            with suppress(BrokenPipeError):
                self._process.stdin.close()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


def run_command(
    session: VmSession, command: Sequence[str], environment: Mapping[str, str], *, grace_s: float
) -> ExitCode:
    """Run the command until it ends or has to stop, and end the session.

    Ended by itself with 0, the job is finished; with another code it has failed. Told to stop, it
    is started again later, whatever its code.

    Args:
        session: started.
        command: what to run, and its arguments.
        environment: all of its variables.
        grace_s: real seconds from SIGTERM to SIGKILL.
    """
    try:
        reason = session.begin()
        if reason is not None:
            session.end(finished=False, stopped_because=reason)
            return outcome(session)
        _Stay(session, command).run(environment, grace_s)
    except LeaseLostError as error:
        _log.warning("superseded: %s", error, extra={"event": "superseded"})
        session.leave(str(error))
    except CheckpointError as error:
        session.fail(f"expected to note how far the command is, found: {error}")
    return outcome(session)


class _Stay:
    """One run of the command, from its start to its end."""

    def __init__(self, session: VmSession, command: Sequence[str]) -> None:
        self._session, self._command = session, list(command)
        self._checkpoints = Checkpoints(
            session.store, session.job.job_id, session.incarnation, session.clock
        )
        self._first_step = self._checkpoints.take_over().step
        self._began_at = session.clock.now()

    def run(self, environment: Mapping[str, str], grace_s: float) -> None:
        latest = self._checkpoints.latest
        if latest.finished:
            self._session.end(finished=True, stopped_because=None)
            return
        self._session.spend(SegmentKind.TRAIN)
        self._began_at = self._session.clock.now()
        group = Group(self._command, environment)
        try:
            reason = self._follow(group)
            if reason is not None:
                self._session.spend(SegmentKind.CHECKPOINT)
                self._stop(group, reason, grace_s)
        finally:
            group.close()
        self._tell_end(group.exit_code, reason)

    def _follow(self, group: Group) -> StopReason | None:
        """Return why it has to stop, `None` once it has ended by itself."""
        reported_s = 0.0
        while group.exit_code is None:
            self._session.check_lease()
            reason = self._session.stop_reason()
            if reason is not None:
                return reason
            if time.monotonic() - reported_s >= _REPORT_S:
                reported_s = time.monotonic()
                self._report(self._steps_done())
            time.sleep(_LOOK_S)
        return None

    def _stop(self, group: Group, reason: StopReason, grace_s: float) -> None:
        _log.info("SIGTERM to the command: %s", reason, extra={"event": "command_stopped"})
        end_s = time.monotonic() + grace_s
        group.terminate()
        while group.exit_code is None and time.monotonic() < end_s:
            self._session.check_lease()
            time.sleep(_LOOK_S)
        if group.exit_code is None:
            _log.warning(
                "SIGKILL to the command: still there %g s after SIGTERM. What it did since its own"
                " last checkpoint is lost; give it more time, or let it checkpoint on SIGTERM",
                grace_s,
                extra={"event": "command_killed"},
            )
        elif group.exit_code == _ENDED_BY_SIGNAL + signal.SIGTERM:
            _log.warning(
                "the command was ended by SIGTERM itself: what it did since its own last checkpoint"
                " is lost. Let it catch SIGTERM and checkpoint",
                extra={"event": "command_unprepared"},
            )

    def _tell_end(self, code: int | None, reason: StopReason | None) -> None:
        session = self._session
        if reason is None and code:
            session.fail(
                f"{self._command[0]} failed: expected exit code 0, found {code}. Its output says"
                " why. Mend it and run the same command again: it goes on where it was."
            )
            return
        finished, done = reason is None, self._steps_done()
        self._report(done, is_finished=finished)
        self._commit(done, code, finished=finished)
        self._report(done, is_finished=finished)
        session.end(finished=finished, stopped_because=reason)

    def _report(self, done: int, *, is_finished: bool = False) -> None:
        declared_h = self._session.job.work_h
        total = None if declared_h is None else round(declared_h * 3600)
        if total is not None and done >= total:
            total = round(_ROOM * done) + 1
        self._session.report(
            steps_done=done,
            steps_total=done if is_finished else total,
            seconds_per_step=1.0,
            metrics={},
            committed_step=self._checkpoints.latest.step,
        )

    def _steps_done(self) -> int:
        ran_s = (self._session.clock.now() - self._began_at).total_seconds()
        return self._first_step + max(int(ran_s), 0)

    def _commit(self, done: int, code: int | None, *, finished: bool) -> None:
        """Note how far it is, so that the job's end, and that it got on, can be seen."""
        marker = {"command": self._command, "exit_code": code, "ran_s": done}
        data = json.dumps(marker, indent=1).encode()

        def write(stream: BinaryIO) -> None:
            stream.write(data)

        self._session.check_lease()
        self._session.save_metrics()
        self._checkpoints.commit(
            done,
            {MARKER: write},
            finished=finished,
            weights_sha256=hashlib.sha256(data).hexdigest(),
        )
