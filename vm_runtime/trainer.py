"""`IntervalTrainer`: a training that may be stopped and moved at any time, to the same bits.

    trainer = IntervalTrainer(model=..., train_dataset=..., loss_fn=..., optimizer=..., ...)
    outcome = trainer.fit()

Inside a job it resumes where the last VM stopped; without one it simply trains.
"""

from dataclasses import dataclass, field

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from vm_runtime.session import StopReason, current_session
from vm_runtime.state import deterministic_algorithms
from vm_runtime.trainer_callbacks import Callback
from vm_runtime.trainer_loop import Event, NonFiniteError, TrainingLoop
from vm_runtime.trainer_session import SessionRun
from vm_runtime.trainer_settings import TrainingSettings

__all__ = ["Callback", "IntervalTrainer", "NonFiniteError", "Outcome"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How `fit()` ended."""

    finished: bool
    """Whether all epochs are complete."""
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
    torch uses deterministic algorithms only.

    Exactness ends where threads of your own draw from the global random generators: give
    them generators of their own, as SmartScheduler does with Google's libraries.
    """

    def fit(self) -> Outcome:
        """Train until the work is done or the job has a reason to stop.

        The weights are then in `model`, also when the job had finished before.

        Raises:
            LeaseLostError: another VM has the job: leave at once.
            CheckpointError: a checkpoint could not be written, or none could be read.
            StateMismatchError: the checkpoint belongs to another training.
            NonFiniteError: loss, gradient or weights are NaN or infinite.
        """
        with deterministic_algorithms():
            loop = TrainingLoop(self)
            session = current_session()
            try:
                if session is None:
                    self._train_alone(loop)
                    reason = None
                else:
                    reason = SessionRun(session, self, loop).run()
            finally:
                loop.close()
        return Outcome(
            finished=reason is None,
            stopped_because=reason,
            step=loop.position.step,
            metrics=dict(loop.metrics),
            history=tuple(loop.history),
        )

    def _train_alone(self, loop: TrainingLoop) -> None:
        loop.start()
        if not self.show_progress:
            while not loop.done:
                loop.advance()
            return
        columns = (
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[scores]}"),
        )
        with Progress(*columns) as progress:
            bar = progress.add_task(
                "", total=loop.steps_total, epoch=1, epochs=self.epochs, scores=""
            )
            while not loop.done:
                if loop.advance() is not Event.MICRO_BATCH:
                    progress.update(
                        bar,
                        completed=loop.position.step,
                        epoch=min(loop.position.epoch + 1, self.epochs),
                        scores=" ".join(f"{k} {v:.4f}" for k, v in loop.metrics.items()),
                    )
