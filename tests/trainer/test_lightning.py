"""A LightningModule trains as it is, to the same bits however often it is stopped."""

import warnings
from typing import Any

import pytest
import torch
from fake_session import FakeSession
from memory_blobs import MemoryBlobStore
from tiny_training import NoisySamples, differences, final_state, fit
from torch import Tensor, nn
from torch.nn import functional

from vm_runtime.trainer import EarlyStopping, IntervalTrainer, Outcome
from vm_runtime.trainer_lightning_setup import LightningFeatureError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Lightning's own imports are deprecated here and there
    import torchmetrics
    from lightning.pytorch import LightningModule


class Net(LightningModule):
    """A module with logs, metric objects, a scheduler per step, hooks and a state of its own."""

    def __init__(self) -> None:
        """Build it."""
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.3), nn.Linear(8, 1)
        )
        self.train_error = torchmetrics.MeanMetric()
        self.val_error = torchmetrics.MeanMetric()
        self.calls: list[str] = []

    def training_step(self, batch: list[Tensor], batch_idx: int) -> dict[str, Tensor]:
        """Log a value and a metric object."""
        inputs, targets = batch
        outputs = self.layers(inputs)[:, 0]
        loss = functional.mse_loss(outputs, targets / 14)
        self.train_error.update((outputs - targets).abs().detach())
        self.log("train_error", self.train_error)
        self.log_dict({"train_loss": loss, "number": float(batch_idx)}, on_epoch=True)
        return {"loss": loss}

    def validation_step(self, batch: list[Tensor]) -> None:
        """Take the batch alone, as Lightning allows."""
        inputs, targets = batch
        outputs = self.layers(inputs)[:, 0]
        self.val_error.update((outputs - targets).abs())
        self.log("val_error", self.val_error)
        self.log("val_loss", functional.mse_loss(outputs, targets / 14), prog_bar=True)

    def on_train_epoch_start(self) -> None:
        """Note it."""
        self.calls.append(f"epoch {self.current_epoch} step {self.global_step}")

    def on_train_epoch_end(self) -> None:
        """Log at the epoch's end."""
        self.log("rate", self.trainer.optimizers[0].param_groups[0]["lr"])

    def on_validation_epoch_end(self) -> None:
        """Log at the validation's end."""
        self.log("val_twice", 2.0 * self.current_epoch)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:  # noqa: ANN401
        """Note what it was given."""
        assert set(outputs) == {"loss"}
        assert len(batch) == 2
        self.calls.append(f"batch {batch_idx}")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the calls."""
        checkpoint["calls"] = list(self.calls)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take them over."""
        self.calls = list(checkpoint["calls"])

    def configure_optimizers(self) -> Any:  # noqa: ANN401
        """Use the trainer's knowledge of the steps, as for OneCycleLR."""
        optimizer = torch.optim.AdamW(self.parameters(), lr=0.01)
        scheduler = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=0.1, total_steps=int(self.trainer.estimated_stepping_batches)
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }


def trainer(module: LightningModule | None = None, **changes: Any) -> IntervalTrainer:  # noqa: ANN401
    """Return a training of two epochs of four batches."""
    torch.manual_seed(1)
    settings: dict[str, Any] = {
        "model": module or Net(),
        "train_dataset": NoisySamples(14),
        "val_dataset": NoisySamples(6),
        "epochs": 2,
        "batch_size": 4,
        "seed": 3,
        "show_progress": False,
    }
    return IntervalTrainer(**{**settings, **changes})


def train(store: MemoryBlobStore, incarnation: int = 1, stop: int | None = None) -> Outcome:
    """Train with one VM."""
    return fit(trainer(), FakeSession(store, incarnation=incarnation, stop_at_look=stop))


def test_logs_hooks_and_schedule_work_as_in_lightning() -> None:
    """Logged values become means, metric objects their values; hooks come in Lightning's order."""
    net = Net()
    outcome = fit(trainer(net), None)
    train_end = outcome.history[1]

    assert outcome.finished
    assert set(outcome.history[0]) == {
        *("epoch", "step", "val_error", "val_loss", "val_twice"),
    }
    assert set(train_end) == {
        *("epoch", "step", "loss", "train_loss", "train_error", "number", "rate"),
    }
    assert train_end["train_loss"] == pytest.approx(train_end["loss"])
    # Three batches of four samples and one of two: numbers 0 to 3, weighted.
    assert train_end["number"] == pytest.approx((4 * (0 + 1 + 2) + 2 * 3) / 14)
    assert net.calls == [
        *("epoch 0 step 0", "batch 0", "batch 1", "batch 2", "batch 3"),
        *("epoch 1 step 4", "batch 0", "batch 1", "batch 2", "batch 3"),
    ]
    assert net.trainer.optimizers[0].param_groups[0]["lr"] < 0.01  # the cycle is over


def test_a_module_stopped_after_every_look_ends_with_the_same_bits() -> None:
    """Its weights, optimizer, schedule, metric objects, logs and own state."""
    straight, stopped = MemoryBlobStore(), MemoryBlobStore()
    assert train(straight).finished
    incarnation = 1
    while not train(stopped, incarnation, stop=1).finished:
        incarnation += 1

    assert incarnation > 10
    assert differences(final_state(straight), final_state(stopped)) == []


def test_a_module_trains_in_bfloat16_too() -> None:
    """Its steps run under Fabric's precision."""
    seen = []

    class Look(Net):
        def training_step(self, batch: list[Tensor], batch_idx: int) -> dict[str, Tensor]:
            seen.append(self.layers[0](batch[0]).dtype)
            return super().training_step(batch, batch_idx)

    assert fit(trainer(Look(), precision="bf16-mixed", epochs=1), None).finished
    assert set(seen) == {torch.bfloat16}


def test_callbacks_see_what_the_module_logs() -> None:
    """Early stopping by a logged value ends the training."""
    outcome = fit(trainer(callbacks=[EarlyStopping("val_twice", patience=1)], epochs=5), None)

    assert outcome.finished
    assert outcome.history[-1]["epoch"] == 1


class Manual(Net):
    """Steps its optimizer itself."""

    def __init__(self) -> None:
        """Say so."""
        super().__init__()
        self.automatic_optimization = False

    def optimizer_step(self, *_: Any, **__: Any) -> None:  # noqa: ANN401
        """Do it in a way of its own."""


class TwoOptimizers(Net):
    """Such as a GAN."""

    def configure_optimizers(self) -> Any:  # noqa: ANN401
        """Return two."""
        return [torch.optim.SGD(self.parameters(), lr=0.1) for _ in range(2)]


class Skips(Net):
    """Skips batches, as Lightning allows."""

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Any:  # noqa: ANN401
        """Return nothing."""


class Sums(Net):
    """Logs a sum."""

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Any:  # noqa: ANN401
        """Ask for another reduction."""
        del batch, batch_idx
        self.log("n", 1.0, reduce_fx="sum")


class Curious(Net):
    """Asks for what there is not."""

    def on_train_epoch_start(self) -> None:
        """Look at Lightning's loops."""
        self.trainer.fit_loop.stop()


class NoValidation(LightningModule):
    """Can only train."""

    training_step = Net.training_step
    configure_optimizers = Net.configure_optimizers


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        (Manual, LightningFeatureError, r"manual optimization.*; optimizer_step\(\) of its own"),
        (TwoOptimizers, LightningFeatureError, "one optimizer .* found 2 and 0"),
        (Skips, LightningFeatureError, "cannot be skipped"),
        (Sums, LightningFeatureError, "reduce_fx='mean', found 'sum'"),
        (Curious, AttributeError, "self.trainer.fit_loop: not supported"),
        (NoValidation, LightningFeatureError, r"no validation_step\(\), but a val_dataset"),
    ],
)
def test_what_is_not_supported_is_refused(
    kind: type[LightningModule], error: type[Exception], message: str
) -> None:
    """The message says what, and what to do."""
    with pytest.raises(error, match=message):
        fit(trainer(kind()), None)


def test_parts_that_the_module_brings_are_not_taken_twice() -> None:
    """A loss beside a LightningModule is a misunderstanding."""
    with pytest.raises(ValueError, match="loss_fn: expected none, as a LightningModule brings"):
        trainer(loss_fn=functional.mse_loss)
    with pytest.raises(ValueError, match=r"loss_fn: expected one.*; optimizer: expected one"):
        trainer(model=nn.Linear(4, 1))
