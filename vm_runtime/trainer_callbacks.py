"""What user code may hook into a training, in the manner of Lightning Fabric."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from vm_runtime.session import StopReason
from vm_runtime.state import State

_log = logging.getLogger(__name__)


class Callback:
    """Base of callbacks: override what you need, the rest does nothing.

    Each hook runs exactly once per event however often training is stopped. A callback
    that keeps state of its own gives it as `state_dict()` and takes it in
    `load_state_dict(state)`; it is then part of every checkpoint.
    """

    wants_end: bool = False
    """Set it to end the whole training; read after each validation and each epoch."""

    def on_epoch_start(self, epoch: int) -> None:
        """Before the first batch of an epoch, counted from 0."""

    def on_batch_start(self, batch: Any) -> None:  # noqa: ANN401  user data
        """Before the forward pass of a micro-batch."""

    def on_before_backward(self, loss: Tensor) -> None:
        """Between the forward and the backward pass of a micro-batch."""

    def on_after_backward(self) -> None:
        """After the backward pass of a micro-batch, when the gradients are there."""

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Before an optimizer step, the gradient clipped."""

    def on_batch_end(self, loss: float) -> None:
        """After forward and backward of a micro-batch, and the step if it completes one."""

    def on_step_end(self, step: int) -> None:
        """After an optimizer step; `step` counts all steps done so far."""

    def on_validation_start(self, step: int) -> None:
        """Before the first batch of a validation."""

    def on_validation_end(self, metrics: dict[str, float]) -> None:
        """After a whole validation, with its results."""

    def on_epoch_end(self, epoch: int, metrics: dict[str, float]) -> None:
        """After the last step (and validation) of an epoch, with the latest metrics."""

    def on_checkpoint(self, step: int) -> None:
        """After a checkpoint was committed; not part of the training's exact course."""

    def on_stop(self, reason: StopReason) -> None:
        """When training stops early, its checkpoint committed; not part of its exact course."""

    def on_finish(self, metrics: dict[str, float]) -> None:
        """When all work is done, also if it was done before; not part of its exact course."""


class Hooks:
    """Calls a hook of all callbacks that have it, and costs nothing if none has."""

    def __init__(self, callbacks: Sequence[object]) -> None:
        """Take callbacks: any objects with some of `Callback`'s hooks."""
        self._callbacks: Final = tuple(callbacks)
        self._methods: dict[str, tuple[Callable[..., object], ...]] = {}

    def call(self, hook: str, *args: object) -> None:
        """Call a hook, in the order of the callbacks."""
        methods = self._methods.get(hook)
        if methods is None:
            methods = self._methods[hook] = self._find(hook)
        for method in methods:
            method(*args)

    @property
    def want_end(self) -> bool:
        """Whether a callback wants the training to end."""
        return any(getattr(callback, "wants_end", False) for callback in self._callbacks)

    def _find(self, hook: str) -> tuple[Callable[..., object], ...]:
        idle = getattr(Callback, hook, None)
        found = [
            getattr(callback, hook)
            for callback in self._callbacks
            if hasattr(callback, hook)
            and (
                getattr(type(callback), hook, None) is not idle
                or hook in getattr(callback, "__dict__", {})
            )
        ]
        return tuple(found)


Mode = Literal["min", "max"]


class _Watch(Callback):
    """Watches a metric of the validation for a better value."""

    def __init__(self, monitor: str, *, mode: Mode, min_delta: float) -> None:
        if mode not in {"min", "max"}:
            message = f"mode: expected 'min' or 'max', found {mode!r}"
            raise ValueError(message)
        self.best: float | None = None
        """Best value so far."""
        self._monitor = monitor
        self._sign = 1.0 if mode == "min" else -1.0
        self._min_delta = min_delta

    def _is_better(self, metrics: dict[str, float]) -> bool:
        """Whether the value beats the best so far, which it then becomes."""
        if self._monitor not in metrics:
            message = (
                f"{type(self).__name__}: expected {self._monitor!r} among the results of a"
                f" validation, found {sorted(metrics)}"
            )
            raise ValueError(message)
        value = metrics[self._monitor]
        if self.best is not None and not self._sign * (self.best - value) > self._min_delta:
            return False
        if value != value:  # noqa: PLR0124  NaN, which is never the best
            return False
        self.best = value
        return True


class EarlyStopping(_Watch):
    """Ends the training when a metric has not become better for a number of validations."""

    def __init__(
        self,
        monitor: str = "val_loss",
        *,
        patience: int = 3,
        mode: Mode = "min",
        min_delta: float = 0.0,
    ) -> None:
        """Watch a metric.

        Args:
            monitor: its name.
            patience: how many validations without a better value end the training.
            mode: whether a lower (`min`) or a higher (`max`) value is better.
            min_delta: by how much at least a better value is better.
        """
        super().__init__(monitor, mode=mode, min_delta=min_delta)
        self._patience = patience
        self.waited = 0
        """Validations since the best value."""

    def on_validation_end(self, metrics: dict[str, float]) -> None:
        """Look at the metric."""
        self.waited = 0 if self._is_better(metrics) else self.waited + 1
        if self.waited >= self._patience:
            self.wants_end = True

    def state_dict(self) -> State:
        """Return the best value, and how long ago it was."""
        return {"best": self.best, "waited": self.waited, "wants_end": self.wants_end}

    def load_state_dict(self, state: State) -> None:
        """Take both over."""
        self.best, self.waited = state["best"], state["waited"]
        self.wants_end = state["wants_end"]


class BestModel(_Watch):
    """Keeps a copy of the model's weights at the best value of a metric.

    The copy is part of every checkpoint, so it moves with the job; it is as large as the model.
    """

    def __init__(
        self,
        model: nn.Module,
        monitor: str = "val_loss",
        *,
        mode: Mode = "min",
        restore_at_end: bool = False,
    ) -> None:
        """Watch a metric.

        Args:
            model: the one that is trained.
            monitor: name of the metric.
            mode: whether a lower (`min`) or a higher (`max`) value is better.
            restore_at_end: put the best weights into the model when all work is done.
        """
        super().__init__(monitor, mode=mode, min_delta=0.0)
        self._model = model
        self._restore = restore_at_end
        self.weights: dict[str, Any] = {}
        """The model's `state_dict` at the best value; empty before the first validation."""

    def on_validation_end(self, metrics: dict[str, float]) -> None:
        """Copy the weights if they are the best so far."""
        if self._is_better(metrics):
            self.weights = {
                name: value.detach().clone() if isinstance(value, torch.Tensor) else value
                for name, value in self._model.state_dict().items()
            }

    def on_finish(self, metrics: dict[str, float]) -> None:
        """Put the best weights into the model, if wanted."""
        del metrics
        if self._restore and self.weights:
            self._model.load_state_dict(self.weights)

    def state_dict(self) -> State:
        """Return the best value and the weights."""
        return {"best": self.best, "weights": self.weights}

    def load_state_dict(self, state: State) -> None:
        """Take both over."""
        self.best, self.weights = state["best"], dict(state["weights"])
