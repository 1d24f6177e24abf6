"""Hooks are called in order, once per event; the ready-made callbacks survive any stop."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from fake_session import FakeSession
from memory_blobs import MemoryBlobStore
from tiny_training import differences, final_state, fit, run_to_end, tiny_trainer

from vm_runtime.trainer import BestModel, Callback, EarlyStopping, IntervalTrainer

HOOKS = [name for name in vars(Callback) if name.startswith("on_")]


class Notes:
    """Notes which hooks were called; no subclass of anything."""

    def __init__(self) -> None:
        """Note nothing yet."""
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        """Give a hook that notes its name."""
        if name not in HOOKS:
            raise AttributeError(name)
        return lambda *_: self.calls.append(name.removeprefix("on_"))


def test_hooks_come_in_order() -> None:
    """One epoch of two optimizer steps, the first of two micro-batches."""
    notes = Notes()
    fit(tiny_trainer(callbacks=[notes], epochs=1, accumulate=2, length=12), None)
    batch = ["batch_start", "before_backward", "after_backward"]

    assert notes.calls == [
        "epoch_start",
        *(*batch, "batch_end"),
        *(*batch, "before_optimizer_step", "batch_end", "step_end"),
        *(*batch, "before_optimizer_step", "batch_end", "step_end"),
        *("validation_start", "validation_end"),
        *("epoch_end", "finish"),
    ]


def test_a_stop_calls_no_hook_twice() -> None:
    """But for those that tell of stops and checkpoints, all are called as in a straight run."""
    straight, stopped = Notes(), Notes()
    store = MemoryBlobStore()
    fit(tiny_trainer(callbacks=[straight]), None)
    for incarnation, look in enumerate([1, 2, 3, 4, None], start=1):
        session = FakeSession(store, incarnation=incarnation, stop_at_look=look)
        fit(tiny_trainer(init=incarnation - 1, callbacks=[stopped]), session)

    assert stopped.calls.count("stop") == 4
    assert stopped.calls.count("checkpoint") >= 5
    course = [call for call in stopped.calls if call not in {"stop", "checkpoint"}]
    assert course == straight.calls


class Scripted:
    """A metric whose values are given."""

    def __init__(self, values: list[float]) -> None:
        """Give them one after the other, counted by validations."""
        self.values = values
        self.count = 0

    def on_validation_end(self, metrics: dict[str, float]) -> None:
        """Put the next value in."""
        metrics["val_score"] = self.values[self.count]
        self.count += 1

    def state_dict(self) -> dict[str, Any]:
        """Return the count."""
        return {"count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it."""
        self.count = state["count"]


def scripted(init: int, values: list[float]) -> tuple[IntervalTrainer, BestModel, EarlyStopping]:
    """Return a training that watches a scripted score."""
    trainer = tiny_trainer(init=init, epochs=9)
    best = BestModel(trainer.model, "val_score", mode="max", restore_at_end=True)
    early = EarlyStopping("val_score", mode="max", patience=2, min_delta=0.1)
    trainer.callbacks = [Scripted(values), best, early]
    return trainer, best, early


VALUES = [0.5, 0.9, 0.95, 0.4, 0.8]


def test_early_stopping_ends_the_work_and_the_best_weights_come_back() -> None:
    """Two validations without a gain of 0.1 end it; the best is that of the highest score."""
    trainer, best, early = scripted(0, VALUES)
    outcome = fit(trainer, None)

    assert (outcome.finished, outcome.stopped_because) == (True, None)
    assert outcome.history[-1]["epoch"] == 3
    assert (early.best, best.best) == (0.9, 0.95)
    for name, value in trainer.model.state_dict().items():
        assert torch.equal(value, best.weights[name]), name


def test_both_survive_stops() -> None:
    """Stopped after every look they end at the same place, with the same weights."""
    straight, stopped = MemoryBlobStore(), MemoryBlobStore()
    fit(scripted(0, VALUES)[0], FakeSession(straight))
    incarnation = 1
    while True:
        trainer, best, _ = scripted(incarnation - 1, VALUES)
        session = FakeSession(stopped, incarnation=incarnation, stop_at_look=3)
        if fit(trainer, session).finished:
            break
        incarnation += 1

    assert differences(final_state(straight), final_state(stopped)) == []
    assert torch.equal(trainer.model[0].weight, best.weights["0.weight"])
    again = scripted(99, VALUES)[0]  # a finished job gives the best weights, too
    assert fit(again, FakeSession(stopped, incarnation=incarnation + 1)).finished
    assert torch.equal(again.model[0].weight, best.weights["0.weight"])


def test_a_metric_that_is_not_there_is_named() -> None:
    """With those that are."""
    with pytest.raises(ValueError, match=r"EarlyStopping: expected 'val_acc' .*'val_spread'"):
        fit(tiny_trainer(callbacks=[EarlyStopping("val_acc")]), None)
    with pytest.raises(ValueError, match="mode: expected 'min' or 'max', found 'best'"):
        EarlyStopping(mode="best")  # type: ignore[arg-type]


def test_a_scheduler_that_wants_a_metric_gets_it() -> None:
    """ReduceLROnPlateau moves by the metric named, and resumes exactly."""

    def plateau(init: int, monitor: str = "val_loss") -> IntervalTrainer:
        trainer = tiny_trainer(init=init, lr_scheduler=None, epochs=3)
        assert trainer.optimizer is not None
        trainer.lr_scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
            trainer.optimizer, patience=0, factor=0.5, mode="max"
        )
        trainer.lr_monitor = monitor
        return trainer

    straight, stopped = MemoryBlobStore(), MemoryBlobStore()
    fit(plateau(0), FakeSession(straight))
    for incarnation, look in enumerate([7, 7, None], start=1):
        stay = FakeSession(stopped, incarnation=incarnation, stop_at_look=look)
        fit(plateau(incarnation - 1), stay)

    assert differences(final_state(straight), final_state(stopped)) == []
    assert final_state(straight)["optimizer"]["param_groups"][0]["lr"] < 0.1
    with pytest.raises(ValueError, match="expected the metric 'val_x', found"):
        fit(plateau(0, "val_x"), None)


def test_a_stream_that_cannot_say_where_it_is_is_refused() -> None:
    """Before anything runs, with what it needs."""

    class Stream(torch.utils.data.IterableDataset[int]):
        def __iter__(self) -> Any:  # noqa: ANN401
            return iter(range(3))

    with pytest.raises(TypeError, match=r"state_dict\(\) and load_state_dict\(\).*Stream"):
        tiny_trainer(train_dataset=Stream())


def test_a_run_that_was_refused_leaves_the_next_one_alone() -> None:
    """Settings of torch are given back after an error, too."""
    with pytest.raises(ValueError, match="EarlyStopping"):
        fit(tiny_trainer(callbacks=[EarlyStopping("val_acc")]), None)

    assert not torch.are_deterministic_algorithms_enabled()
    run_to_end(MemoryBlobStore())
