"""Trains a LightningModule: its steps, its optimizer, its scheduler, its hooks and its logs.

What cannot be resumed exactly is refused before anything is done.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from vm_runtime.state import State
from vm_runtime.trainer_lightning_setup import (
    LightningFeatureError,
    TrainerView,
    check_module,
    optimizer_and_schedule,
)
from vm_runtime.trainer_settings import TrainingSettings
from vm_runtime.trainer_task import LoopView, Schedule, Scores


class LightningTask:
    """A LightningModule as the loop wants it."""

    def __init__(self, settings: TrainingSettings) -> None:
        """Ask the module for its optimizer.

        Raises:
            LightningFeatureError: it uses what is not supported; the message names all of it.
        """
        check_module(settings.model, validates=settings.val_dataset is not None)
        module: Any = settings.model
        self.model: nn.Module = settings.model
        self.computing: nn.Module = _Steps(module)
        self._module = module
        self._view = TrainerView(settings)
        module._trainer = self._view  # noqa: SLF001  its setter wants a whole Trainer
        module.prepare_data()
        module.setup("fit")
        self.optimizer: Optimizer
        self.schedule: Schedule | None
        self.optimizer, self.schedule = optimizer_and_schedule(module)
        self._log = _Log(module)
        self.hooks: object | None = _ModuleHooks(module, self._log)

    def attach(self, loop: LoopView) -> None:
        """Let the module see where training is, as `self.trainer` and `self.current_epoch`."""
        self._view.attach(loop)
        self._view.optimizers = [self.optimizer]
        self._module.on_fit_start()
        self._module.on_train_start()

    def train(self, computing: nn.Module, batch: Any, number: int) -> tuple[Tensor, Scores]:  # noqa: ANN401
        """Return what `training_step` returned and logged.

        Raises:
            LightningFeatureError: it returned no loss.
        """
        with self._log.capture("train") as logged:
            outputs = computing("training_step", batch, number)
        self.hooks.outputs = outputs  # type: ignore[union-attr]
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if not isinstance(loss, Tensor):
            message = (
                "expected training_step to return a loss, or a dict with one as 'loss', found"
                f" {type(loss).__qualname__}; a batch cannot be skipped"
            )
            raise LightningFeatureError(message)
        logged.pop("loss", None)  # it is reported anyway
        return loss, logged

    def validate(self, computing: nn.Module, batch: Any, number: int) -> Scores:  # noqa: ANN401
        """Return what `validation_step` logged."""
        with self._log.capture("validation") as logged:
            self._module.on_validation_batch_start(batch, number)
            outputs = computing("validation_step", batch, number)
            self._module.on_validation_batch_end(outputs, batch, number)
        return logged

    def end_validation(self) -> Scores:
        """Return what is logged at the end of a validation, and its metric objects' values."""
        with self._log.capture("validation") as logged:
            self._module.on_validation_epoch_end()
            self._module.on_validation_end()
        return {**self._log.compute("validation"), **logged}

    def end_epoch(self) -> Scores:
        """Return what is logged at the end of an epoch, and its metric objects' values."""
        with self._log.capture("train") as logged:
            self._module.on_train_epoch_end()
        return {**self._log.compute("train"), **logged}

    def state_dict(self) -> State:
        """Return what the module adds to a checkpoint, and which metric objects it logged."""
        extra: State = {}
        self._module.on_save_checkpoint(extra)
        return {"log": self._log.state_dict(), "extra": extra}

    def load_state_dict(self, state: State) -> None:
        """Take both over."""
        self._log.load_state_dict(state["log"])
        self._module.on_load_checkpoint(state["extra"])


class _Steps(nn.Module):
    """Lets Fabric see the module's steps as a forward pass: precision and DDP work there."""

    def __init__(self, module: Any) -> None:  # noqa: ANN401  a LightningModule
        super().__init__()
        self.module = module

    def forward(self, step: str, batch: Any, number: int) -> Any:  # noqa: ANN401  user data
        method = getattr(self.module, step)
        if len(inspect.signature(method).parameters) == 1:
            return method(batch)
        return method(batch, number)


class _Log:
    """Stands in for `self.log` and `self.log_dict`: gathers what a step says."""

    def __init__(self, module: Any) -> None:  # noqa: ANN401  a LightningModule
        self._module: Final = module
        self._purpose = "train"
        self._scores: dict[str, Tensor | float] = {}
        self._metrics: dict[str, dict[str, str]] = {"train": {}, "validation": {}}
        module.log, module.log_dict = self._take, self._take_all
        for _, metric in self._metric_parts():
            metric.persistent(mode=True)  # its sums are part of the state

    @contextmanager
    def capture(self, purpose: str) -> Iterator[dict[str, Tensor | float]]:
        """Give what is logged within; each becomes a mean over batches, weighted by samples."""
        self._purpose, self._scores = purpose, {}
        yield self._scores

    def compute(self, purpose: str) -> dict[str, float]:
        """Return the values of the metric objects that were logged, and reset them."""
        values = {}
        for name, path in self._metrics[purpose].items():
            metric: Any = self._module.get_submodule(path)
            values[name] = float(metric.compute())
            metric.reset()
        self._metrics[purpose] = {}
        return values

    def state_dict(self) -> State:
        """Return which metric objects were logged, and how often each was updated.

        Their sums are in the module's own state, the counts are not.
        """
        return {
            "logged": {purpose: dict(found) for purpose, found in self._metrics.items()},
            "updates": {path: metric.update_count for path, metric in self._metric_parts()},
        }

    def load_state_dict(self, state: State) -> None:
        """Take both over."""
        self._metrics = {purpose: dict(found) for purpose, found in state["logged"].items()}
        for path, metric in self._metric_parts():
            metric._update_count = state["updates"][path]  # noqa: SLF001  it has no setter
            metric._computed = None  # noqa: SLF001  the value of other sums

    def _metric_parts(self) -> Iterator[tuple[str, Any]]:
        return ((path, part) for path, part in self._module.named_modules() if _is_metric(part))

    def _take(self, name: str, value: Any, *, reduce_fx: Any = "mean", **_: Any) -> None:  # noqa: ANN401
        if reduce_fx not in {"mean", torch.mean}:
            message = (
                f"log({name!r}): expected reduce_fx='mean', found {reduce_fx!r}; log a"
                " torchmetrics object, or work it out at the end of the epoch"
            )
            raise LightningFeatureError(message)
        if _is_metric(value):
            paths = [path for path, part in self._module.named_modules() if part is value]
            if not paths:
                message = (
                    f"log({name!r}): expected a metric object that is an attribute of the module,"
                    " so that its sums are part of the state, found one that is not"
                )
                raise LightningFeatureError(message)
            self._metrics[self._purpose][name] = paths[0]
        else:
            self._scores[name] = value.detach() if isinstance(value, Tensor) else float(value)

    def _take_all(self, dictionary: Mapping[str, Any], **options: Any) -> None:  # noqa: ANN401
        for name, value in dictionary.items():
            self._take(name, value, **options)


def _is_metric(value: object) -> bool:
    """Whether it is a torchmetrics object, without importing torchmetrics."""
    return isinstance(value, nn.Module) and all(
        hasattr(value, name) for name in ("compute", "update", "reset", "persistent")
    )


class _ModuleHooks:
    """The loop's hooks, handed on to the module's own."""

    def __init__(self, module: Any, log: _Log) -> None:  # noqa: ANN401  a LightningModule
        self._module, self._log = module, log
        self._batch: Any = None
        self._number = -1
        self.outputs: Any = None

    def on_epoch_start(self, epoch: int) -> None:
        del epoch
        self._in_log(self._module.on_train_epoch_start)

    def on_batch_start(self, batch: Any) -> None:  # noqa: ANN401  user data
        self._batch = batch
        self._number = self._module.trainer.batch_number
        self._in_log(self._module.on_train_batch_start, batch, self._number)

    def on_before_backward(self, loss: Tensor) -> None:
        self._module.on_before_backward(loss)

    def on_after_backward(self) -> None:
        self._module.on_after_backward()

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        self._module.on_before_optimizer_step(optimizer)
        self._module.on_before_zero_grad(optimizer)

    def on_batch_end(self, loss: float) -> None:
        del loss
        self._in_log(self._module.on_train_batch_end, self.outputs, self._batch, self._number)
        self._batch = self.outputs = None

    def on_validation_start(self, step: int) -> None:
        del step
        self._in_log(self._module.on_validation_start)
        self._in_log(self._module.on_validation_epoch_start)

    def on_finish(self, metrics: dict[str, float]) -> None:
        del metrics
        self._module.on_train_end()
        self._module.on_fit_end()

    def _in_log(self, hook: Callable[..., object], *args: object) -> None:
        with self._log.capture("train") as logged:
            hook(*args)
        if logged:
            message = (
                f"expected {getattr(hook, '__name__', hook)} to log nothing, found"
                f" {sorted(logged)}; log in training_step, validation_step, on_train_epoch_end or"
                " on_validation_epoch_end"
            )
            raise LightningFeatureError(message)
