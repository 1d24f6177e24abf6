"""A checkpoint of another code version says precisely what does not fit, and is left as it is."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from fake_session import JOB, FakeSession, SteppingClock
from memory_blobs import MemoryBlobStore
from tiny_training import final_state, fit, latest, tiny_trainer

from vm_runtime.checkpoint import Checkpoints
from vm_runtime.checkpoint_writer import PAYLOAD
from vm_runtime.state import StateMismatchError

Change = Callable[[dict[str, Any]], object]


def rewritten(change: Change, name: str = PAYLOAD) -> MemoryBlobStore:
    """Return a bucket whose latest checkpoint is a changed one: whole, but of other code."""
    store = MemoryBlobStore()
    fit(tiny_trainer(), FakeSession(store, stop_at_look=3))
    state = final_state(store)
    change(state)
    checkpoints = Checkpoints(store, JOB.job_id, 1, SteppingClock())
    checkpoints.take_over()
    checkpoints.commit(
        3,
        {name: lambda stream: torch.save(state, stream)},
        finished=False,
        weights_sha256="0" * 64,
    )
    return store


def set_weight(state: dict[str, Any]) -> None:
    """Give a layer another shape."""
    state["model"]["0.weight"] = torch.zeros(8, 5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("metrics"), "missing: metrics; unexpected: none"),
        (lambda state: state.update(extra=1), "missing: none; unexpected: extra"),
        (lambda state: state["model"].pop("0.bias"), r"model\.0\.bias: not in the checkpoint"),
        (
            lambda state: state["model"].update(new=torch.zeros(1)),
            r"model\.new: in the checkpoint only",
        ),
        (set_weight, r"model\.0\.weight: expected float32\(8, 5\) .*found float32\(8, 4\)"),
    ],
    ids=["missing part", "unexpected part", "missing key", "unexpected key", "shape"],
)
def test_what_does_not_fit_is_named_with_both_versions(change: Change, message: str) -> None:
    """Missing, unexpected and misshapen keys, and who wrote what; LATEST stays."""
    store = rewritten(change)
    before = latest(store).checkpoint_id
    with pytest.raises(StateMismatchError, match=message) as caught:
        fit(tiny_trainer(), FakeSession(store, incarnation=2))
    [note] = caught.value.__notes__
    assert re.search(r"step 3\) was written by smartscheduler .* with torch 2", note)
    assert latest(store).checkpoint_id == before


def test_a_payload_that_would_run_code_is_refused() -> None:
    """Loading takes tensors, numbers and text, nothing else."""
    store = rewritten(lambda state: state.update(rng=SteppingClock()))
    with pytest.raises(StateMismatchError, match="without running code"):
        fit(tiny_trainer(), FakeSession(store, incarnation=2))


def test_a_checkpoint_of_another_trainer_is_told() -> None:
    """One whose payload has another name was written by something else."""
    store = rewritten(lambda _: None, "model.bin")
    with pytest.raises(StateMismatchError, match=r"state\.pt in the checkpoint, found model\.bin"):
        fit(tiny_trainer(), FakeSession(store, incarnation=2))
