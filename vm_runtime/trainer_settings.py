"""What a training consists of, checked all at once before anything is done."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import default_collate

from vm_runtime.data import Collate, dataset_length, is_stream
from vm_runtime.data_stream import check_stream
from vm_runtime.trainer_batch import Unpack

Score: TypeAlias = Callable[[Any, Any], Tensor]
"""Takes outputs and targets of a batch and returns a scalar: the batch's mean."""
Interval: TypeAlias = Literal["epoch", "step"]
Precision: TypeAlias = Literal["32-true", "bf16-mixed", "16-mixed", "bf16-true", "64-true"]
"""As Lightning Fabric calls them."""


@dataclass(kw_only=True, eq=False)
class TrainingSettings:
    """All that `fit()` needs to know.

    A batch is a pair `(inputs, targets)`: `loss_fn(model(inputs), targets)`. If inputs are a
    tuple they are the model's arguments; of a dict, the entries that its `forward` names. A
    batch that is no pair goes whole to both: `loss_fn(model(batch), batch)`.
    """

    model: nn.Module
    """The model, or a LightningModule, which brings loss, optimizer and metrics itself. Seed
    torch before you build it, as its first weights are part of the run."""
    train_dataset: Any
    """Samples with `__len__` and `__getitem__`; random augmentation belongs in the latter.
    It may be asked for a sample more than once: after a stop, or when draws are first noticed.
    Or an iterable data set with `state_dict` and `load_state_dict`."""
    epochs: int
    """Passes through the data, at least 1."""
    batch_size: int
    """Samples in a micro-batch, over all devices; the last one of an epoch may be smaller."""
    loss_fn: Score | None = None
    """`loss_fn(outputs, targets)`: the mean loss of a batch."""
    optimizer: Optimizer | None = None
    """Built on the model's parameters."""
    val_dataset: Any = None
    """Samples for validation, in their own order; `None`: no validation."""
    lr_scheduler: LRScheduler | None = None
    """Built on the optimizer."""
    lr_scheduler_interval: Interval = "epoch"
    """When the scheduler moves on."""
    lr_monitor: str = "val_loss"
    """The metric that the scheduler wants, if it wants one, as ReduceLROnPlateau does."""
    metrics: Mapping[str, Score] = field(default_factory=dict)
    """Further scores of a validation, by name; reported as `val_<name>`."""
    callbacks: Sequence[object] = ()
    """See `trainer_callbacks.Callback`; any object with some of its hooks will do."""
    num_workers: int = 0
    """Loader processes; has no influence on the result."""
    seed: int = 0
    """Seed of order, augmentation and all random generators, at least 0."""
    accumulate: int = 1
    """Micro-batches in an optimizer step."""
    clip_norm: float | None = None
    """Highest norm of the gradient; `None`: no clipping."""
    val_every_n_steps: int | None = None
    """Validate every so many optimizer steps and at the very end; `None`: after each epoch."""
    checkpoint_every_s: float | None = 600.0
    """What a crash may lose at most, seconds on the job's clock; `None`: checkpoints at epoch
    ends only. Within it, they come as often as their measured cost makes worth it."""
    checkpoint_in_background: bool = True
    """Whether training goes on while a checkpoint is written."""
    collate_fn: Collate = default_collate
    """Makes a batch of a list of samples."""
    unpack: Unpack | None = None
    """Makes `(inputs, targets)` of a batch that is no such pair."""
    precision: Precision = "32-true"
    """Precision of the computation, as Lightning Fabric calls it."""
    accelerator: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute; `auto`: on a GPU if there is one."""
    devices: int = 1
    """GPUs of this machine, or processes on its CPU, that share each batch (DDP)."""
    show_progress: bool = True
    """Whether to show a progress bar on a terminal."""

    def __post_init__(self) -> None:
        """Check everything at once.

        Raises:
            TypeError: a data set of neither kind.
            ValueError: numbers out of range, all of them named, or an empty data set.
        """
        _check_dataset(self.train_dataset, name="train_dataset")
        if self.val_dataset is not None:
            _check_dataset(self.val_dataset, name="val_dataset")
        problems = [
            *_below("epochs", self.epochs, 1),
            *_below("batch_size", self.batch_size, 1),
            *_below("accumulate", self.accumulate, 1),
            *_below("num_workers", self.num_workers, 0),
            *_below("seed", self.seed, 0),
            *_below("val_every_n_steps", self.val_every_n_steps, 1),
            *_below("clip_norm", self.clip_norm, 0),
            *_below("checkpoint_every_s", self.checkpoint_every_s, 0),
            *_below("devices", self.devices, 1),
            *self._parts_that_do_not_fit(),
        ]
        if problems:
            raise ValueError("; ".join(problems))

    def _parts_that_do_not_fit(self) -> list[str]:
        if is_lightning_module(self.model):
            given = {
                "loss_fn": self.loss_fn,
                "optimizer": self.optimizer,
                "lr_scheduler": self.lr_scheduler,
                "metrics": self.metrics or None,
                "unpack": self.unpack,
            }
            return [
                f"{name}: expected none, as a LightningModule brings its own, found one"
                for name, part in given.items()
                if part is not None
            ]
        problems = [
            f"{name}: expected one, found none (only a LightningModule brings its own)"
            for name in ("loss_fn", "optimizer")
            if getattr(self, name) is None
        ]
        if self.lr_scheduler is not None and self.lr_scheduler.optimizer is not self.optimizer:
            problems.append("lr_scheduler: expected one built on `optimizer`, found another's")
        return problems


def is_lightning_module(model: object) -> bool:
    """Whether it is a LightningModule, by whichever name the user imported Lightning."""
    # If it is one, its class is imported; importing it here would take seconds for nothing.
    loaded = [sys.modules.get(name) for name in ("lightning.pytorch", "pytorch_lightning")]
    kinds = tuple(module.LightningModule for module in loaded if module is not None)
    return isinstance(model, kinds)


def _check_dataset(dataset: object, *, name: str) -> None:
    if is_stream(dataset):
        check_stream(dataset, name=name)
    else:
        dataset_length(dataset, name=name)


def _below(name: str, value: float | None, lowest: float) -> list[str]:
    if value is None or value >= lowest:
        return []
    return [f"{name}: expected at least {lowest}, found {value}"]
