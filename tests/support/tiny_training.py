"""A training so small that it can be stopped everywhere, with all that makes resuming hard."""

import random
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
import torch
from fake_session import JOB, FakeSession
from memory_blobs import MemoryBlobStore
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset

from vm_runtime.contract import object_names
from vm_runtime.contract.checkpoint import CheckpointManifest, Latest
from vm_runtime.contract.codec import decode
from vm_runtime.session import enter_session
from vm_runtime.storage.port import BlobStore
from vm_runtime.trainer import Callback, IntervalTrainer, Outcome

Item = tuple[Tensor, Tensor]


class NoisySamples(Dataset[Item]):
    """Samples that are augmented from all three random generators; targets are the indices."""

    def __init__(self, length: int) -> None:
        """Make `length` samples."""
        self._length = length

    def __len__(self) -> int:
        """Return the number of samples."""
        return self._length

    def __getitem__(self, index: int) -> Item:
        """Return a noisy sample, shape `(4,)`, and its index."""
        noise = random.random() + float(np.random.random()) + torch.rand(4)  # noqa: NPY002
        return torch.full((4,), index / self._length) + noise, torch.tensor(index)


class Average(Callback):
    """A callback with a state of its own: all losses, and an average of them that forgets."""

    def __init__(self) -> None:
        """Start empty."""
        self.losses: list[float] = []
        self.average = torch.zeros(())
        self.epochs: list[int] = []

    def on_epoch_start(self, epoch: int) -> None:
        """Note the epoch."""
        self.epochs.append(epoch)

    def on_batch_end(self, loss: float) -> None:
        """Note the loss."""
        self.losses.append(loss)
        self.average = 0.9 * self.average + 0.1 * loss

    def state_dict(self) -> dict[str, Any]:
        """Return all of it."""
        return {"losses": self.losses, "average": self.average, "epochs": self.epochs}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take all of it."""
        self.losses, self.average = list(state["losses"]), state["average"]
        self.epochs = list(state["epochs"])


def tiny_trainer(
    *, init: int = 0, seen: list[int] | None = None, length: int = 14, **changes: object
) -> IntervalTrainer:
    """Return a training of two epochs of four batches (the last is smaller) and validations.

    Args:
        init: seed of the first weights; a resumed training must not depend on it.
        seen: the indices of the samples trained on are appended here.
        length: number of samples.
        changes: other settings.
    """
    torch.manual_seed(init)
    model = nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.3), nn.Linear(8, 1)
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        if model.training and seen is not None:
            seen.extend(targets.tolist())
        return functional.mse_loss(outputs[:, 0], targets / 14)

    settings: dict[str, Any] = {
        "model": model,
        "train_dataset": NoisySamples(length),
        "val_dataset": NoisySamples(6),
        "loss_fn": loss_fn,
        "optimizer": optimizer,
        "lr_scheduler": torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5),
        "metrics": {"spread": lambda outputs, _: outputs.max() - outputs.min()},
        "callbacks": [Average()],
        "epochs": 2,
        "batch_size": 4,
        "seed": 3,
        "show_progress": False,
        "checkpoint_in_background": False,  # else it depends on time which ones there are
    }
    return IntervalTrainer(**{**settings, **changes})


def fit(trainer: IntervalTrainer, session: FakeSession | None) -> Outcome:
    """Run `trainer` in `session`."""
    enter_session(session)
    try:
        return trainer.fit()
    finally:
        enter_session(None)


def run_to_end(
    store: BlobStore, stops: Sequence[int] = (), *, first_incarnation: int = 1, **changes: object
) -> list[int]:
    """Train with one VM after the other and return the samples seen, in order.

    Args:
        store: the bucket.
        stops: at which look each VM but the last one stops.
        first_incarnation: of the first VM.
        changes: settings.
    """
    seen: list[int] = []
    incarnation = first_incarnation
    for incarnation, look in enumerate(stops, start=first_incarnation):
        session = FakeSession(store, incarnation=incarnation, stop_at_look=look)
        outcome = fit(tiny_trainer(init=incarnation - 1, seen=seen, **changes), session)
        if outcome.finished:
            return seen
    last = FakeSession(store, incarnation=incarnation + 1)
    init = incarnation if stops else 0
    assert fit(tiny_trainer(init=init, seen=seen, **changes), last).finished
    return seen


def latest(store: BlobStore) -> Latest:
    """Return LATEST."""
    name = object_names.latest(JOB.job_id)
    return decode(Latest, store.read(name).data, name=name)


def manifests(store: BlobStore) -> list[CheckpointManifest]:
    """Return the manifests of all checkpoints, oldest first."""
    folder = object_names.checkpoints_folder(JOB.job_id)
    return [
        decode(CheckpointManifest, store.read(info.name).data, name=info.name)
        for info in store.list(folder)
        if info.name.endswith("/manifest.json")
    ]


def final_state(store: MemoryBlobStore) -> dict[str, Any]:
    """Return the state in the checkpoint that LATEST names."""
    pointer = latest(store)
    assert pointer.checkpoint_id is not None
    folder = object_names.checkpoint_folder(JOB.job_id, pointer.checkpoint_id)
    data = store.read(f"{folder}state.pt").data
    state: dict[str, Any] = torch.load(BytesIO(data), weights_only=True)
    return state


def differences(left: object, right: object, *, where: str = "state") -> list[str]:
    """Return the paths at which two nested states differ in a bit."""
    if isinstance(left, torch.Tensor):
        same = isinstance(right, torch.Tensor) and left.dtype == right.dtype
        return [] if same and torch.equal(left, right) else [where]
    if isinstance(left, dict):
        if not isinstance(right, dict) or left.keys() != right.keys():
            return [where]
        return [d for k in left for d in differences(left[k], right[k], where=f"{where}.{k}")]
    if isinstance(left, list | tuple):
        if type(left) is not type(right) or len(left) != len(right):
            return [where]
        pairs = enumerate(zip(left, right, strict=True))
        return [d for i, (a, b) in pairs for d in differences(a, b, where=f"{where}.{i}")]
    return [] if left == right and type(left) is type(right) else [where]
