"""A Hugging Face `Trainer` in a job: interval ends, checkpoints in the bucket, progress, receipt.

Only one process; what that trainer itself promises of a resume is what holds
(docs/integrations.md).
"""

import tempfile
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from vm_runtime.integrations.foreign import ForeignTraining
from vm_runtime.session import StopReason
from vm_runtime.state import weights_digest


class CleanHours(TrainerCallback):
    """Stops when the job has to, having committed a checkpoint; without a job it does nothing.

    Give `checkpoint(args.output_dir)` to `Trainer.train(resume_from_checkpoint=...)`.
    """

    def __init__(self, *, checkpoint_every_s: float | None = 600.0) -> None:
        """Look for the job around this process.

        Args:
            checkpoint_every_s: what a crash may lose at most, seconds; `None`: save at stops, and
                when the trainer's own arguments say so.
        """
        self._training = ForeignTraining.of_this_process(checkpoint_every_s)
        self._reason: StopReason | None = None

    def checkpoint(self, output_dir: str | Path) -> str | None:
        """Wait for the job's turn; return the latest checkpoint, `None` if there is none.

        Raises:
            LeaseLostError: another VM has the job.
            SystemExit: it has to stop before it could begin.
        """
        if self._training is None:
            return None
        found = self._training.begin(Path(output_dir) / "checkpoint-from-bucket")
        return None if found is None else str(found)

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,  # noqa: ARG002 - the trainer's
        control: TrainerControl,  # noqa: ARG002 - the trainer's
        **kwargs: Any,  # noqa: ANN401, ARG002 - the trainer's
    ) -> None:
        """Book the time as training; refuse several processes.

        Raises:
            ValueError: there are several: each would have to stop at the same step.
        """
        if self._training is None:
            return
        if args.world_size > 1:
            raise ValueError(
                f"expected one process, found {args.world_size}: wrap the script instead:"
                " smartscheduler local ... -- torchrun SCRIPT"
            )
        self._training.start()

    def on_step_end(
        self,
        args: TrainingArguments,  # noqa: ARG002 - the trainer's
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,  # noqa: ANN401, ARG002 - the trainer's
    ) -> TrainerControl:
        """Tell how far it is; ask for a checkpoint if it is time to, or if it has to stop."""
        if self._training is None:
            return control
        metrics = state.log_history[-1] if state.log_history else {}
        self._training.report(state.global_step, state.max_steps, metrics)
        self._reason = self._training.look()
        is_last = state.global_step >= state.max_steps
        if self._reason is not None or is_last or self._training.is_due:
            control.should_save = True
        return control

    def on_save(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002 - the trainer's
        **kwargs: Any,  # noqa: ANN401 - the trainer's
    ) -> None:
        """Commit what the trainer has just saved; leave if the job has to stop.

        Raises:
            SystemExit: the job has to stop; the state is safe.
        """
        if self._training is None:
            return
        folder = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
        is_last = state.global_step >= state.max_steps
        digest = weights_digest(kwargs["model"])
        self._training.save(folder, finished=is_last, weights_sha256=digest)
        if self._reason is not None and not is_last:
            self._training.leave(self._reason)

    def on_train_end(
        self,
        args: TrainingArguments,  # noqa: ARG002 - the trainer's
        state: TrainerState,  # noqa: ARG002 - the trainer's
        control: TrainerControl,  # noqa: ARG002 - the trainer's
        **kwargs: Any,  # noqa: ANN401 - the trainer's
    ) -> None:
        """End the job, also if another callback has ended the training early."""
        if self._training is None:
            return
        if not self._training.is_finished:
            with tempfile.TemporaryDirectory() as name:
                torch.save(kwargs["model"].state_dict(), Path(name) / "weights.pt")
                digest = weights_digest(kwargs["model"])
                self._training.save(Path(name), finished=True, weights_sha256=digest)
        self._training.finish()
