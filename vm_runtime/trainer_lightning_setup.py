"""What a LightningModule brings with it, and whether all of it can be resumed exactly."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from vm_runtime.data import is_stream
from vm_runtime.trainer_settings import TrainingSettings
from vm_runtime.trainer_task import LoopView, Schedule

_OWN_WAY = {
    "optimizer_step": "optimizer steps are the trainer's: use accumulate=... and clip_norm=...",
    "optimizer_zero_grad": "gradients are dropped by the trainer, after each step",
    "backward": "the backward pass is the trainer's",
    "lr_scheduler_step": "schedulers are moved on by the trainer",
    "configure_gradient_clipping": "use clip_norm=...",
    "configure_callbacks": "use callbacks=[...]",
    "configure_model": "build the layers in __init__",
    "transfer_batch_to_device": "batches are moved by Fabric",
    "on_before_batch_transfer": "put it into the data set or collate_fn",
    "on_after_batch_transfer": "put it into training_step",
}
_SCHEDULER_KEYS = {"scheduler", "interval", "frequency", "monitor", "strict", "name"}


class LightningFeatureError(TypeError):
    """A LightningModule uses what this trainer does not support."""


def check_module(module: Any, *, validates: bool) -> None:  # noqa: ANN401  a LightningModule
    """Refuse what is not supported, all of it at once.

    Raises:
        LightningFeatureError: with a line for each.
    """
    problems = []
    if not module.automatic_optimization:
        problems.append("manual optimization: write the loop yourself, with vm_runtime.trainer.Run")
    base = next(kind for kind in type(module).__mro__ if kind.__name__ == "LightningModule")
    for name, advice in _OWN_WAY.items():
        own = getattr(type(module), name, None)
        if own is not None and own is not getattr(base, name, None):
            problems.append(f"{name}() of its own: {advice}")
    if type(module).training_step is base.training_step:  # type: ignore[attr-defined]
        problems.append("no training_step(): write one")
    if validates and type(module).validation_step is base.validation_step:  # type: ignore[attr-defined]
        problems.append("no validation_step(), but a val_dataset: write one, or leave that out")
    if problems:
        message = f"{type(module).__qualname__}: not supported: {'; '.join(problems)}"
        raise LightningFeatureError(message)


def optimizer_and_schedule(module: Any) -> tuple[Optimizer, Schedule | None]:  # noqa: ANN401
    """Return what `configure_optimizers` returned, in any of its forms but several optimizers.

    Raises:
        LightningFeatureError: there is none, there are several, or the form is not known.
    """
    found = module.configure_optimizers()
    optimizers, schedulers = _parts(found)
    if len(optimizers) != 1 or len(schedulers) > 1:
        message = (
            "configure_optimizers: expected one optimizer and at most one scheduler, found"
            f" {len(optimizers)} and {len(schedulers)}; for several, write the loop yourself,"
            " with vm_runtime.trainer.Run"
        )
        raise LightningFeatureError(message)
    return optimizers[0], _schedule(schedulers[0]) if schedulers else None


def _parts(found: Any) -> tuple[list[Optimizer], list[Any]]:  # noqa: ANN401  user data
    if isinstance(found, Optimizer):
        return [found], []
    if isinstance(found, Mapping):
        scheduler = found.get("lr_scheduler")
        return [found["optimizer"]], [] if scheduler is None else [scheduler]
    if isinstance(found, Sequence):
        if len(found) == 2 and all(isinstance(part, Sequence) for part in found):  # noqa: PLR2004
            return list(found[0]), list(found[1])
        if all(isinstance(part, Optimizer) for part in found):
            return list(found), []
    message = (
        "configure_optimizers: expected an optimizer, a dict with 'optimizer' and 'lr_scheduler',"
        f" or ([optimizer], [scheduler]), found {type(found).__qualname__}"
    )
    raise LightningFeatureError(message)


def _schedule(found: Any) -> Schedule:  # noqa: ANN401  user data
    if not isinstance(found, Mapping):
        found = {"scheduler": found}
    unknown = found.keys() - _SCHEDULER_KEYS
    scheduler = found["scheduler"]
    needs_monitor = isinstance(scheduler, ReduceLROnPlateau) and not found.get("monitor")
    if unknown or needs_monitor or found.get("interval", "epoch") not in {"epoch", "step"}:
        message = (
            "lr_scheduler: expected 'scheduler', 'interval' ('epoch' or 'step'), 'frequency' and,"
            f" for ReduceLROnPlateau, 'monitor', found {dict(found)}"
        )
        raise LightningFeatureError(message)
    return Schedule(
        scheduler=scheduler,
        interval=found.get("interval", "epoch"),
        every=found.get("frequency", 1),
        monitor=found.get("monitor") or "val_loss",
    )


class TrainerView:
    """What a module finds as `self.trainer`: where training is, and nothing that changes it."""

    barebones = sanity_checking = testing = predicting = False
    training = True
    num_nodes = 1
    loggers: tuple[object, ...] = ()
    logger = None

    def __init__(self, settings: TrainingSettings) -> None:
        """Know what can be known before the first step."""
        self.max_epochs = settings.epochs
        self.accumulate_grad_batches = settings.accumulate
        self.gradient_clip_val = settings.clip_norm
        self.num_training_batches: float = math.inf
        self.estimated_stepping_batches: float = math.inf
        if not is_stream(settings.train_dataset):
            batches = math.ceil(len(settings.train_dataset) / settings.batch_size)
            self.num_training_batches = batches
            self.estimated_stepping_batches = settings.epochs * math.ceil(
                batches / settings.accumulate
            )
        self.optimizers: list[Optimizer] = []
        self._loop: LoopView | None = None

    def attach(self, loop: LoopView) -> None:
        """Look at a loop."""
        self._loop = loop

    @property
    def current_epoch(self) -> int:
        """The epoch, from 0."""
        return self._loop.position.epoch if self._loop else 0

    @property
    def global_step(self) -> int:
        """Optimizer steps done in all."""
        return self._loop.position.step if self._loop else 0

    @property
    def batch_number(self) -> int:
        """Micro-batches done in this epoch."""
        return self._loop.position.batch if self._loop else 0

    @property
    def callback_metrics(self) -> dict[str, float]:
        """The latest metrics."""
        return dict(self._loop.metrics) if self._loop else {}

    @property
    def global_rank(self) -> int:
        """Number of this process."""
        return self._loop.group.rank if self._loop else 0

    @property
    def local_rank(self) -> int:
        """Number of this process on this machine, which is the only one."""
        return self.global_rank

    @property
    def world_size(self) -> int:
        """How many processes there are."""
        return self._loop.group.size if self._loop else 1

    @property
    def is_global_zero(self) -> bool:
        """Whether this is the first process."""
        return self.global_rank == 0

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  there is none
        """Say that there is no such thing."""
        message = (
            f"self.trainer.{name}: not supported by IntervalTrainer; there are"
            " current_epoch, global_step, max_epochs, estimated_stepping_batches,"
            " num_training_batches, callback_metrics, optimizers, global_rank and world_size"
        )
        raise AttributeError(message)
