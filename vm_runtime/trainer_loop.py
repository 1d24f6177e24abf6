"""Training as a chain of small steps between which it may stop, at any of them, without a trace.

Knows model, data and where it is in them; nothing of jobs, stores, time or stopping.
"""

import logging
import math
from typing import Any, Final, assert_never

import torch
from torch import nn

from vm_runtime.data import Loaded, Loading, MapSource, Purpose, Source, is_stream
from vm_runtime.data_stream import StreamSource
from vm_runtime.seeding import seed_rng
from vm_runtime.session import StopReason
from vm_runtime.state import (
    State,
    Stateful,
    gradients,
    restore_gradients,
)
from vm_runtime.trainer_callbacks import Hooks
from vm_runtime.trainer_fit import check_fit, fingerprint
from vm_runtime.trainer_group import Group
from vm_runtime.trainer_position import Event, Means, NonFiniteError, Phase, Position
from vm_runtime.trainer_settings import Interval, TrainingSettings
from vm_runtime.trainer_task import Scores, Task

_log = logging.getLogger(__name__)


class TrainingLoop:
    """A training that moves on by `advance()` and whose whole state is `state_dict()`."""

    def __init__(self, settings: TrainingSettings, task: Task, group: Group) -> None:
        """Build everything that does not need a checkpoint."""
        self._settings: Final = settings
        self._task: Final = task
        self.group: Final = group
        self._computing: nn.Module
        self._computing, self._optimizer = group.set_up(task.computing, task.optimizer)
        if not task.model.training:
            task.model.train()
        self._train_modes = _modes(task.model)
        own = [] if task.hooks is None else [task.hooks]
        self._hooks = Hooks([*own, *settings.callbacks])
        self._train = self._source(settings.train_dataset, "train")
        self._val = (
            None
            if settings.val_dataset is None
            else self._source(settings.val_dataset, "validation")
        )
        self.position = Position()
        self.metrics: dict[str, float] = {}
        """The latest metrics: `loss` (mean of the epoch so far), `val_loss`, `val_<name>`."""
        self.history: list[dict[str, float]] = []
        """One entry for each validation and each epoch, in order."""
        task.attach(self)

    @property
    def models(self) -> dict[str, nn.Module]:
        """The model, by its key in the state."""
        return {"model": self._task.model}

    @property
    def done(self) -> bool:
        """Whether all epochs are complete, or a callback ended the training."""
        return self.position.ended or self.position.epoch >= self._settings.epochs

    @property
    def steps_total(self) -> int | None:
        """Optimizer steps of the whole training; `None`: not known."""
        batches = self._train.batches_per_epoch
        if batches is None:
            return None
        return self._settings.epochs * math.ceil(batches / self._settings.accumulate)

    @property
    def may_stop(self) -> bool:
        """Whether a checkpoint taken now would hold all: gradients gathered apart are not kept."""
        at = self.position
        is_whole = at.batch % self._settings.accumulate == 0 or at.phase is not Phase.TRAIN
        return self.group.size == 1 or is_whole

    def begin(self, state: State | None) -> None:
        """Go to where `state` was taken, or to the beginning; all processes to the first's.

        Raises:
            StateMismatchError: the state belongs to another training; nothing was changed.
        """
        state = self.group.tell(state)
        if state is None:
            self._task.optimizer.zero_grad(set_to_none=True)
        else:
            self.load_state_dict(state)

    def agree(self, reason: StopReason | None) -> StopReason | None:
        """Return the first process's reason to stop here, the same in all; `None`: go on."""
        return self.group.agree(reason) if self.may_stop else None

    def call(self, hook: str, *args: object) -> None:
        """Call a hook of all callbacks that have it."""
        self._hooks.call(hook, *args)

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
        self._train.close()
        if self._val is not None:
            self._val.close()

    def _source(self, dataset: Any, purpose: Purpose) -> Source:  # noqa: ANN401  user data
        settings = self._settings
        loading = Loading(
            seed=settings.seed,
            batch_size=settings.batch_size,
            num_workers=settings.num_workers,
            collate=settings.collate_fn,
            share=self.group.share,
        )
        if is_stream(dataset):
            return StreamSource(dataset, loading, purpose=purpose)
        epochs = settings.epochs if purpose == "train" else 1
        return MapSource(dataset, loading, purpose=purpose, epochs=epochs)

    def _seed(self, *place: int | str) -> None:
        """Let all random draws from here on depend on the place alone, in each process."""
        seed_rng(self._settings.seed, self.group.rank, *place)

    def _train_batch(self) -> Event:
        at, settings = self.position, self._settings
        if at.batch == 0:
            self._seed("epoch", at.epoch)
            self.call("on_epoch_start", at.epoch)
        self._train.go_to(at.epoch, at.batch, self._train.stream_state)
        loaded = self._train.next()
        self._seed("train", at.epoch, at.batch)
        group = self._group_size()
        steps = loaded.is_last or (at.batch + 1) % settings.accumulate == 0
        value = self._forward_and_backward(loaded, group, steps=steps)
        at.batch += 1
        at.epoch_is_over = loaded.is_last
        if steps:
            self._step()
        self.call("on_batch_end", value)
        if steps:
            self.call("on_step_end", at.step)
            at.phase = self._after_step()
        return Event.STEP if steps else Event.MICRO_BATCH

    def _group_size(self) -> int:
        """Return how many micro-batches share the optimizer step.

        Of a stream nobody knows how many are left: there the last step of an epoch, if it
        gathers fewer, is as much smaller.
        """
        accumulate, batches = self._settings.accumulate, self._train.batches_per_epoch
        if batches is None:
            return accumulate
        first = self.position.batch - self.position.batch % accumulate
        return min(accumulate, batches - first)

    def _forward_and_backward(self, loaded: Loaded, group: int, *, steps: bool) -> float:
        """Return the loss of a micro-batch, its gradient added to what was gathered."""
        at = self.position
        batch = self.group.to_device(loaded.batch)
        self.call("on_batch_start", batch)
        with self.group.gathering(self._computing, last=steps):
            loss, scores = self._task.train(self._computing, batch, at.batch)
            scores = {"loss": loss.detach(), **scores}
            self.call("on_before_backward", loss)
            if self.group.size > 1:  # the sum over processes is then the mean over the batch
                loss = loss * (loaded.mine / loaded.size)
            self.group.backward(loss if group == 1 else loss / group)
        self.call("on_after_backward")
        value = self._add(at.trained, scores, loaded)["loss"]
        self._check_finite(value)
        self.metrics.update(at.trained.all())
        return value

    def _add(self, means: Means, scores: Scores, loaded: Loaded) -> dict[str, float]:
        """Add a batch's scores, over all processes, and return their means over the batch."""
        mine = [float(value) * loaded.mine for value in scores.values()]
        found = {}
        for name, weighted in zip(scores, self.group.sums(mine), strict=True):
            means.add(name, weighted, loaded.size)
            found[name] = weighted / loaded.size
        return found

    def _step(self) -> None:
        settings, at = self._settings, self.position
        if settings.clip_norm is not None:
            norm = self.group.clip(self._computing, self._optimizer, settings.clip_norm)
            if norm is not None and not math.isfinite(norm) and not self.group.scales_gradients:
                message = f"expected a finite gradient, found norm {norm} {self._where()}"
                raise NonFiniteError(message)
        self.call("on_before_optimizer_step", self._task.optimizer)
        self._optimizer.step()
        self.group.clear_gradients(self._optimizer)
        at.step += 1
        self._move_schedule_on("step", at.step)

    def _move_schedule_on(self, interval: Interval, count: int) -> None:
        if self._task.schedule is not None:
            self._task.schedule.move_on(interval, count, self.metrics)

    def _after_step(self) -> Phase:
        at, every = self.position, self._settings.val_every_n_steps
        due = at.epoch_is_over if every is None else at.step % every == 0
        is_last = at.epoch_is_over and at.epoch + 1 == self._settings.epochs
        if self._val is not None and (due or is_last):
            return Phase.VALIDATE
        return Phase.EPOCH_END if at.epoch_is_over else Phase.TRAIN

    def _validate_batch(self) -> Event:
        at = self.position
        if self._val is None:
            message = "expected a val_dataset, as the checkpoint lies within a validation"
            raise ValueError(message)
        if at.val_batch == 0:
            self._train_modes = _modes(self._task.model)
            self._seed("validation", at.step)
            self.call("on_validation_start", at.step)
        self._val.go_to(0, at.val_batch, self._val.stream_state if at.val_batch else None)
        loaded = self._val.next()
        self._seed("validate", at.step, at.val_batch)
        batch = self.group.to_device(loaded.batch)
        self._task.model.eval()
        with torch.no_grad():
            scores = self._task.validate(self._computing, batch, at.val_batch)
            self._add(at.validated, scores, loaded)
        # Back at once, not at the validation's end: whoever looks in between finds it as it was.
        _set_modes(self._task.model, self._train_modes)
        at.val_batch += 1
        if loaded.is_last:
            self._end_validation()
        return Event.VALIDATION_BATCH

    def _end_validation(self) -> None:
        at = self.position
        results = {**at.validated.all(), **_numbers(self._task.end_validation())}
        self.metrics.update(results)
        self.history.append({"epoch": at.epoch, "step": at.step, **results})
        at.val_batch, at.validated = 0, Means()
        at.phase = Phase.EPOCH_END if at.epoch_is_over else Phase.TRAIN
        for name, value in results.items():
            if not math.isfinite(value):
                _log.warning("%s is %s after step %d", name, value, at.step)
        self.call("on_validation_end", results)
        at.ended = self._hooks.want_end

    def _end_epoch(self) -> Event:
        at = self.position
        self._seed("epoch end", at.epoch)
        results = {**at.trained.all(), **_numbers(self._task.end_epoch())}
        self.metrics.update(results)
        self._move_schedule_on("epoch", at.epoch + 1)
        self.history.append({"epoch": at.epoch, "step": at.step, **results})
        epoch = at.epoch
        self.position = Position(epoch=epoch + 1, step=at.step)
        self._train.stream_state = None
        self.call("on_epoch_end", epoch, dict(self.metrics))
        self.position.ended = self._hooks.want_end
        return Event.EPOCH_END

    def _check_finite(self, loss: float) -> None:
        if not math.isfinite(loss):
            message = (
                f"expected a finite loss, found {loss} {self._where()}. The last checkpoint is"
                " kept; lower the learning rate, clip gradients, or look at the samples of"
                " that batch."
            )
            raise NonFiniteError(message)

    def _where(self) -> str:
        at = self.position
        return f"in epoch {at.epoch}, batch {at.batch}, after optimizer step {at.step}"

    def state_dict(self) -> State:
        """Return everything that the rest of the training depends on; tensors are not copied.

        Random generators are no part of it: each small step seeds them anew.
        """
        settings, task = self._settings, self._task
        return {
            "run": fingerprint(settings, task),
            "position": self.position.to_state(),
            "streams": [self._train.stream_state, self._val and self._val.stream_state],
            "model": task.model.state_dict(),
            "task": task.state_dict(),
            "modes": _modes(task.model),
            "trainable": {name: p.requires_grad for name, p in task.model.named_parameters()},
            "optimizer": task.optimizer.state_dict(),
            "lr_scheduler": task.schedule and task.schedule.scheduler.state_dict(),
            "precision": self.group.precision_state(),
            "gradients": gradients(task.model),
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
        settings, task = self._settings, self._task
        check_fit(settings, task, state)
        task.model.load_state_dict(state["model"])
        _set_modes(task.model, state["modes"])
        self._train_modes = _modes(task.model)
        for name, parameter in task.model.named_parameters():
            parameter.requires_grad_(state["trainable"][name])
        task.optimizer.load_state_dict(state["optimizer"])
        if task.schedule is not None:
            task.schedule.scheduler.load_state_dict(state["lr_scheduler"])
            # Else torch would warn of a scheduler that moves before the optimizer did.
            task.optimizer._opt_called = True  # type: ignore[attr-defined]  # noqa: SLF001
        task.load_state_dict(state["task"])
        self.group.load_precision_state(state["precision"])
        restore_gradients(task.model, state["gradients"])
        for callback, saved in zip(settings.callbacks, state["callbacks"], strict=True):
            if isinstance(callback, Stateful):
                callback.load_state_dict(saved)
        self.position = at = Position.from_state(state["position"])
        self.metrics, self.history = dict(state["metrics"]), list(state["history"])
        train_stream, val_stream = state["streams"]
        self._train.go_to(at.epoch, at.batch, train_stream)
        if self._val is not None:
            self._val.go_to(0, at.val_batch, val_stream)


def _numbers(scores: Scores) -> dict[str, float]:
    return {name: float(value) for name, value in scores.items()}


def _modes(model: nn.Module) -> dict[str, bool]:
    return {name: module.training for name, module in model.named_modules()}


def _set_modes(model: nn.Module, modes: dict[str, bool]) -> None:
    """Set each module's own mode; `Module.train()` would set those of its children too."""
    for name, module in model.named_modules():
        module.training = modes.get(name, module.training)
