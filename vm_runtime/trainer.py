"""Trainings that may be stopped and moved at any time, to the same bits.

    trainer = IntervalTrainer(model=..., train_dataset=..., loss_fn=..., optimizer=..., ...)
    outcome = trainer.fit()

Inside a job it resumes where the last VM stopped; without one it simply trains. `Run` does
the same for a loop of your own.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from vm_runtime.session import StopReason, current_session
from vm_runtime.state import deterministic_algorithms
from vm_runtime.trainer_callbacks import BestModel, Callback, EarlyStopping
from vm_runtime.trainer_loop import TrainingLoop
from vm_runtime.trainer_position import NonFiniteError
from vm_runtime.trainer_processes import is_follower, train_together
from vm_runtime.trainer_progress import progress_bar
from vm_runtime.trainer_run import Run, Stopped
from vm_runtime.trainer_session import SessionRun
from vm_runtime.trainer_settings import TrainingSettings
from vm_runtime.trainer_tasks import task_of

__all__ = [
    "BestModel",
    "Callback",
    "EarlyStopping",
    "IntervalTrainer",
    "NonFiniteError",
    "Outcome",
    "Run",
    "Stopped",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How `fit()` ended."""

    finished: bool
    """Whether all epochs are complete, or a callback ended the training."""
    stopped_because: StopReason | None
    """Why it stopped before; `None` if it finished."""
    step: int
    """Optimizer steps done in all, by all VMs."""
    metrics: dict[str, float] = field(default_factory=dict)
    """The latest metrics: `loss` (mean of the last epoch), `val_loss`, `val_<name>`."""
    history: tuple[dict[str, float], ...] = ()
    """One entry for each validation and each epoch, in order, by all VMs."""


@dataclass(kw_only=True, eq=False)
class IntervalTrainer(TrainingSettings):
    """Trains a model such that stopping and resuming, anywhere, cannot change the result.

    Stopped between two micro-batches of one optimizer step, it saves the gradients
    gathered so far; stopped within a validation, its partial sums. While `fit()` runs,
    torch uses deterministic algorithms only, and the random generators of Python, numpy and
    torch are seeded anew for each batch: what is drawn is a function of seed and place.

    Exactness ends where threads of your own draw from the global random generators: give
    them generators of their own.
    """

    def fit(self) -> Outcome:
        """Train until the work is done or the job has a reason to stop.

        The weights are then in `model`, also when the job had finished before.

        Raises:
            LeaseLostError: another VM has the job: leave at once.
            CheckpointError: a checkpoint could not be written, or none could be read.
            StateMismatchError: the checkpoint belongs to another training.
            NonFiniteError: loss, gradient or weights are NaN or infinite.
            FollowerError: a process of several is gone.
        """
        with deterministic_algorithms(), train_together(self) as group:
            loop = TrainingLoop(self, task_of(self), group)
            try:
                with progress_bar(loop, self) as show:
                    reason = self._run(loop, show)
            finally:
                loop.close()
            if is_follower():
                raise SystemExit(0)
            if reason is None:
                loop.call("on_finish", dict(loop.metrics))
        return Outcome(
            finished=reason is None,
            stopped_because=reason,
            step=loop.position.step,
            metrics=dict(loop.metrics),
            history=tuple(loop.history),
        )

    def _run(self, loop: TrainingLoop, show: Callable[[], None]) -> StopReason | None:
        session = current_session()
        if session is not None:
            run = SessionRun(
                session,
                loop,
                checkpoint_every_s=self.checkpoint_every_s,
                in_background=self.checkpoint_in_background,
            )
            return run.run(loop, show)
        loop.begin(None)
        while not loop.done:
            reason = loop.agree(None)
            if reason is not None:
                return reason
            loop.advance()
            show()
        return None
