"""How a training behaves in a job: begin, fence, stop, report, end, and what it refuses."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_session import JOB, FakeSession
from memory_blobs import MemoryBlobStore
from tiny_training import (
    Average,
    differences,
    final_state,
    fit,
    latest,
    manifests,
    run_to_end,
    tiny_trainer,
)
from torch import Tensor

from vm_runtime.checkpoint import CheckpointWriteError
from vm_runtime.contract import object_names
from vm_runtime.session import LeaseLostError, StopReason
from vm_runtime.state import StateMismatchError, weights_digest
from vm_runtime.trainer import IntervalTrainer, NonFiniteError


def test_a_finished_run_is_booked_reported_and_ended_in_order() -> None:
    """The session sees begin, load, train, a checkpoint per epoch, and one end."""
    session = FakeSession(MemoryBlobStore())
    outcome = fit(tiny_trainer(), session)

    assert outcome.finished
    assert outcome.stopped_because is None
    assert (outcome.step, sorted(outcome.metrics)) == (8, ["loss", "val_loss", "val_spread"])
    assert session.calls == [
        "begin",
        *("load", "train"),
        *("checkpoint", "train"),
        *("checkpoint", "train"),
        "end finished=True because=None",
    ]
    assert session.reports[-1]["committed_step"] == 8
    assert [report["steps_done"] for report in session.reports] == [*range(1, 9), 8]
    assert {report["steps_total"] for report in session.reports} == {8}
    assert session.reports[3]["seconds_per_step"] == 1.0


def test_a_stop_commits_and_says_why() -> None:
    """After a stop LATEST holds exactly the steps done."""
    store = MemoryBlobStore()
    session = FakeSession(store, stop_at_look=2)
    outcome = fit(tiny_trainer(), session)

    assert not outcome.finished
    assert outcome.stopped_because is StopReason.SIGNAL
    assert latest(store).step == outcome.step == 2
    assert session.calls[-1] == "end finished=False because=signal"


def test_a_stop_before_the_start_touches_nothing() -> None:
    """An interval that is over before it began leaves the bucket as it was."""
    store = MemoryBlobStore()
    session = FakeSession(store, begin_with=StopReason.INTERVAL_END)
    outcome = fit(tiny_trainer(), session)

    assert outcome.stopped_because is StopReason.INTERVAL_END
    assert store.list("") == []
    assert session.calls == ["begin", "end finished=False because=interval end"]


def test_a_finished_job_is_not_trained_again() -> None:
    """LATEST says finished: end at once, with the trained weights in the model."""
    store = MemoryBlobStore()
    first = tiny_trainer()
    trained = fit(first, FakeSession(store))
    before = store.read(object_names.latest(JOB.job_id))
    session, second = FakeSession(store, incarnation=2), tiny_trainer(init=9)
    outcome = fit(second, session)

    assert outcome == trained
    assert session.looks == 0
    assert session.calls[-1] == "end finished=True because=None"
    assert weights_digest(second.model) == weights_digest(first.model)
    assert latest(store).checkpoint_id is not None
    assert str(latest(store).checkpoint_id) in before.data.decode()


def test_a_lost_lease_ends_training_without_a_write() -> None:
    """Superseded in mid-run, a VM leaves LATEST as it is and does not end the session."""
    store = MemoryBlobStore()
    session = FakeSession(store, lose_lease_at_look=3)

    with pytest.raises(LeaseLostError):
        fit(tiny_trainer(), session)
    assert latest(store).checkpoint_id is None
    assert not [call for call in session.calls if call.startswith("end")]


def test_a_successor_supersedes_a_vm_that_still_trains() -> None:
    """A zombie's next checkpoint fails though its own lease check still says yes."""
    store = MemoryBlobStore()

    class Usurper:
        def on_step_end(self, step: int) -> None:
            if step == 2:
                fit(tiny_trainer(), FakeSession(store, incarnation=2, stop_at_look=1))

    with pytest.raises(LeaseLostError):
        fit(tiny_trainer(callbacks=[Usurper()]), FakeSession(store))
    assert (latest(store).incarnation, latest(store).step) == (2, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"length": 15}, "train_dataset length: expected 14 .* found 15"),
        ({"batch_size": 5}, "batch_size: expected 4 .* found 5"),
        ({"seed": 4}, "seed: expected 3 .* found 4"),
        ({"accumulate": 2}, "accumulate: expected 1 .* found 2"),
        ({"lr_scheduler": None}, "lr_scheduler: expected 'StepLR' .* found None"),
        ({"callbacks": []}, "callbacks: expected 1"),
    ],
)
def test_a_changed_training_is_refused_before_any_harm(
    change: dict[str, Any], message: str
) -> None:
    """What would break exactness is named, and the checkpoint stays as it is."""
    store = MemoryBlobStore()
    fit(tiny_trainer(), FakeSession(store, stop_at_look=3))
    checkpoint = latest(store).checkpoint_id
    changed = tiny_trainer(init=1, **change)
    digest = weights_digest(changed.model)

    with pytest.raises(StateMismatchError, match=message):
        fit(changed, FakeSession(store, incarnation=2))
    assert latest(store).checkpoint_id == checkpoint
    assert weights_digest(changed.model) == digest
    run_to_end(store, first_incarnation=3)


def test_another_model_is_refused_layer_by_layer() -> None:
    """The message names each parameter that differs, and how."""
    store = MemoryBlobStore()
    fit(tiny_trainer(), FakeSession(store, stop_at_look=3))
    model = torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.Linear(2, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1)
    changed = tiny_trainer(model=model, optimizer=optimizer, lr_scheduler=scheduler)

    with pytest.raises(StateMismatchError, match=r"model.0.weight: expected float32\(8, 4\)"):
        fit(changed, FakeSession(store, incarnation=2))


def nan_after(batches: int) -> Callable[[Tensor, Tensor], Tensor]:
    """Return a loss that is NaN from some batch on."""
    count = 0

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        nonlocal count
        count += 1
        return (outputs[:, 0] - targets).square().mean() * (math.nan if count > batches else 1)

    return loss_fn


def test_a_nan_loss_stops_with_the_last_good_checkpoint_kept() -> None:
    """The error says where; LATEST holds finite weights."""
    store = MemoryBlobStore()
    trainer = tiny_trainer(loss_fn=nan_after(5), val_dataset=None)

    with pytest.raises(NonFiniteError, match="found nan in epoch 1, batch 1, after optimizer step"):
        fit(trainer, FakeSession(store))
    assert latest(store).step == 4
    assert all(bool(torch.isfinite(value).all()) for value in final_state(store)["model"].values())


def test_spoilt_weights_are_not_committed() -> None:
    """Weights that became infinite in the very last step do not replace a good checkpoint."""
    store = MemoryBlobStore()

    class Spoiler:
        def on_step_end(self, step: int) -> None:
            if step == 6:
                with torch.no_grad():
                    next(trainer.model.parameters()).fill_(math.inf)

    trainer = tiny_trainer(callbacks=[Spoiler()])
    with pytest.raises(NonFiniteError, match=r"0\.weight"):
        fit(trainer, FakeSession(store, stop_at_look=9))
    assert latest(store).step == 4


def test_clipping_refuses_a_gradient_without_a_norm() -> None:
    """An infinite gradient behind a finite loss is noticed before the weights are touched."""

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        del targets
        return (outputs - outputs.detach()).abs().sqrt().mean()  # d sqrt(0) is infinite

    trainer = tiny_trainer(loss_fn=loss_fn, clip_norm=1.0, val_dataset=None)
    digest = [parameter.detach().clone() for parameter in trainer.model.parameters()]

    with pytest.raises(NonFiniteError, match="gradient"):
        fit(trainer, None)
    kept = zip(digest, trainer.model.parameters(), strict=True)
    assert all(torch.equal(before, after) for before, after in kept)


def test_a_full_disk_is_a_clear_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No room for the snapshot: the error says so and LATEST stays."""
    store = MemoryBlobStore()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", str(tmp_path))

    monkeypatch.setattr(torch, "save", full)

    with pytest.raises(CheckpointWriteError, match="No space left on device"):
        fit(tiny_trainer(), FakeSession(store, stop_at_look=2))
    assert latest(store).checkpoint_id is None


def test_callback_state_that_could_not_be_loaded_again_is_refused_at_once() -> None:
    """A checkpoint that only pickle could read is never written; the message gives the path."""

    class Greedy(Average):
        def state_dict(self) -> dict[str, Any]:
            return {"where": Path("here")}

    with pytest.raises(TypeError, match=r"state\.callbacks\.0\.where: .*PosixPath"):
        fit(tiny_trainer(callbacks=[Greedy()]), FakeSession(MemoryBlobStore()))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"epochs": 0}, ValueError, "epochs: expected at least 1, found 0"),
        ({"batch_size": 0, "seed": -1}, ValueError, "batch_size: .*; seed: "),
        ({"train_dataset": []}, ValueError, "at least one sample"),
        ({"train_dataset": iter([])}, TypeError, "__len__"),
    ],
)
def test_bad_settings_are_refused_when_the_trainer_is_made(
    change: dict[str, Any], error: type[Exception], message: str
) -> None:
    """Expected and found are named before anything runs."""
    with pytest.raises(error, match=message):
        tiny_trainer(**change)


def test_what_a_callback_unfroze_stays_so_after_a_stop() -> None:
    """Which weights are trained is part of the state: fine-tuning resumes to the same bits."""

    class Unfreeze(Average):
        def __init__(self, trainer: list[IntervalTrainer]) -> None:
            super().__init__()
            self._trainer = trainer

        def on_epoch_start(self, epoch: int) -> None:
            super().on_epoch_start(epoch)
            if epoch == 1:
                self._trainer[0].model[0].requires_grad_()

    def frozen(init: int) -> IntervalTrainer:
        holder: list[IntervalTrainer] = []
        trainer = tiny_trainer(init=init, callbacks=[Unfreeze(holder)])
        trainer.model[0].requires_grad_(requires_grad=False)
        holder.append(trainer)
        return trainer

    straight, stopped = MemoryBlobStore(), MemoryBlobStore()
    fit(frozen(0), FakeSession(straight))
    fit(frozen(0), FakeSession(stopped, stop_at_look=9))
    assert latest(stopped).step == 6  # within the second epoch, when all are trained
    assert fit(frozen(1), FakeSession(stopped, incarnation=2)).finished
    assert differences(final_state(straight), final_state(stopped)) == []


def test_a_callback_that_raises_at_a_stop_costs_no_step() -> None:
    """What was trained is committed before a callback is told of the stop."""

    class Failing:
        def on_stop(self, reason: StopReason) -> None:
            raise RuntimeError(f"no way to tell of {reason}")

    store = MemoryBlobStore()
    with pytest.raises(RuntimeError, match="no way to tell"):
        fit(tiny_trainer(callbacks=[Failing()]), FakeSession(store, stop_at_look=3))
    assert latest(store).step == 3


def test_more_epochs_carry_a_finished_training_on() -> None:
    """Asked for more than before, it trains what is missing, as if it had never been finished."""
    straight, longer = MemoryBlobStore(), MemoryBlobStore()
    fit(tiny_trainer(epochs=3), FakeSession(straight))
    assert fit(tiny_trainer(epochs=2), FakeSession(longer)).step == 8
    outcome = fit(tiny_trainer(epochs=3), FakeSession(longer, incarnation=2))
    assert (outcome.finished, outcome.step) == (True, 12)
    assert latest(longer).finished
    assert differences(final_state(straight), final_state(longer)) == []


def test_a_clock_set_back_delays_no_checkpoint() -> None:
    """Time is counted from where the clock was set back to."""

    class SetBack(FakeSession):
        def stop_reason(self) -> StopReason | None:
            if self.looks == 1:
                self.clock.step(-3600)
            return super().stop_reason()

    session = SetBack(MemoryBlobStore())
    fit(tiny_trainer(checkpoint_every_s=2.0, epochs=1), session)
    assert session.calls.count("checkpoint") > 2


@pytest.mark.parametrize(
    "changes",
    [
        {"accumulate": 50},
        {"batch_size": 50},
        {"accumulate": 3, "val_every_n_steps": 1},
    ],
)
def test_odd_sizes_train_to_the_end_and_resume_exactly(changes: dict[str, Any]) -> None:
    """Accumulation or batches larger than the epoch are no special case."""
    straight, stopped = MemoryBlobStore(), MemoryBlobStore()
    run_to_end(straight, **changes)
    run_to_end(stopped, (1, 1, 2, 1), **changes)
    assert differences(final_state(straight), final_state(stopped)) == []


def test_a_lease_that_ran_out_in_the_last_step_writes_no_checkpoint() -> None:
    """The lease is asked again right before a commit: a long step may have outlived it."""
    straight = FakeSession(MemoryBlobStore())
    fit(tiny_trainer(), straight)
    store = MemoryBlobStore()
    with pytest.raises(LeaseLostError):
        fit(tiny_trainer(), FakeSession(store, lose_lease_at_look=straight.looks))
    assert [manifest.step for manifest in manifests(store)] == [4]
    assert not latest(store).finished
