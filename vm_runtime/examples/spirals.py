"""Tells two interleaved spirals apart. Change data, model and loss; the rest may stay.

Alone, it simply trains. As a job it may be stopped, moved and resumed at any batch.
"""

import argparse
import math
import sys

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import TensorDataset

from vm_runtime.trainer import IntervalTrainer

SEED = 7


def spirals(count: int, *, seed: int) -> TensorDataset:
    """Return `count` points of a plane, shape `(count, 2)`, and on which spiral each lies."""
    generator = torch.Generator().manual_seed(seed)
    spiral = torch.randint(0, 2, (count,), generator=generator)
    turn = torch.rand(count, generator=generator).sqrt() * 3 * math.pi
    angle = turn + spiral * math.pi
    points = torch.stack((angle.cos(), angle.sin()), dim=1) * (turn / (3 * math.pi)).unsqueeze(1)
    points += 0.02 * torch.randn(count, 2, generator=generator)
    return TensorDataset(points, spiral)


def accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the share of right answers in a batch."""
    return (outputs.argmax(dim=1) == targets).float().mean()


def main() -> None:
    """Train, and say how it went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=20)
    epochs = parser.parse_args().epochs
    torch.manual_seed(SEED)  # the first weights are part of the run
    model = nn.Sequential(
        nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    outcome = IntervalTrainer(
        model=model,
        train_dataset=spirals(2048, seed=1),
        val_dataset=spirals(512, seed=2),
        loss_fn=functional.cross_entropy,
        optimizer=optimizer,
        metrics={"accuracy": accuracy},
        epochs=epochs,
        batch_size=64,
        seed=SEED,
    ).fit()
    reached = " ".join(f"{name} {value:.4f}" for name, value in outcome.metrics.items())
    state = "finished" if outcome.finished else f"stopped ({outcome.stopped_because})"
    sys.stdout.write(f"{state} after step {outcome.step}: {reached}\n")


if __name__ == "__main__":
    main()
