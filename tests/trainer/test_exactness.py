"""Stopped and resumed anywhere, a training ends with the bits of one that never was."""

from functools import cache
from typing import Any

import pytest
import torch
from fake_session import FakeSession
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_blobs import MemoryBlobStore
from tiny_training import differences, final_state, fit, latest, run_to_end, tiny_trainer

from vm_runtime.session import StopReason
from vm_runtime.state import weights_digest

VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "accumulation": {"accumulate": 3, "clip_norm": 0.5},
    "validation within the epoch": {"val_every_n_steps": 3, "lr_scheduler_interval": "step"},
    "no validation": {"val_dataset": None, "lr_scheduler": None},
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


@pytest.mark.parametrize("variant", VARIANTS)
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


@pytest.mark.parametrize("variant", ["plain", "accumulation"])
def test_the_number_of_workers_changes_no_bit(variant: str) -> None:
    """Loader processes, and changing their number between VMs, are invisible in the result."""
    store, workers = MemoryBlobStore(), [2, 0, 2]
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
