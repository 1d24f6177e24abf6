"""What a training consists of, checked all at once before anything is done."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torch.utils.data import default_collate

from vm_runtime.data import Collate, dataset_length

Score: TypeAlias = Callable[[Any, Any], Tensor]
"""Takes outputs and targets of a batch and returns a scalar: the batch's mean."""


@dataclass(kw_only=True, eq=False)
class TrainingSettings:
    """All that `fit()` needs to know; batches are `(inputs, targets)` pairs."""

    model: nn.Module
    """The model; seed torch before you build it, as its first weights are part of the run."""
    train_dataset: Any
    """Samples with `__len__` and `__getitem__`; random augmentation belongs in the latter.
    It may be asked for a sample more than once: after a stop, or when draws are first noticed."""
    loss_fn: Score
    """`loss_fn(outputs, targets)`: the mean loss of a batch."""
    optimizer: Optimizer
    """Built on the model's parameters."""
    epochs: int
    """Passes through the data, at least 1."""
    batch_size: int
    """Samples in a micro-batch; the last one of an epoch may be smaller."""
    val_dataset: Any = None
    """Samples for validation, in their own order; `None`: no validation."""
    lr_scheduler: LRScheduler | None = None
    """Built on the optimizer."""
    lr_scheduler_interval: Literal["epoch", "step"] = "epoch"
    """When the scheduler moves on."""
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
    show_progress: bool = True
    """Whether to show a progress bar when there is no job."""

    def __post_init__(self) -> None:
        """Check everything at once.

        Raises:
            TypeError: a data set without length or index, or an unsuitable scheduler.
            ValueError: numbers out of range, all of them named, or an empty data set.
        """
        dataset_length(self.train_dataset, name="train_dataset")
        if self.val_dataset is not None:
            dataset_length(self.val_dataset, name="val_dataset")
        if isinstance(self.lr_scheduler, ReduceLROnPlateau):
            message = (
                "lr_scheduler: expected one that needs no metric, found ReduceLROnPlateau;"
                " step it in a callback's on_validation_end"
            )
            raise TypeError(message)
        problems = [
            *_below("epochs", self.epochs, 1),
            *_below("batch_size", self.batch_size, 1),
            *_below("accumulate", self.accumulate, 1),
            *_below("num_workers", self.num_workers, 0),
            *_below("seed", self.seed, 0),
            *_below("val_every_n_steps", self.val_every_n_steps, 1),
            *_below("clip_norm", self.clip_norm, 0),
            *_below("checkpoint_every_s", self.checkpoint_every_s, 0),
        ]
        if self.lr_scheduler is not None and self.lr_scheduler.optimizer is not self.optimizer:
            problems.append("lr_scheduler: expected one built on `optimizer`, found another's")
        if problems:
            raise ValueError("; ".join(problems))


def _below(name: str, value: float | None, lowest: float) -> list[str]:
    if value is None or value >= lowest:
        return []
    return [f"{name}: expected at least {lowest}, found {value}"]
