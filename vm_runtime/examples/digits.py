"""Trains a small network on scikit-learn's handwritten digits: 1,797 images of 8 x 8 pixels.

As it stands it is a job's `train.py`; alone, `python digits.py` simply trains.
"""

import argparse
import random
import sys

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset

from vm_runtime.trainer import IntervalTrainer, Outcome

SEED = 7
HIGHEST_PIXEL = 16.0


class Digits(Dataset[tuple[Tensor, Tensor]]):
    """Images, shape `(1, 8, 8)`, from 0 to 1, with their digits; every fifth validates."""

    def __init__(self, *, train: bool) -> None:
        """Take four fifths of the images for training, the rest for validation."""
        images, digits = load_digits(return_X_y=True)
        chosen = [number for number in range(len(digits)) if (number % 5 != 0) == train]
        self._images = torch.tensor(images[chosen], dtype=torch.float32).reshape(-1, 1, 8, 8)
        self._images /= HIGHEST_PIXEL
        self._digits = torch.tensor(digits[chosen], dtype=torch.int64)
        self._shift = train

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._digits)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return an image, for training shifted at random by up to one pixel, and its digit."""
        image = self._images[index]
        if self._shift:
            right, down = random.randint(0, 2), random.randint(0, 2)  # noqa: S311  no secret
            image = functional.pad(image, (1, 1, 1, 1))[:, down : down + 8, right : right + 8]
        return image, self._digits[index]


def network() -> nn.Module:
    """Return a network of two convolutions with batch norm and dropout."""
    return nn.Sequential(
        nn.Conv2d(1, 16, kernel_size=3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, kernel_size=3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.25),
        nn.Linear(32 * 4 * 4, 10),
    )


def accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the share of correct answers in a batch."""
    return (outputs.argmax(dim=1) == targets).float().mean()


def train(*, epochs: int, batch_size: int) -> Outcome:
    """Train for `epochs`, or as far as the job's interval goes."""
    torch.manual_seed(SEED)
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    return IntervalTrainer(
        model=model,
        train_dataset=Digits(train=True),
        val_dataset=Digits(train=False),
        loss_fn=functional.cross_entropy,
        optimizer=optimizer,
        lr_scheduler=torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs),
        metrics={"accuracy": accuracy},
        epochs=epochs,
        batch_size=batch_size,
        seed=SEED,
    ).fit()


def main() -> None:
    """Read the command line, train, and say how it went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--batch-size", type=int, default=32)
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # for a network this small, a second thread costs more than it gives
    outcome = train(epochs=arguments.epochs, batch_size=arguments.batch_size)
    reached = " ".join(f"{name} {value:.4f}" for name, value in outcome.metrics.items())
    state = "finished" if outcome.finished else f"stopped ({outcome.stopped_because})"
    sys.stdout.write(f"{state} after step {outcome.step}: {reached}\n")


if __name__ == "__main__":
    main()
