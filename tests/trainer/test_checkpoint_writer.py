"""In the background a checkpoint is as whole, as fenced and as loud in trouble as at once."""

import logging
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_session import JOB, FakeSession, FaultyStore, SteppingClock
from memory_blobs import MemoryBlobStore
from tiny_training import differences, final_state, fit, latest, manifests, tiny_trainer

from vm_runtime.checkpoint import Checkpoints, CheckpointWriteError
from vm_runtime.checkpoint_snapshot import SnapshotBuffers
from vm_runtime.checkpoint_writer import PAYLOAD, CheckpointWriter
from vm_runtime.session import LeaseLostError
from vm_runtime.state import State
from vm_runtime.storage.port import (
    BlobStore,
    StorageDeniedError,
    StorageError,
    StorageUnavailableError,
)
from vm_runtime.trainer import NonFiniteError

DIGEST = "0" * 64


class GatedStore(FaultyStore):
    """Holds every upload until the test lets it go on."""

    def __init__(self) -> None:
        """Start with the gate shut."""
        self.gate, self.reached = threading.Event(), threading.Event()
        super().__init__(MemoryBlobStore(), fails=self._wait)

    def _wait(self, number: int, verb: str, name: str) -> None:
        del number, name
        if verb == "upload":
            self.reached.set()
            assert self.gate.wait(10)


def writer(store: BlobStore, *, incarnation: int = 1, **options: Any) -> CheckpointWriter:  # noqa: ANN401
    """Return a writer of an incarnation that has taken over."""
    checkpoints = Checkpoints(store, JOB.job_id, incarnation, SteppingClock(), sleep=lambda _: None)
    checkpoints.take_over()
    settings: dict[str, Any] = {"describe": lambda _: DIGEST, "check_lease": lambda: None}
    return CheckpointWriter(checkpoints, **{**settings, **options})


def restored(store: BlobStore) -> dict[str, Any]:
    """Return the state that a successor finds."""
    checkpoints = Checkpoints(store, JOB.job_id, 99, SteppingClock(), sleep=lambda _: None)
    checkpoints.take_over()
    with checkpoints.restore() as found:
        assert found is not None
        state: dict[str, Any] = torch.load(Path(found.folder) / PAYLOAD, weights_only=True)
    return state


def test_what_is_written_is_what_was_when_it_began() -> None:
    """Training goes on while the copy is written."""
    store = GatedStore()
    target, weight = writer(store), torch.ones(1000)
    target.begin({"w": weight}, step=1)
    weight.zero_()
    assert target.is_busy
    assert target.poll() is None
    store.gate.set()
    committed = target.wait()

    assert committed is not None
    assert (committed.step, target.is_busy) == (1, False)
    assert target.cost is not None
    assert target.cost.size_bytes > 4000
    assert torch.equal(restored(store.inner)["w"], torch.ones(1000))


def test_a_final_state_does_not_wait_for_an_older_one() -> None:
    """What is on its way is given up at its next piece; the final state is LATEST."""
    store = GatedStore()
    target = writer(store)
    target.begin({"w": torch.zeros(10)}, step=1)
    assert store.reached.wait(10)
    opener = threading.Timer(0.05, store.gate.set)
    opener.start()
    committed = target.flush({"w": torch.ones(10)}, step=2, finished=False)
    opener.join()

    assert committed.step == 2
    assert [manifest.step for manifest in manifests(store.inner)] == [2]
    assert torch.equal(restored(store.inner)["w"], torch.ones(10))


def test_with_too_little_time_left_the_one_on_its_way_goes_first() -> None:
    """Something newer is safe, even if the last state does not make it."""
    store = GatedStore()
    store.gate.set()
    target = writer(store)
    target.flush({"w": torch.zeros(10)}, step=1, finished=False)
    store.gate.clear()
    store.reached.clear()
    target.begin({"w": torch.zeros(10)}, step=2)
    assert store.reached.wait(10)
    opener = threading.Timer(0.05, store.gate.set)
    opener.start()
    target.flush({"w": torch.ones(10)}, step=3, finished=False, left_s=0.0)
    opener.join()

    assert [manifest.step for manifest in manifests(store.inner)] == [1, 2, 3]


@pytest.mark.parametrize("point", range(4))
def test_a_lease_lost_meanwhile_stops_the_write_where_it_is(point: int) -> None:
    """Between any two pieces the lease is asked for; without it LATEST does not move."""
    store = MemoryBlobStore()
    asked: list[int] = []

    def check_lease() -> None:
        asked.append(1)
        if len(asked) > point:
            raise LeaseLostError("expected the lease, found none")

    target = writer(store, check_lease=check_lease)
    target.begin({"w": torch.zeros(10)}, step=1)
    with pytest.raises(LeaseLostError):
        target.wait()
    assert latest(store).checkpoint_id is None
    assert manifests(store) == []


def test_a_superseded_writer_is_told_and_moves_nothing() -> None:
    """A successor that took over meanwhile keeps LATEST."""
    store = GatedStore()
    target = writer(store)
    target.begin({"w": torch.zeros(10)}, step=7)
    assert store.reached.wait(10)
    successor = Checkpoints(store.inner, JOB.job_id, 2, SteppingClock())
    successor.take_over()
    store.gate.set()

    with pytest.raises(LeaseLostError, match="another VM"):
        target.wait()
    assert (latest(store.inner).incarnation, latest(store.inner).checkpoint_id) == (2, None)


def failing(*errors: StorageError) -> tuple[MemoryBlobStore, FaultyStore]:
    """Return a store whose next manifests fail with these errors, four tries each."""
    left = [error for error in errors for _ in range(4 if _is_transient(error) else 1)]

    def fails(number: int, verb: str, name: str) -> StorageError | None:
        del number
        return left.pop(0) if left and verb == "write" and "manifest" in name else None

    inner = MemoryBlobStore()
    return inner, FaultyStore(inner, fails=fails)


def _is_transient(error: StorageError) -> bool:
    return isinstance(error, StorageUnavailableError)


def test_an_outage_is_survived_and_the_next_checkpoint_is_whole(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Training goes on through a few failures, aloud."""
    inner, store = failing(StorageUnavailableError("down"), StorageUnavailableError("down"))
    target = writer(store)
    with caplog.at_level(logging.WARNING):
        for step in (1, 2, 3):
            target.begin({"w": torch.zeros(10)}, step=step)
            assert (target.wait() is not None) == (step == 3)
            assert target.has_failed == (step != 3)
    assert "(2 of 3)" in caplog.text
    assert latest(inner).step == 3


@pytest.mark.parametrize(
    "errors", [[StorageUnavailableError("down")] * 4, [StorageDeniedError("no right")]]
)
def test_trouble_that_stays_is_raised(errors: list[StorageError]) -> None:
    """Neither for ever against a store that is gone, nor once against a missing right."""
    _, store = failing(*errors)
    target = writer(store)
    for step in range(len(errors) - 1):
        target.begin({"w": torch.zeros(10)}, step=step)
        target.wait()
    target.begin({"w": torch.zeros(10)}, step=len(errors))
    with pytest.raises(CheckpointWriteError, match="untouched"):
        target.wait()


def test_the_last_write_has_no_next_time() -> None:
    """At the end a failure is an error, however transient."""
    _, store = failing(StorageUnavailableError("down"))
    with pytest.raises(CheckpointWriteError):
        writer(store).flush({"w": torch.zeros(10)}, step=1, finished=False)


def test_one_at_a_time() -> None:
    """A second copy would be a second copy of the state in memory."""
    store = GatedStore()
    target = writer(store)
    target.begin({}, step=1)
    with pytest.raises(RuntimeError, match="one checkpoint at a time"):
        target.begin({}, step=2)
    store.gate.set()
    target.wait()


@pytest.mark.parametrize("in_background", [False, True])
def test_background_or_not_the_training_ends_with_the_same_bits(
    in_background: bool,  # noqa: FBT001  parameter
) -> None:
    """Copying and writing change nothing, stopped and resumed in between."""
    straight, stopped = MemoryBlobStore(), MemoryBlobStore()
    fit(tiny_trainer(), FakeSession(straight))
    settings = {"checkpoint_every_s": 1.0, "checkpoint_in_background": in_background}
    for incarnation, look in enumerate((5, 3, None), start=1):
        session = FakeSession(stopped, incarnation=incarnation, stop_at_look=look)
        fit(tiny_trainer(init=incarnation - 1, **settings), session)

    assert latest(stopped).finished
    assert differences(final_state(straight), final_state(stopped)) == []


def test_spoilt_weights_found_in_the_background_end_the_training() -> None:
    """NaN weights are noticed in the copy: nothing is committed, training ends with the error."""

    class Spoiler:
        def on_step_end(self, step: int) -> None:
            if step == 2:
                with torch.no_grad():
                    next(trainer.model.parameters()).fill_(float("nan"))

        def on_batch_end(self, loss: float) -> None:
            """Let the background keep up."""
            del loss
            for thread in threading.enumerate():
                if thread.name.startswith("checkpoint"):
                    thread.join()

    store = MemoryBlobStore()
    trainer = tiny_trainer(
        callbacks=[Spoiler()],
        checkpoint_every_s=1.0,
        checkpoint_in_background=True,
        loss_fn=lambda outputs, _: outputs.nan_to_num().mean(),
    )
    with pytest.raises(NonFiniteError, match=r"0\.weight"):
        fit(trainer, FakeSession(store))
    assert latest(store).step <= 1


def test_a_lost_lease_stops_before_the_next_step() -> None:
    """Not only at the next checkpoint: another VM may train already."""
    steps: list[int] = []

    class Count:
        def on_step_end(self, step: int) -> None:
            steps.append(step)

    with pytest.raises(LeaseLostError):
        fit(tiny_trainer(callbacks=[Count()]), FakeSession(MemoryBlobStore(), lose_lease_at_look=3))
    assert steps == [1, 2, 3]


def test_memory_for_the_first_checkpoint_is_got_once_and_with_the_optimizers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After the first step, when the moments are there; not again at each step."""
    prepared: list[State] = []
    monkeypatch.setattr(SnapshotBuffers, "prepare", lambda _, state: prepared.append(state))
    fit(tiny_trainer(checkpoint_in_background=True), FakeSession(MemoryBlobStore()))

    assert [state["position"]["step"] for state in prepared] == [1]
    assert prepared[0]["optimizer"]["state"]
