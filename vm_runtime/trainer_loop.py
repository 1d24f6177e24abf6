"""Training as a chain of small steps between which it may stop, at any of them, without a trace.

Knows model, data and where it is in them; nothing of jobs, stores, time or stopping.
"""

import logging
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final, assert_never

import torch
from torch import Tensor, nn

from vm_runtime.data import SeededBatches, epoch_order
from vm_runtime.fabric import Fabric
from vm_runtime.seeding import SampleRandomness, seed_rng
from vm_runtime.state import (
    State,
    Stateful,
    capture_rng,
    gradients,
    restore_gradients,
    restore_rng,
)
from vm_runtime.trainer_fit import check_fit, fingerprint
from vm_runtime.trainer_settings import TrainingSettings

_log = logging.getLogger(__name__)


class NonFiniteError(ArithmeticError):
    """Loss, gradient or weights are NaN or infinite: going on would only spread it."""


class Phase(StrEnum):
    """What comes next."""

    TRAIN = "train"
    """A micro-batch, and the optimizer step if it completes one."""
    VALIDATE = "validate"
    """A batch of a validation."""
    EPOCH_END = "epoch end"
    """Scheduler, history, callbacks."""


class Event(StrEnum):
    """What was just done."""

    MICRO_BATCH = "micro-batch"
    STEP = "step"
    VALIDATION_BATCH = "validation batch"
    EPOCH_END = "epoch end"


@dataclass(slots=True, kw_only=True)
class Position:
    """Where training is: what was consumed and done, never what was merely prefetched."""

    phase: Phase = Phase.TRAIN
    epoch: int = 0
    batch: int = 0
    """Micro-batches consumed in this epoch."""
    step: int = 0
    """Optimizer steps done in all."""
    val_batch: int = 0
    """Batches consumed in the validation that is under way."""
    samples: int = 0
    """Samples trained on in this epoch."""
    loss_sum: float = 0.0
    """Sum of their losses."""
    val_sums: dict[str, float] = field(default_factory=dict)
    """Sums over the samples validated so far, by name of the metric."""


class TrainingLoop:
    """A training that moves on by `advance()` and whose whole state is `state_dict()`."""

    def __init__(self, settings: TrainingSettings) -> None:
        """Build everything that does not need a checkpoint."""
        self._settings: Final = settings
        self._fabric = Fabric(accelerator="cpu", devices=1, callbacks=list(settings.callbacks))
        model, optimizer = self._fabric.setup(settings.model, settings.optimizer)
        self._model: nn.Module = model
        self._optimizer: Any = optimizer
        if not settings.model.training:
            settings.model.train()
        self._train_modes = _modes(settings.model)
        self._batches: Iterator[Any] | None = None
        self._val_batches: Iterator[Any] | None = None
        self._randomness = SampleRandomness()
        self._train = self._epoch_batches(0)
        self._val = self._validation_batches()
        self.position = Position()
        self.metrics: dict[str, float] = {}
        """The latest metrics: `loss` (mean of the epoch so far), `val_loss`, `val_<name>`."""
        self.history: list[dict[str, float]] = []
        """One entry for each validation and each epoch, in order."""

    @property
    def done(self) -> bool:
        """Whether all epochs are complete."""
        return self.position.epoch >= self._settings.epochs

    @property
    def steps_total(self) -> int:
        """Optimizer steps of the whole training."""
        return self._settings.epochs * math.ceil(len(self._train) / self._settings.accumulate)

    def start(self) -> None:
        """Begin at the beginning: seed all random generators, drop leftover gradients."""
        seed_rng(self._settings.seed, "start")
        self._settings.optimizer.zero_grad(set_to_none=True)

    def call(self, hook: str, *args: object) -> None:
        """Call a hook of all callbacks that have it."""
        self._fabric.call(hook, *args)

    def advance(self) -> Event:
        """Do the next small step.

        Raises:
            NonFiniteError: the loss or the gradient is NaN or infinite.
        """
        match self.position.phase:
            case Phase.TRAIN:
                return self._train_batch()
            case Phase.VALIDATE:
                return self._validate_batch()
            case Phase.EPOCH_END:
                return self._end_epoch()
            case unreachable:
                assert_never(unreachable)

    def close(self) -> None:
        """Let go of the loader workers."""
        self._batches = self._val_batches = None

    def _epoch_batches(self, epoch: int) -> SeededBatches:
        settings = self._settings
        length = len(settings.train_dataset)
        return SeededBatches(
            settings.train_dataset,
            order=epoch_order(seed=settings.seed, epoch=epoch, length=length),
            batch_size=settings.batch_size,
            key=(settings.seed, epoch),
            collate=settings.collate_fn,
            randomness=self._randomness,
        )

    def _validation_batches(self) -> SeededBatches | None:
        settings = self._settings
        if settings.val_dataset is None:
            return None
        return SeededBatches(
            settings.val_dataset,
            order=range(len(settings.val_dataset)),
            batch_size=settings.batch_size,
            key=(settings.seed, "validation"),
            collate=settings.collate_fn,
        )

    def _train_batch(self) -> Event:
        at = self.position
        if at.batch == 0:
            self.call("on_epoch_start", at.epoch)
        if self._batches is None:
            self._batches = self._train.iterate(at.batch, num_workers=self._settings.num_workers)
        inputs, targets = self._split(next(self._batches))
        loss = self._settings.loss_fn(self._model(inputs), targets)
        value = self._finite(loss)
        first = at.batch - at.batch % self._settings.accumulate
        group = min(self._settings.accumulate, len(self._train) - first)
        self._fabric.backward(loss if group == 1 else loss / group)
        size = self._train.size(at.batch)
        at.batch += 1
        at.samples += size
        at.loss_sum += value * size
        self.metrics["loss"] = at.loss_sum / at.samples
        stepped = at.batch - first == group
        if stepped:
            self._step()
        self.call("on_batch_end", value)
        if stepped:
            self.call("on_step_end", at.step)
            at.phase = self._after_step()
        return Event.STEP if stepped else Event.MICRO_BATCH

    def _step(self) -> None:
        settings = self._settings
        if settings.clip_norm is not None:
            norm = self._fabric.clip_gradients(
                self._model, self._optimizer, max_norm=settings.clip_norm, error_if_nonfinite=False
            )
            if norm is not None and not bool(torch.isfinite(norm)):
                message = f"expected a finite gradient, found norm {norm.item()} {self._where()}"
                raise NonFiniteError(message)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self.position.step += 1
        if settings.lr_scheduler is not None and settings.lr_scheduler_interval == "step":
            settings.lr_scheduler.step()

    def _after_step(self) -> Phase:
        at, every = self.position, self._settings.val_every_n_steps
        epoch_is_over = at.batch == len(self._train)
        due = epoch_is_over if every is None else at.step % every == 0
        if self._val is not None and (due or at.step == self.steps_total):
            return Phase.VALIDATE
        return Phase.EPOCH_END if epoch_is_over else Phase.TRAIN

    def _validate_batch(self) -> Event:
        at = self.position
        if self._val is None:
            message = "expected a val_dataset, as the checkpoint lies within a validation"
            raise ValueError(message)
        if self._val_batches is None:
            self._train_modes = _modes(self._settings.model)
            self._val_batches = self._val.iterate(
                at.val_batch, num_workers=self._settings.num_workers
            )
        inputs, targets = self._split(next(self._val_batches))
        self._settings.model.eval()
        with torch.no_grad():
            outputs = self._model(inputs)
            scores = {"loss": self._settings.loss_fn, **self._settings.metrics}
            for name, score in scores.items():
                value = float(score(outputs, targets))
                total = at.val_sums.get(f"val_{name}", 0.0)
                at.val_sums[f"val_{name}"] = total + value * self._val.size(at.val_batch)
        # Back at once, not at the validation's end: whoever looks in between finds it as it was.
        _set_modes(self._settings.model, self._train_modes)
        at.val_batch += 1
        if at.val_batch == len(self._val):
            self._end_validation()
        return Event.VALIDATION_BATCH

    def _end_validation(self) -> None:
        at = self.position
        results = {
            name: total / len(self._settings.val_dataset) for name, total in at.val_sums.items()
        }
        self.metrics.update(results)
        self.history.append({"epoch": at.epoch, "step": at.step, **results})
        at.val_batch, at.val_sums, self._val_batches = 0, {}, None
        at.phase = Phase.EPOCH_END if at.batch == len(self._train) else Phase.TRAIN
        for name, value in results.items():
            if not math.isfinite(value):
                _log.warning("%s is %s after step %d", name, value, at.step)
        self.call("on_validation_end", results)

    def _end_epoch(self) -> Event:
        at, settings = self.position, self._settings
        if settings.lr_scheduler is not None and settings.lr_scheduler_interval == "epoch":
            settings.lr_scheduler.step()
        self.history.append({"epoch": at.epoch, "step": at.step, "loss": self.metrics["loss"]})
        epoch, self._batches = at.epoch, None
        self.position = Position(epoch=epoch + 1, step=at.step)
        if not self.done:
            self._train = self._epoch_batches(self.position.epoch)
        self.call("on_epoch_end", epoch, dict(self.metrics))
        return Event.EPOCH_END

    def _split(self, batch: Any) -> tuple[Any, Any]:  # noqa: ANN401  user data
        if not isinstance(batch, tuple | list) or len(batch) != 2:  # noqa: PLR2004  a pair
            message = (
                f"expected batches of (inputs, targets), found {type(batch).__qualname__}"
                f"{f' of {len(batch)}' if isinstance(batch, tuple | list) else ''};"
                " let the data set return pairs, or give a collate_fn"
            )
            raise TypeError(message)
        inputs, targets = self._fabric.to_device(tuple(batch))
        return inputs, targets

    def _finite(self, loss: Tensor) -> float:
        value = loss.item()
        if not math.isfinite(value):
            message = (
                f"expected a finite loss, found {value} {self._where()}. The last checkpoint is"
                " kept; lower the learning rate, clip gradients, or look at the samples of"
                " that batch."
            )
            raise NonFiniteError(message)
        return value

    def _where(self) -> str:
        at = self.position
        return f"in epoch {at.epoch}, batch {at.batch}, after optimizer step {at.step}"

    def state_dict(self) -> State:
        """Return everything that the rest of the training depends on; tensors are not copied."""
        settings = self._settings
        scheduler = settings.lr_scheduler
        return {
            "run": fingerprint(settings),
            "position": {**asdict(self.position), "phase": self.position.phase.value},
            "model": settings.model.state_dict(),
            "modes": _modes(settings.model),
            "trainable": {name: p.requires_grad for name, p in settings.model.named_parameters()},
            "optimizer": settings.optimizer.state_dict(),
            "lr_scheduler": None if scheduler is None else scheduler.state_dict(),
            "gradients": gradients(settings.model),
            "rng": capture_rng(),
            "metrics": self.metrics,
            "history": self.history,
            "callbacks": [
                callback.state_dict() if isinstance(callback, Stateful) else None
                for callback in settings.callbacks
            ],
        }

    def load_state_dict(self, state: State) -> None:
        """Go to where `state_dict` was taken.

        Raises:
            StateMismatchError: the state belongs to another training; nothing was changed.
        """
        settings = self._settings
        check_fit(settings, state)
        settings.model.load_state_dict(state["model"])
        _set_modes(settings.model, state["modes"])
        for name, parameter in settings.model.named_parameters():
            parameter.requires_grad_(state["trainable"][name])
        self._optimizer.load_state_dict(state["optimizer"])
        if settings.lr_scheduler is not None:
            settings.lr_scheduler.load_state_dict(state["lr_scheduler"])
            # Else torch would warn of a scheduler that moves before the optimizer did.
            settings.optimizer._opt_called = True  # type: ignore[attr-defined]  # noqa: SLF001
        restore_gradients(settings.model, state["gradients"])
        for callback, saved in zip(settings.callbacks, state["callbacks"], strict=True):
            if isinstance(callback, Stateful):
                callback.load_state_dict(saved)
        self.position = Position(
            **{**state["position"], "phase": Phase(state["position"]["phase"])}
        )
        self.metrics, self.history = dict(state["metrics"]), list(state["history"])
        self.close()
        self._train = self._epoch_batches(self.position.epoch)
        restore_rng(state["rng"])


def _modes(model: nn.Module) -> dict[str, bool]:
    return {name: module.training for name, module in model.named_modules()}


def _set_modes(model: nn.Module, modes: dict[str, bool]) -> None:
    """Set each module's own mode; `Module.train()` would set those of its children too."""
    for name, module in model.named_modules():
        module.training = modes.get(name, module.training)
