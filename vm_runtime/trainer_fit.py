"""Whether a checkpoint fits the training that wants to resume from it; says all that does not."""

from collections.abc import Sized
from typing import Any, cast

import torch

from vm_runtime.data import is_stream
from vm_runtime.state import State, Stateful, StateMismatchError
from vm_runtime.trainer_settings import TrainingSettings
from vm_runtime.trainer_task import Task

_SHOWN = 8


def fingerprint(settings: TrainingSettings, task: Task) -> State:
    """Return what must be the same when a training is resumed."""
    schedule = task.schedule
    return {
        "train_dataset length": _length(settings.train_dataset),
        "val_dataset length": _length(settings.val_dataset),
        "batch_size": settings.batch_size,
        "seed": settings.seed,
        "accumulate": settings.accumulate,
        "clip_norm": settings.clip_norm,
        "val_every_n_steps": settings.val_every_n_steps,
        "metrics": sorted(settings.metrics),
        "precision": settings.precision,
        "optimizer": type(task.optimizer).__name__,
        "lr_scheduler": None if schedule is None else type(schedule.scheduler).__name__,
        "lr_scheduler_interval": None if schedule is None else schedule.interval,
        "callbacks with state": [
            type(callback).__name__
            for callback in settings.callbacks
            if isinstance(callback, Stateful)
        ],
    }


def check_fit(settings: TrainingSettings, task: Task, state: State) -> None:
    """Compare a checkpoint with the training before any of it is taken over.

    Raises:
        StateMismatchError: something differs; the message names all of it.
    """
    saved, present = state["run"], fingerprint(settings, task)
    problems = [
        f"{name}: expected {saved.get(name)!r} as in the checkpoint, found {value!r}"
        for name, value in present.items()
        if saved.get(name) != value
    ]
    if len(state["callbacks"]) != len(settings.callbacks):
        problems.append(
            f"callbacks: expected {len(state['callbacks'])} as in the checkpoint, found"
            f" {len(settings.callbacks)}"
        )
    problems += _model_problems(state["model"], task.model.state_dict())
    problems += _group_problems(state["optimizer"], task.optimizer.state_dict())
    if problems:
        shown = "; ".join(problems[:_SHOWN])
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        message = (
            f"the checkpoint does not fit this training: {shown}{more}."
            " Set it back to what it was, or submit a new job."
        )
        raise StateMismatchError(message)


def _length(dataset: object) -> int | str | None:
    """Return the number of samples, `None` without a data set."""
    if dataset is None:
        return None
    return "a stream" if is_stream(dataset) else len(cast("Sized", dataset))


def _model_problems(saved: State, present: State) -> list[str]:
    problems = [f"model.{name}: in the checkpoint only" for name in saved if name not in present]
    problems += [f"model.{name}: not in the checkpoint" for name in present if name not in saved]
    for name in saved.keys() & present.keys():
        expected, found = _shape(saved[name]), _shape(present[name])
        if expected != found:
            problems.append(
                f"model.{name}: expected {expected} as in the checkpoint, found {found}"
            )
    return sorted(problems)


def _group_problems(saved: State, present: State) -> list[str]:
    expected = [len(group["params"]) for group in saved["param_groups"]]
    found = [len(group["params"]) for group in present["param_groups"]]
    if expected == found:
        return []
    return [f"optimizer: expected parameter groups of {expected} tensors, found {found}"]


def _shape(value: Any) -> str:  # noqa: ANN401  extra state of a module may be anything
    if isinstance(value, torch.Tensor):
        return f"{str(value.dtype).removeprefix('torch.')}{tuple(value.shape)}"
    return type(value).__name__
