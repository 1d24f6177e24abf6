"""A training inside a job: lease, checkpoints, stopping and reporting around the loop."""

import logging
import tempfile
from dataclasses import asdict
from datetime import datetime
from math import isfinite
from pathlib import Path

import torch

from vm_runtime.checkpoint import Checkpoints, CheckpointWriteError
from vm_runtime.contract.ledger import SegmentKind
from vm_runtime.seeding import undisturbed_rng
from vm_runtime.session import Session, StopReason
from vm_runtime.state import (
    State,
    check_plain,
    non_finite_parameters,
    weights_digest,
)
from vm_runtime.trainer_loop import Event, NonFiniteError, Position, TrainingLoop
from vm_runtime.trainer_settings import TrainingSettings

PAYLOAD = "state.pt"
"""The payload's name: what `TrainingLoop.state_dict` returned, by `torch.save`."""

_log = logging.getLogger(__name__)


class SessionRun:
    """One stay of a training on a VM, from taking the job over to its end or stop."""

    def __init__(self, session: Session, settings: TrainingSettings, loop: TrainingLoop) -> None:
        """Prepare; nothing is read or written before `run`."""
        self._session = session
        self._settings = settings
        self._loop = loop
        self._checkpoints = Checkpoints(
            session.store, session.job.job_id, session.incarnation, session.clock
        )
        self._committed_at: datetime = session.clock.now()
        self._committed: Position | None = None
        self._started_at: datetime = session.clock.now()
        self._first_step = 0

    def run(self) -> StopReason | None:
        """Train until the work is done (`None`) or there is a reason to stop.

        Raises:
            LeaseLostError: another VM has the job; nothing was written after that.
            CheckpointError: a checkpoint could not be written, or none could be read.
            StateMismatchError: the checkpoint belongs to another training.
            NonFiniteError: loss, gradient or weights are NaN or infinite.
        """
        session = self._session
        reason = session.begin()
        if reason is not None:
            session.end(finished=False, stopped_because=reason)
            return reason
        session.spend(SegmentKind.LOAD)
        self._checkpoints.take_over()
        if not self._restore():
            self._committed_at = self._started_at = session.clock.now()
            self._first_step = self._loop.position.step
            session.spend(SegmentKind.TRAIN)
            reason = self._train()
            if reason is not None:
                self._stop(reason)
                return reason
            self._commit(finished=True)
        self._report()
        session.end(finished=True, stopped_because=None)
        return None

    def _restore(self) -> bool:
        """Go to the latest checkpoint, or to the start; return whether the work is done."""
        with self._checkpoints.restore() as restored:
            if restored is None:
                self._loop.start()
                return False
            state: State = torch.load(restored.folder / PAYLOAD, weights_only=True)
            self._loop.load_state_dict(state)
        self._committed = Position(**asdict(self._loop.position))
        _log.info("resumed from checkpoint %s", restored.manifest.checkpoint_id)
        # A finished training goes on if the script now asks for more epochs.
        return restored.manifest.finished and self._loop.done

    def _train(self) -> StopReason | None:
        """Go on until the work is done or there is a reason to stop, which is returned."""
        session, loop = self._session, self._loop
        while not loop.done:
            session.check_lease()
            reason = session.stop_reason()
            if reason is not None:
                return reason
            event = loop.advance()
            if event is Event.STEP:
                self._report()
            if event is Event.EPOCH_END or self._is_due():
                self._commit_on_the_way()
        return None

    def _commit_on_the_way(self) -> None:
        if not self._loop.done:  # else the final commit follows at once
            self._commit(finished=False)

    def _is_due(self) -> bool:
        every_s = self._settings.checkpoint_every_s
        if every_s is None:
            return False
        now = self._session.clock.now()
        self._committed_at = min(self._committed_at, now)  # a clock set back delays nothing
        return (now - self._committed_at).total_seconds() >= every_s

    def _stop(self, reason: StopReason) -> None:
        loop = self._loop
        if loop.position != self._committed:
            self._commit(finished=False)
        self._report()
        # After the commit: a callback that raises or hangs must not cost what was trained.
        with undisturbed_rng():
            loop.call("on_stop", reason)
        self._session.end(finished=False, stopped_because=reason)

    def _commit(self, *, finished: bool) -> None:
        """Write a checkpoint; whatever that draws at random leaves the training as it was."""
        self._session.spend(SegmentKind.CHECKPOINT)
        step = self._loop.position.step
        with undisturbed_rng():
            self._refuse_spoilt_weights()
            self._session.check_lease()
            with tempfile.TemporaryDirectory(prefix="snapshot-") as folder:
                payload = Path(folder) / PAYLOAD
                self._serialise(payload)
                self._checkpoints.commit(
                    step,
                    {PAYLOAD: payload},
                    finished=finished,
                    weights_sha256=weights_digest(self._settings.model),
                )
            self._loop.call("on_checkpoint", step)
        self._committed = Position(**asdict(self._loop.position))
        self._committed_at = self._session.clock.now()
        self._session.spend(SegmentKind.TRAIN)

    def _refuse_spoilt_weights(self) -> None:
        spoilt = non_finite_parameters(self._settings.model)
        if spoilt:
            message = (
                f"expected finite weights after step {self._loop.position.step}, found NaN or"
                f" infinity in {', '.join(spoilt[:4])}; the last checkpoint is kept; lower the"
                " learning rate or set clip_norm"
            )
            raise NonFiniteError(message)

    def _serialise(self, target: Path) -> None:
        state = self._loop.state_dict()
        check_plain(state)
        try:
            with target.open("wb") as file:
                torch.save(state, file)
        except (OSError, RuntimeError) as error:  # torch's writer reports a full disk as either
            message = (
                f"expected room for a snapshot in {target.parent}, found {error}; no checkpoint"
                " was touched; free space there (TMPDIR names another place), then start again"
            )
            raise CheckpointWriteError(message) from error

    def _report(self) -> None:
        loop = self._loop
        done = loop.position.step - self._first_step
        elapsed_s = (self._session.clock.now() - self._started_at).total_seconds()
        with undisturbed_rng():
            self._session.report(
                steps_done=loop.position.step,
                steps_total=loop.steps_total,
                seconds_per_step=elapsed_s / done if done and elapsed_s > 0 else None,
                metrics={name: value for name, value in loop.metrics.items() if isfinite(value)},
                committed_step=self._checkpoints.latest.step,
            )
