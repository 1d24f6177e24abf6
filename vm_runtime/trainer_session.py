"""A training inside a job: lease, checkpoints, stopping and reporting around the loop."""

import logging
from dataclasses import asdict
from datetime import datetime
from math import isfinite

from vm_runtime.checkpoint import Checkpoints
from vm_runtime.checkpoint_cadence import cadence, first_cadence, notice_warning
from vm_runtime.checkpoint_restore import describe_versions, load_state
from vm_runtime.checkpoint_writer import CheckpointWriter
from vm_runtime.contract.checkpoint import Latest
from vm_runtime.contract.ledger import SegmentKind
from vm_runtime.seeding import undisturbed_rng
from vm_runtime.session import LeaseLostError, Session, StopReason
from vm_runtime.state import State, StateMismatchError, non_finite_parameters, weights_digest
from vm_runtime.trainer_loop import Event, NonFiniteError, Position, TrainingLoop
from vm_runtime.trainer_settings import TrainingSettings

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
        self._writer = CheckpointWriter(
            self._checkpoints,
            describe=self._digest_of_sound_weights,
            check_lease=session.check_lease,
            in_background=settings.checkpoint_in_background,
        )
        self._cadence = first_cadence(settings.checkpoint_every_s)
        self._warned: set[str] = set()
        self._saved_at: datetime = session.clock.now()
        self._saved: Position | None = None
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
            self._saved_at = self._started_at = session.clock.now()
            self._first_step = self._loop.position.step
            session.spend(SegmentKind.TRAIN)
            reason = self._train_and_save()
            if reason is not None:
                self._stop(reason)
                return reason
        self._report()
        session.end(finished=True, stopped_because=None)
        return None

    def _train_and_save(self) -> StopReason | None:
        """Train; when this returns, all that was trained is committed."""
        try:
            reason = self._train()
            self._save_now(finished=reason is None)
        except LeaseLostError:
            self._writer.close(give_up=True)
            raise
        except BaseException:
            self._writer.close(give_up=False)  # what was sound before the trouble is kept
            raise
        return reason

    def _restore(self) -> bool:
        """Go to the latest checkpoint, or to the start; return whether the work is done."""
        with self._checkpoints.restore() as restored:
            if restored is None:
                self._loop.start()
                return False
            try:
                self._loop.load_state_dict(load_state(restored, like=self._loop.state_dict()))
            except StateMismatchError as error:
                error.add_note(describe_versions(restored.manifest))
                raise
        self._saved = Position(**asdict(self._loop.position))
        _log.info("resumed from checkpoint %s", restored.manifest.checkpoint_id)
        # A finished training goes on if the script now asks for more epochs.
        return restored.manifest.finished and self._loop.done

    def _train(self) -> StopReason | None:
        """Go on until the work is done or there is a reason to stop, which is returned."""
        session, loop = self._session, self._loop
        while not loop.done:
            session.check_lease()
            self._hear_of_commit(self._writer.poll())
            reason = session.stop_reason()
            if reason is not None:
                return reason
            event = loop.advance()
            if event is Event.STEP:
                self._report()
            if self._is_due(event is Event.EPOCH_END):
                self._begin_saving()
        return None

    def _is_due(self, epoch_is_over: bool) -> bool:  # noqa: FBT001  private, called once
        if self._loop.done or self._writer.is_busy:  # when done, the last one follows at once
            return False
        now = self._session.clock.now()
        self._saved_at = min(self._saved_at, now)  # a clock set back delays nothing
        age_s = (now - self._saved_at).total_seconds()
        return age_s >= (self._cadence.shortest_s if epoch_is_over else self._cadence.every_s)

    def _stop(self, reason: StopReason) -> None:
        self._report()
        # After the commit: a callback that raises or hangs must not cost what was trained.
        with undisturbed_rng():
            self._loop.call("on_stop", reason)
        self._session.end(finished=False, stopped_because=reason)

    def _begin_saving(self) -> None:
        """Take a copy to be written; whatever that draws at random changes no training."""
        self._session.spend(SegmentKind.CHECKPOINT)
        self._session.check_lease()
        with undisturbed_rng():
            self._writer.begin(self._loop.state_dict(), step=self._loop.position.step)
        self._note_saved()
        self._hear_of_commit(self._writer.poll())
        self._session.spend(SegmentKind.TRAIN)

    def _save_now(self, *, finished: bool) -> None:
        """Commit the present state, unless it has been already."""
        if self._loop.position == self._saved and not finished:
            self._hear_of_commit(self._writer.wait())
            if not self._writer.has_failed:
                return
        self._session.spend(SegmentKind.CHECKPOINT)
        self._session.check_lease()
        with undisturbed_rng():
            latest = self._writer.flush(
                self._loop.state_dict(),
                step=self._loop.position.step,
                finished=finished,
                left_s=self._session.left_s,
            )
        self._note_saved()
        self._hear_of_commit(latest)
        self._session.spend(SegmentKind.TRAIN)

    def _note_saved(self) -> None:
        self._saved = Position(**asdict(self._loop.position))
        self._saved_at = self._session.clock.now()

    def _hear_of_commit(self, latest: Latest | None) -> None:
        """Tell callbacks, and learn from what it cost."""
        if latest is None:
            return
        cost, clock = self._writer.cost, self._session.clock
        if cost is not None:
            self._cadence = cadence(
                cost,
                longest_s=self._settings.checkpoint_every_s,
                clock_speed=1.0 / clock.wait_s(1.0),
            )
            self._warn_once(self._cadence.warning)
            self._warn_once(notice_warning(cost, notice_s=self._session.notice_s))
            _log.info(
                "checkpoint of step %d is safe: %.1f MB, %.0f ms of training, written in %.2f s",
                latest.step,
                cost.size_bytes / 1e6,
                cost.training_s * 1e3,
                cost.write_s,
            )
        with undisturbed_rng():
            self._loop.call("on_checkpoint", latest.step)

    def _warn_once(self, warning: str) -> None:
        what = warning.partition(",")[0]
        if warning and what not in self._warned:
            self._warned.add(what)
            _log.warning(warning)

    def _digest_of_sound_weights(self, state: State) -> str:
        """Return the digest of a state's weights; spoilt ones must not replace good ones."""
        weights = state["model"]
        parameters = {name for name, _ in self._settings.model.named_parameters()}
        spoilt = non_finite_parameters(
            {name: value for name, value in weights.items() if name in parameters}
        )
        if spoilt:
            message = (
                f"expected finite weights after step {state['position']['step']}, found NaN or"
                f" infinity in {', '.join(spoilt[:4])}; the last checkpoint is kept; lower the"
                " learning rate or set clip_norm"
            )
            raise NonFiniteError(message)
        return weights_digest(weights)

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
