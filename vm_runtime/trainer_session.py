"""A training inside a job: lease, checkpoints, stopping and reporting around the loop."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from datetime import datetime
from math import isfinite
from typing import Any, Protocol

from torch import nn

from vm_runtime.checkpoint import Checkpoints
from vm_runtime.checkpoint_cadence import cadence, first_cadence, notice_warning
from vm_runtime.checkpoint_restore import describe_versions, load_state
from vm_runtime.checkpoint_writer import CheckpointWriter
from vm_runtime.contract.checkpoint import Latest
from vm_runtime.contract.ledger import SegmentKind
from vm_runtime.session import LeaseLostError, Session, StopReason
from vm_runtime.state import State, StateMismatchError, non_finite_parameters, weights_digest
from vm_runtime.trainer_position import Event, NonFiniteError

_log = logging.getLogger(__name__)


class Resumable(Protocol):
    """A training that can be put back to where it was."""

    metrics: dict[str, float]

    @property
    def position(self) -> Any:  # noqa: ANN401  equal values: the same place
        """Where it is; its `step` counts optimizer steps."""
        ...

    @property
    def models(self) -> dict[str, nn.Module]:
        """The models in its state, by key."""
        ...

    @property
    def done(self) -> bool:
        """Whether all work is done."""
        ...

    @property
    def may_stop(self) -> bool:
        """Whether a checkpoint taken now would hold all."""
        ...

    @property
    def steps_total(self) -> int | None:
        """Optimizer steps of the whole training; `None`: not known."""
        ...

    def begin(self, state: State | None) -> None:
        """Go to where `state` was taken, or to the beginning."""
        ...

    def agree(self, reason: StopReason | None) -> StopReason | None:
        """Return the reason to stop here, the same in all processes; `None`: go on."""
        ...

    def state_dict(self) -> State:
        """Return everything that the rest of the training depends on."""
        ...

    def call(self, hook: str, *args: object) -> None:
        """Call a hook of all callbacks that have it."""
        ...


class Advancing(Resumable, Protocol):
    """A training that moves on when told to."""

    def advance(self) -> Event:
        """Do the next small step."""
        ...


class SessionRun:
    """One stay of a training on a VM, from taking the job over to its end or stop."""

    def __init__(
        self,
        session: Session,
        loop: Resumable,
        *,
        checkpoint_every_s: float | None,
        in_background: bool,
    ) -> None:
        """Prepare; nothing is read or written before `begin`.

        Args:
            session: the job.
            loop: the training.
            checkpoint_every_s: what a crash may lose at most, seconds on the job's clock;
                `None`: checkpoints at epoch ends only.
            in_background: whether training goes on while a checkpoint is written.
        """
        self._session = session
        self._loop = loop
        self._every_s = checkpoint_every_s
        self._checkpoints = Checkpoints(
            session.store, session.job.job_id, session.incarnation, session.clock
        )
        self._writer = CheckpointWriter(
            self._checkpoints,
            describe=self._digest_of_sound_weights,
            check_lease=session.check_lease,
            before_commit=session.save_metrics,
            in_background=in_background,
        )
        self._cadence = first_cadence(checkpoint_every_s)
        self._warned: set[str] = set()
        self._saved_at: datetime = session.clock.now()
        self._saved: object = None
        self._started_at: datetime = session.clock.now()
        self._first_step = 0
        self._is_saved_as_finished = False
        self._is_prepared = False

    def run(self, loop: Advancing, show: Callable[[], None]) -> StopReason | None:
        """Train until the work is done (`None`) or there is a reason to stop.

        Args:
            loop: the training, once more: as something that moves on when told to.
            show: called after each small step.

        Raises:
            LeaseLostError: another VM has the job; nothing was written after that.
            CheckpointError: a checkpoint could not be written, or none could be read.
            StateMismatchError: the checkpoint belongs to another training.
            NonFiniteError: loss, gradient or weights are NaN or infinite.
        """
        reason = self.begin()
        if reason is not None:
            return reason
        with self.guarded():
            while not loop.done:
                reason = self.look()
                if reason is not None:
                    break
                event = loop.advance()
                self.note(stepped=event is Event.STEP, epoch_is_over=event is Event.EPOCH_END)
                show()
            self.save_the_rest(finished=reason is None)
        self.end(reason)
        return reason

    def begin(self) -> StopReason | None:
        """Take the job over and go to its latest checkpoint; return why not to train at all."""
        session = self._session
        reason = session.begin()
        if reason is not None:
            session.end(finished=False, stopped_because=reason)
            return reason
        session.spend(SegmentKind.LOAD)
        self._checkpoints.take_over()
        self._is_saved_as_finished = self._restore()
        self._saved_at = self._started_at = session.clock.now()
        self._first_step = self._loop.position.step
        if not self._is_saved_as_finished:
            session.spend(SegmentKind.TRAIN)
        return None

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """See to it that what was sound before any trouble within is kept."""
        try:
            yield
        except LeaseLostError:
            self._writer.close(give_up=True)
            raise
        except BaseException:
            self._writer.close(give_up=False)
            raise

    def look(self) -> StopReason | None:
        """Return why to stop here, `None` to go on; to be asked before each small step.

        Raises:
            LeaseLostError: another VM has the job.
            CheckpointError: the one on its way could not be written.
        """
        self._session.check_lease()
        self._hear_of_commit(self._writer.poll())
        return self._loop.agree(self._session.stop_reason())

    def note(self, *, stepped: bool, epoch_is_over: bool) -> None:
        """Report a step, and begin to write a checkpoint if one is due."""
        if stepped:
            self._report()
            self._prepare()
        if self._is_due(epoch_is_over):
            self.begin_saving()

    def end(self, reason: StopReason | None) -> None:
        """End the session; everything is committed."""
        self._report()
        if reason is not None:
            # After the commit: a callback that raises or hangs must not cost what was trained.
            self._loop.call("on_stop", reason)
        self._session.end(finished=reason is None, stopped_because=reason)

    def _restore(self) -> bool:
        """Go to the latest checkpoint, or to the start; return whether the work is done."""
        with self._checkpoints.restore() as restored:
            if restored is None:
                self._loop.begin(None)
                return False
            try:
                self._loop.begin(load_state(restored, like=self._loop.state_dict()))
            except StateMismatchError as error:
                error.add_note(describe_versions(restored.manifest))
                raise
        self._saved = deepcopy(self._loop.position)
        _log.info(
            "resumed from checkpoint %s",
            restored.manifest.checkpoint_id,
            extra={"event": "resumed"},
        )
        # A finished training goes on if the script now asks for more epochs.
        return restored.manifest.finished and self._loop.done

    def _prepare(self) -> None:
        """After the first step, when optimizers have all their state: get memory for it."""
        if self._is_prepared or self._loop.done or not self._loop.may_stop:
            return
        self._is_prepared = True
        self._writer.prepare(self._loop.state_dict())

    def _is_due(self, epoch_is_over: bool) -> bool:  # noqa: FBT001  private, called once
        loop = self._loop
        if loop.done or self._writer.is_busy or not loop.may_stop:
            return False  # when done, the last one follows at once
        now = self._session.clock.now()
        self._saved_at = min(self._saved_at, now)  # a clock set back delays nothing
        age_s = (now - self._saved_at).total_seconds()
        return age_s >= (self._cadence.shortest_s if epoch_is_over else self._cadence.every_s)

    def begin_saving(self) -> None:
        """Take a copy to be written, unless one is on its way."""
        if self._writer.is_busy:
            return
        self._session.spend(SegmentKind.CHECKPOINT)
        self._session.check_lease()
        self._writer.begin(self._loop.state_dict(), step=self._loop.position.step)
        self._note_saved()
        self._hear_of_commit(self._writer.poll())
        self._session.spend(SegmentKind.TRAIN)

    def save_the_rest(self, *, finished: bool) -> None:
        """Commit the present state, unless it has been already."""
        if finished and self._is_saved_as_finished:
            return
        if self._loop.position == self._saved and not finished:
            self._hear_of_commit(self._writer.wait())
            if not self._writer.has_failed:
                return
        self._session.spend(SegmentKind.CHECKPOINT)
        self._session.check_lease()
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
        self._saved = deepcopy(self._loop.position)
        self._saved_at = self._session.clock.now()

    def _hear_of_commit(self, latest: Latest | None) -> None:
        """Tell callbacks, and learn from what it cost."""
        if latest is None:
            return
        cost, clock = self._writer.cost, self._session.clock
        if cost is not None:
            self._cadence = cadence(
                cost,
                longest_s=self._every_s,
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
                extra={"event": "checkpoint_safe"},
            )
        self._loop.call("on_checkpoint", latest.step)

    def _warn_once(self, warning: str) -> None:
        what = warning.partition(",")[0]
        if warning and what not in self._warned:
            self._warned.add(what)
            _log.warning(warning)

    def _digest_of_sound_weights(self, state: State) -> str:
        """Return the digest of a state's weights; spoilt ones must not replace good ones."""
        weights = {
            (name if key == "model" else f"{key}.{name}"): value
            for key in self._loop.models
            for name, value in state[key].items()
        }
        parameters = {
            name if key == "model" else f"{key}.{name}"
            for key, model in self._loop.models.items()
            for name, _ in model.named_parameters()
        }
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
        self._session.report(
            steps_done=loop.position.step,
            steps_total=loop.steps_total,
            seconds_per_step=elapsed_s / done if done and elapsed_s > 0 else None,
            metrics={name: value for name, value in loop.metrics.items() if isfinite(value)},
            committed_step=self._checkpoints.latest.step,
        )
