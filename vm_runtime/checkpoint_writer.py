"""Checkpoints beside the training: copied in memory at once, written in the background.

One checkpoint is on its way at a time, so that memory holds one copy of the state at most.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import torch

from vm_runtime.checkpoint import Checkpoints, CheckpointWriteError
from vm_runtime.checkpoint_cadence import CheckpointCost
from vm_runtime.checkpoint_objects import CheckpointNotWantedError
from vm_runtime.checkpoint_snapshot import SnapshotBuffers
from vm_runtime.contract.checkpoint import Latest
from vm_runtime.session import LeaseLostError
from vm_runtime.state import State, check_plain
from vm_runtime.storage.port import StorageUnavailableError

PAYLOAD: Final = "state.pt"
"""The payload's name: a state, by `torch.save`, to be loaded with `weights_only`."""

_TOLERATED_FAILURES = 3
"""So many checkpoints in a row may find the store unavailable before training gives up."""

_log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class _Write:
    """A checkpoint on its way."""

    step: int
    pause_s: float
    thread: threading.Thread | None = None
    unwanted: threading.Event = field(default_factory=threading.Event)
    latest: Latest | None = None
    cost: CheckpointCost | None = None
    error: BaseException | None = None


class CheckpointWriter:
    """Commits states of one training, in the background or at once."""

    def __init__(
        self,
        checkpoints: Checkpoints,
        *,
        describe: Callable[[State], str],
        check_lease: Callable[[], object],
        before_commit: Callable[[], object] = lambda: None,
        in_background: bool = True,
    ) -> None:
        """Write nothing yet.

        Args:
            checkpoints: of the job, taken over.
            describe: returns the digest of the weights in a state, or raises if they must
                not be saved; called in the background.
            check_lease: raises `LeaseLostError` unless the lease is surely held; called in
                the background, between any two pieces of a write.
            before_commit: called before each write, in its thread.
            in_background: whether training goes on meanwhile.
        """
        self._before_commit = before_commit
        self._checkpoints = checkpoints
        self._describe = describe
        self._check_lease = check_lease
        self._in_background = in_background
        self._buffers = SnapshotBuffers()
        self._write: _Write | None = None
        self._failures = 0
        self.cost: CheckpointCost | None = None
        """What the last committed checkpoint cost; `None`: none yet."""

    @property
    def is_busy(self) -> bool:
        """Whether a checkpoint is on its way, or `poll` has not told of it yet."""
        return self._write is not None

    @property
    def has_failed(self) -> bool:
        """Whether the last one could not be written, which `poll` let pass."""
        return self._failures > 0

    def prepare(self, state: State) -> None:
        """Get memory for checkpoints of states like this one, lest the first one waits for it."""
        if self._in_background and self._write is None:
            self._buffers.prepare(state)

    def begin(self, state: State, *, step: int) -> None:
        """Copy a state and begin to write it; the original may change as soon as this returns.

        Args:
            state: what to save.
            step: optimizer steps in it.

        Raises:
            RuntimeError: one is on its way; ask `is_busy`.
            TypeError: something in the state could not be loaded again.
        """
        if self._write is not None:
            message = "expected one checkpoint at a time, found another on its way"
            raise RuntimeError(message)
        began_at = time.perf_counter()
        if not self._in_background:
            check_plain(state)
            self._write = _Write(step=step, pause_s=0.0)
            self._run(self._write, state, finished=False)
            return
        snapshot = self._buffers.take(state)
        write = _Write(step=step, pause_s=time.perf_counter() - began_at)
        write.thread = threading.Thread(
            target=self._run,
            args=(write, snapshot),
            kwargs={"finished": False},
            name=f"checkpoint {step}",
            daemon=True,
        )
        self._write = write
        write.thread.start()

    def poll(self) -> Latest | None:
        """Return LATEST if a checkpoint was committed since the last call. Cheap.

        Raises:
            LeaseLostError: another VM has the job; LATEST was left as it is.
            CheckpointWriteError: it could not be written, and it makes no sense to go on.
            Exception: what `describe` raised.
        """
        write = self._write
        if write is None or (write.thread is not None and write.thread.is_alive()):
            return None
        return self._take_result(write)

    def wait(self) -> Latest | None:
        """Wait for the checkpoint on its way, then do as `poll`."""
        if self._write is not None and self._write.thread is not None:
            self._write.thread.join()
        return self.poll()

    def flush(
        self, state: State, *, step: int, finished: bool, left_s: float | None = None
    ) -> Latest:
        """Commit a state now; what is on its way is given up for it.

        Unless too little time is left for this one: then the one on its way goes first.

        Args:
            state: what to save; it must not change meanwhile.
            step: optimizer steps in it.
            finished: whether training is complete.
            left_s: real seconds until the machine may be gone; `None`: as long as it takes.

        Raises:
            LeaseLostError: another VM has the job; LATEST was left as it is.
            CheckpointWriteError: it could not be written.
            Exception: what `describe` raised.
        """
        hopeless = left_s is not None and self.cost is not None and self.cost.write_s > left_s
        self._settle(give_up=not hopeless)
        check_plain(state)
        write = self._write = _Write(step=step, pause_s=0.0)
        self._run(write, state, finished=finished)
        self._failures = _TOLERATED_FAILURES  # there is no next time
        latest = self._take_result(write)
        assert latest is not None  # noqa: S101  else it had raised
        return latest

    def close(self, *, give_up: bool) -> None:
        """End what is on its way: give it up, or wait for it. Errors are logged."""
        self._settle(give_up=give_up)

    def _settle(self, *, give_up: bool) -> None:
        write = self._write
        if write is None:
            return
        if give_up:
            write.unwanted.set()
        if write.thread is not None:
            write.thread.join()
        self._write = None
        if write.latest is not None:
            self.cost = write.cost
        elif isinstance(write.error, LeaseLostError):
            raise write.error
        elif write.error is not None and not isinstance(write.error, CheckpointNotWantedError):
            _log.warning(
                "checkpoint of step %d failed: %s",
                write.step,
                write.error,
                extra={"event": "checkpoint_failed"},
            )

    def _take_result(self, write: _Write) -> Latest | None:
        self._write = None
        error = write.error
        if error is None:
            self.cost, self._failures = write.cost, 0
            return write.latest
        self._failures += 1
        unavailable = isinstance(error, CheckpointWriteError) and isinstance(
            error.__cause__, StorageUnavailableError
        )
        if not unavailable or self._failures > _TOLERATED_FAILURES:
            raise error
        _log.warning(
            "checkpoint of step %d failed, training goes on and tries again (%d of %d): %s",
            write.step,
            self._failures,
            _TOLERATED_FAILURES,
            error,
        )
        return None

    def _run(self, write: _Write, state: State, *, finished: bool) -> None:
        """Write a state; the result, or whatever was raised, is left in `write`."""
        began_at, cpu_began_s = time.perf_counter(), time.thread_time()

        def check_wanted() -> None:
            if write.unwanted.is_set():
                raise CheckpointNotWantedError
            self._check_lease()

        try:
            self._before_commit()
            write.latest = self._checkpoints.commit(
                write.step,
                {PAYLOAD: lambda stream: torch.save(state, stream)},
                finished=finished,
                weights_sha256=self._describe(state),
                check_wanted=check_wanted,
            )
        except BaseException as error:  # noqa: BLE001 - raised in the training's thread, by `poll`
            write.error = error
            return
        write_s = time.perf_counter() - began_at
        in_background = write.thread is not None
        cpu_s = (time.thread_time() - cpu_began_s) / (os.cpu_count() or 1)
        write.cost = CheckpointCost(
            pause_s=write.pause_s if in_background else write_s,
            background_cpu_s=cpu_s if in_background else 0.0,
            write_s=write_s,
            size_bytes=self._checkpoints.size_bytes,
        )
