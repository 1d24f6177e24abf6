"""A Lightning `Trainer` in a job: interval ends, checkpoints in the bucket, progress, receipt.

Only one process; what Lightning itself promises of a resume is what holds (docs/integrations.md).
"""

import random
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from vm_runtime.integrations.foreign import ForeignTraining
from vm_runtime.state import weights_digest

FILE = "lightning.ckpt"
"""The checkpoint's name in the bucket: `Trainer.save_checkpoint`'s own format."""


class CleanHours(Callback):
    """Stops when the job has to, having committed a checkpoint; without a job it does nothing.

    Give `ckpt_path()` to `Trainer.fit`.
    """

    def __init__(self, *, checkpoint_every_s: float | None = 600.0) -> None:
        """Look for the job around this process.

        Args:
            checkpoint_every_s: what a crash may lose at most, seconds; `None`: save at stops only.
        """
        self._training = ForeignTraining.of_this_process(checkpoint_every_s)
        self._restored: Path | None = None
        self._random: dict[str, Any] | None = None
        self._on_sigterm = signal.getsignal(signal.SIGTERM)

    def ckpt_path(self) -> str | None:
        """Wait for the job's turn; return the latest checkpoint, `None` if there is none.

        Raises:
            LeaseLostError: another VM has the job.
            SystemExit: it has to stop before it could begin.
        """
        if self._training is None:
            return None
        self._restored = Path(tempfile.mkdtemp(prefix="clean-hours-"))
        found = self._training.begin(self._restored)
        return None if found is None else str(found / FILE)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:  # noqa: ARG002
        """Refuse several processes: each would have to stop at the same step.

        Raises:
            ValueError: there are several.
        """
        if self._training is not None and trainer.world_size > 1:
            raise ValueError(
                f"expected one process, found {trainer.world_size}: use IntervalTrainer(devices=N)"
                " for several GPUs, or wrap the script: smartscheduler local ... -- python SCRIPT"
            )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Book the time as training; what was restored is loaded by now."""
        if self._restored is not None:
            shutil.rmtree(self._restored, ignore_errors=True)
        if self._training is not None:
            # Lightning's own handler ends the fit at once, an epoch's end or not.
            signal.signal(signal.SIGTERM, self._on_sigterm)
            self._training.start()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,  # noqa: ANN401, ARG002 - Lightning's
        batch: Any,  # noqa: ANN401, ARG002 - Lightning's
        batch_idx: int,  # noqa: ARG002 - Lightning's
    ) -> None:
        """Tell how far it is; stop, or save, if it is time to."""
        if self._training is None:
            return
        total = trainer.estimated_stepping_batches
        is_known = isinstance(total, int)
        self._training.report(
            trainer.global_step, int(total) if is_known else None, trainer.callback_metrics
        )
        reason = self._training.look()
        if trainer.is_last_batch:
            return  # Lightning resumes there without the epoch's end: the next batch will do
        if reason is not None or self._training.is_due:
            self._save(trainer, pl_module, finished=False)
        if reason is not None:
            self._training.leave(reason)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Commit the final state and end the job."""
        if self._training is None:
            return
        total = trainer.global_step
        self._training.report(total, total, trainer.callback_metrics)
        self._save(trainer, pl_module, finished=True)
        self._training.finish()

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the random generators: Lightning leaves it out."""
        name, keys, *rest = np.random.get_state()  # noqa: NPY002 - the global one is meant
        return {
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
            "python": random.getstate(),
            "numpy": (name, torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep them for the first step: the loader draws from them before."""
        self._random = state_dict

    def on_train_batch_start(
        self,
        trainer: Trainer,  # noqa: ARG002 - Lightning's
        pl_module: LightningModule,  # noqa: ARG002 - Lightning's
        batch: Any,  # noqa: ANN401, ARG002 - Lightning's
        batch_idx: int,  # noqa: ARG002 - Lightning's
    ) -> None:
        """Go on with the random numbers of the checkpoint, once."""
        state_dict, self._random = self._random, None
        if state_dict is None:
            return
        torch.set_rng_state(state_dict["torch"])
        if state_dict["cuda"]:
            torch.cuda.set_rng_state_all(state_dict["cuda"])
        version, internal, gauss = state_dict["python"]
        random.setstate((version, tuple(internal), gauss))
        name, keys, *rest = state_dict["numpy"]
        np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002 - same

    def _save(self, trainer: Trainer, module: LightningModule, *, finished: bool) -> None:
        if self._training is None:
            return
        with tempfile.TemporaryDirectory() as name:
            trainer.save_checkpoint(Path(name) / FILE)
            digest = weights_digest(module)
            self._training.save(Path(name), finished=finished, weights_sha256=digest)
