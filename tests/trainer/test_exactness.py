"""Stopped and resumed anywhere, a training ends with the bits of one that never was."""

import random
from functools import cache
from typing import Any

import pytest
import torch
from fake_session import FakeSession
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_blobs import MemoryBlobStore
from stateful_stream import CountingStream
from tiny_training import differences, final_state, fit, latest, run_to_end, tiny_trainer
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from vm_runtime.session import StopReason
from vm_runtime.state import weights_digest
from vm_runtime.trainer import IntervalTrainer

VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "accumulation": {"accumulate": 3, "clip_norm": 0.5},
    "validation within the epoch": {"val_every_n_steps": 3, "lr_scheduler_interval": "step"},
    "no validation": {"val_dataset": None, "lr_scheduler": None},
    "bfloat16": {"precision": "bf16-mixed", "accumulate": 2},
}


@cache
def straight(variant: str) -> tuple[dict[str, Any], tuple[int, ...], int]:
    """Return final state, samples seen and looks of a run that is never stopped."""
    store, seen = MemoryBlobStore(), []
    session = FakeSession(store)
    assert fit(tiny_trainer(seen=seen, **VARIANTS[variant]), session).finished
    return final_state(store), tuple(seen), session.looks


def check(store: MemoryBlobStore, seen: list[int], variant: str) -> None:
    """Compare everything with the straight run."""
    expected, expected_seen, _ = straight(variant)

    assert differences(expected, final_state(store)) == []
    assert tuple(seen) == expected_seen
    assert latest(store).finished


@pytest.mark.parametrize("variant", sorted(VARIANTS.keys() - {"bfloat16"}))
def test_a_stop_at_any_look_changes_no_bit(variant: str) -> None:
    """Straight run == k looks + stop + the rest, for every k from 0 to the last."""
    for look in range(straight(variant)[2] + 1):
        store = MemoryBlobStore()
        seen = run_to_end(store, [look], **VARIANTS[variant])
        check(store, seen, variant)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_stop_after_every_single_look_changes_no_bit(variant: str) -> None:
    """A new VM for each micro-batch, validation batch and epoch end is still exact."""
    store = MemoryBlobStore()
    seen = run_to_end(store, [1] * straight(variant)[2], **VARIANTS[variant])
    check(store, seen, variant)


def test_stops_without_any_work_in_between_change_no_bit() -> None:
    """Two stops within the same step, and one before the first step, lose nothing."""
    store = MemoryBlobStore()
    seen = run_to_end(store, [0, 2, 0, 0, 5, 0, 3])
    check(store, seen, "plain")


@pytest.mark.filterwarnings("ignore:This DataLoader will create 4")  # on two cores
@pytest.mark.parametrize("variant", ["plain", "accumulation"])
def test_the_number_of_workers_changes_no_bit(variant: str) -> None:
    """Loader processes, and changing their number between VMs, are invisible in the result."""
    store, workers = MemoryBlobStore(), [2, 0, 4]
    seen: list[int] = []
    for incarnation, (count, look) in enumerate(zip(workers, [3, 4, None], strict=True), start=1):
        session = FakeSession(store, incarnation=incarnation, stop_at_look=look)
        trainer = tiny_trainer(
            init=incarnation - 1, seen=seen, num_workers=count, **VARIANTS[variant]
        )
        fit(trainer, session)
    check(store, seen, variant)


@settings(max_examples=15)
@given(
    variant=st.sampled_from(sorted(VARIANTS)),
    stops=st.lists(st.integers(min_value=0, max_value=9), max_size=6),
    checkpoint_every_s=st.sampled_from([None, 0.0, 2.0]),
)
def test_random_stops_change_no_bit(
    variant: str, stops: list[int], checkpoint_every_s: float | None
) -> None:
    """Whatever the stops and the checkpoints in between, the result is that of the straight run."""
    store = MemoryBlobStore()
    changes = {**VARIANTS[variant], "checkpoint_every_s": checkpoint_every_s}
    seen = run_to_end(store, stops, **changes)
    check(store, seen, variant)


@pytest.mark.parametrize("workers", [[0, 0], [2, 0]])
def test_a_stream_goes_on_where_it_was(workers: list[int]) -> None:
    """Stopped after every look, with and without reading ahead: each sample once, every bit."""

    def changes(num_workers: int) -> dict[str, Any]:
        data = {"train_dataset": CountingStream(14), "val_dataset": CountingStream(6)}
        return {**data, "accumulate": 3, "num_workers": num_workers}

    straight, stopped = MemoryBlobStore(), MemoryBlobStore()
    expected: list[int] = []
    session = FakeSession(straight)
    fit(tiny_trainer(seen=expected, **changes(0)), session)
    seen: list[int] = []
    looks = [2, 5, 3] if any(workers) else [1] * session.looks
    for incarnation, look in enumerate([*looks, None], start=1):
        stay = FakeSession(stopped, incarnation=incarnation, stop_at_look=look)
        count = workers[incarnation % 2]
        outcome = fit(tiny_trainer(init=incarnation, seen=seen, **changes(count)), stay)

    assert outcome.finished
    assert seen == expected
    assert sorted(seen[:14]) == list(range(14))
    assert seen[:14] != seen[14:]  # `set_epoch` was told
    # Both began from other first weights, so all but those is compared by the samples alone.
    assert final_state(stopped)["position"] == final_state(straight)["position"]


class MovingAverage:
    """A callback with weights of its own that draws at random, as some do."""

    def __init__(self, model: nn.Module) -> None:
        """Copy the model."""
        self._model = model
        self.average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
        self.drawn = 0.0

    def on_step_end(self, step: int) -> None:
        """Take the weights in."""
        self.drawn += step * random.random() + float(torch.rand(()))
        self.average.update_parameters(self._model)

    def on_validation_end(self, metrics: dict[str, float]) -> None:
        """Draw outside of any batch."""
        self.drawn += random.random() * metrics["val_loss"]

    def state_dict(self) -> dict[str, Any]:
        """Return all of it."""
        return {"average": self.average.state_dict(), "drawn": self.drawn}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take all of it."""
        self.average.load_state_dict(state["average"])
        self.drawn = state["drawn"]


def test_a_moving_average_and_draws_of_callbacks_are_exact() -> None:
    """Weights kept beside the model, and random numbers drawn in hooks, in any epoch."""

    def trainer(init: int) -> IntervalTrainer:
        made = tiny_trainer(init=init)
        made.callbacks = [MovingAverage(made.model)]
        return made

    straight, stopped = MemoryBlobStore(), MemoryBlobStore()
    session = FakeSession(straight)
    fit(trainer(0), session)
    for incarnation, look in enumerate([*([1] * session.looks), None], start=1):
        stay = FakeSession(stopped, incarnation=incarnation, stop_at_look=look)
        outcome = fit(trainer(incarnation - 1), stay)

    assert outcome.finished
    assert differences(final_state(straight), final_state(stopped)) == []


def test_a_job_changes_no_bit_of_a_training_without_one() -> None:
    """Without a session the same weights and the same history come out."""
    alone, in_job = tiny_trainer(), tiny_trainer()
    first = fit(alone, None)
    second = fit(in_job, FakeSession(MemoryBlobStore()))

    assert weights_digest(alone.model) == weights_digest(in_job.model)
    assert first == second


def test_every_sample_is_seen_once_per_epoch() -> None:
    """No interruption loses or repeats a sample."""
    seen = run_to_end(MemoryBlobStore(), [3, 3, 3, 3, 3])

    assert sorted(seen[:14]) == list(range(14))
    assert sorted(seen[14:]) == list(range(14))
    assert seen[:14] != seen[14:]


def test_validation_leaves_the_modes_as_they_were() -> None:
    """After a validation, and when stopped within one, dropout and batch norm are on again."""
    trainer = tiny_trainer()
    trainer.model[1].eval()  # a layer that the user froze stays frozen
    outcome = fit(trainer, FakeSession(MemoryBlobStore(), stop_at_look=5))

    assert outcome.stopped_because is StopReason.SIGNAL
    assert trainer.model.training
    assert trainer.model[3].training
    assert not trainer.model[1].training


def test_fit_gives_back_the_global_settings() -> None:
    """Deterministic algorithms are on inside `fit()` only."""
    found = []

    class Look:
        def on_step_end(self, step: int) -> None:
            del step
            found.append(torch.are_deterministic_algorithms_enabled())

    fit(tiny_trainer(callbacks=[Look()]), None)

    assert set(found) == {True}
    assert not torch.are_deterministic_algorithms_enabled()
