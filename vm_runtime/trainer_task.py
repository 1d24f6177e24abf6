"""What is trained, and how a batch becomes a loss and scores: the part that user code decides."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from vm_runtime.state import State
from vm_runtime.trainer_batch import Inputs
from vm_runtime.trainer_group import Group
from vm_runtime.trainer_position import Position
from vm_runtime.trainer_settings import Interval, TrainingSettings

Scores: TypeAlias = Mapping[str, Tensor | float]
"""Means over a batch, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A learning-rate scheduler and when it moves on."""

    scheduler: LRScheduler
    """The scheduler."""
    interval: Interval
    """After which it moves on."""
    every: int = 1
    """After how many of these."""
    monitor: str = "val_loss"
    """The metric that it wants, if it wants one."""

    def move_on(self, interval: Interval, count: int, metrics: Mapping[str, float]) -> None:
        """Move on if it is time.

        Args:
            interval: what has just ended.
            count: how many of these have ended.
            metrics: the latest ones.

        Raises:
            ValueError: it wants a metric that there is not.
        """
        if interval != self.interval or count % self.every:
            return
        if not isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step()
            return
        if self.monitor not in metrics:
            message = (
                f"{type(self.scheduler).__name__}: expected the metric {self.monitor!r}, found"
                f" {sorted(metrics)}; name one of them as lr_monitor"
            )
            raise ValueError(message)
        self.scheduler.step(metrics[self.monitor])


class LoopView(Protocol):
    """What a task may see of the loop that trains it."""

    position: Position
    metrics: dict[str, float]

    @property
    def group(self) -> Group:
        """The processes."""
        ...


class Task(Protocol):
    """What is trained."""

    @property
    def model(self) -> nn.Module:
        """The user's model, whose state is saved."""
        ...

    @property
    def computing(self) -> nn.Module:
        """What Fabric is to wrap: the model, or a module around it with the same parameters."""
        ...

    @property
    def optimizer(self) -> Optimizer:
        """Its optimizer."""
        ...

    @property
    def schedule(self) -> Schedule | None:
        """Its scheduler."""
        ...

    @property
    def hooks(self) -> object | None:
        """Something with hooks of its own, called before the callbacks."""
        ...

    def attach(self, loop: LoopView) -> None:
        """Take note of the loop, before the first step."""
        ...

    def train(self, computing: nn.Module, batch: Any, number: int) -> tuple[Tensor, Scores]:  # noqa: ANN401
        """Return the loss of a batch, and further scores.

        Args:
            computing: what Fabric made of `self.computing`.
            batch: the batch, on the model's device.
            number: its number within the epoch.
        """
        ...

    def validate(self, computing: nn.Module, batch: Any, number: int) -> Scores:  # noqa: ANN401
        """Return the scores of a batch of the validation."""
        ...

    def end_validation(self) -> Scores:
        """Return what can be told only of a whole validation."""
        ...

    def end_epoch(self) -> Scores:
        """Return what can be told only of a whole epoch."""
        ...

    def state_dict(self) -> State:
        """Return what it remembers beside the model."""
        ...

    def load_state_dict(self, state: State) -> None:
        """Take over what `state_dict` returned."""
        ...


class SupervisedTask:
    """A model, a loss function and an optimizer."""

    hooks: object | None = None

    def __init__(self, settings: TrainingSettings) -> None:
        """Take what the settings name; they were checked."""
        assert settings.loss_fn is not None  # noqa: S101  the settings see to it
        assert settings.optimizer is not None  # noqa: S101  the settings see to it
        self.model: nn.Module = settings.model
        self.computing: nn.Module = settings.model
        self.optimizer: Optimizer = settings.optimizer
        self.schedule: Schedule | None = None
        if settings.lr_scheduler is not None:
            self.schedule = Schedule(
                scheduler=settings.lr_scheduler,
                interval=settings.lr_scheduler_interval,
                monitor=settings.lr_monitor,
            )
        self._inputs = Inputs(settings.model, settings.unpack)
        self._loss_fn = settings.loss_fn
        self._scores = {"val_loss": settings.loss_fn} | {
            f"val_{name}": score for name, score in settings.metrics.items()
        }

    def attach(self, loop: LoopView) -> None:
        """Do nothing: model and loss know nothing of loops."""

    def train(self, computing: nn.Module, batch: Any, number: int) -> tuple[Tensor, Scores]:  # noqa: ANN401
        """Return the loss of a batch; there are no further scores."""
        del number
        inputs, targets = self._inputs.split(batch)
        return self._loss_fn(self._inputs.apply(computing, inputs), targets), {}

    def validate(self, computing: nn.Module, batch: Any, number: int) -> Scores:  # noqa: ANN401
        """Return loss and metrics of a batch of the validation, named `val_<name>`."""
        del number
        inputs, targets = self._inputs.split(batch)
        outputs = self._inputs.apply(computing, inputs)
        return {name: score(outputs, targets) for name, score in self._scores.items()}

    def end_validation(self) -> Scores:
        """Return nothing: all scores are means over batches."""
        return {}

    def end_epoch(self) -> Scores:
        """Return nothing: all scores are means over batches."""
        return {}

    def state_dict(self) -> State:
        """Return nothing: model and loss are all there is."""
        return {}

    def load_state_dict(self, state: State) -> None:
        """Do nothing."""
