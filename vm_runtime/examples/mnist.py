"""Trains a small network on MNIST: 70,000 handwritten digits of 28 x 28 pixels.

As it stands it is a job's `train.py`; alone, `python mnist.py` simply trains. The four IDX files
are read from `--data`/MNIST/raw; if they are not there, torchvision downloads them once.
"""

import argparse
import importlib
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset

from vm_runtime.trainer import IntervalTrainer, Outcome

SEED = 7


class Mnist(Dataset[tuple[Tensor, Tensor]]):
    """Images, shape `(1, 28, 28)`, with mean 0 and spread 1, and their digits."""

    def __init__(self, images: Tensor, digits: Tensor, *, shift: bool) -> None:
        """Take images, shape `(n, 28, 28)`, from 0 to 255, and their digits, shape `(n,)`."""
        self._images = images.unsqueeze(1)
        self._digits = digits
        self._shift = shift

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._digits)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return an image, if wanted shifted at random by up to two pixels, and its digit."""
        image = (self._images[index] / 255 - 0.1307) / 0.3081
        if self._shift:
            right, down = random.randint(0, 4), random.randint(0, 4)  # noqa: S311  no secret
            image = functional.pad(image, (2, 2, 2, 2), value=-0.4242)
            image = image[:, down : down + 28, right : right + 28]
        return image, self._digits[index]


def load(folder: str, *, train: bool) -> Mnist:
    """Return the training or the test images, downloaded into `folder` if need be."""
    raw, kind = Path(folder) / "MNIST" / "raw", "train" if train else "t10k"
    images, digits = raw / f"{kind}-images-idx3-ubyte", raw / f"{kind}-labels-idx1-ubyte"
    if not (images.exists() and digits.exists()):
        download(folder)
    return Mnist(read_idx(images), read_idx(digits).long(), shift=train)


def download(folder: str) -> None:
    """Let torchvision fetch the four files into `folder`/MNIST/raw."""
    try:
        datasets: Any = importlib.import_module("torchvision.datasets")
    except ModuleNotFoundError as error:
        message = (
            f"expected MNIST's four IDX files in {folder}/MNIST/raw, or torchvision to fetch them,"
            " found neither: put them there, run `pip install torchvision` where the script runs,"
            " or take digits.py, which needs no download"
        )
        raise SystemExit(message) from error
    datasets.MNIST(folder, download=True)


def read_idx(path: Path) -> Tensor:
    """Return the bytes of an IDX file in its shape: two zeros, 8, rank, sizes, values."""
    data = path.read_bytes()
    begin = 4 + 4 * data[3] if data[:3] == b"\0\0\x08" and data[3:4] else 0
    sizes = np.frombuffer(data[4:begin], ">u4").tolist() if len(data) >= begin > 0 else []
    if not sizes or len(data) - begin != np.prod(sizes):
        message = f"{path}: expected a whole IDX file of unsigned bytes, found another or a part"
        raise SystemExit(f"{message}: delete it and fetch it again")
    return torch.from_numpy(np.frombuffer(data, np.uint8, offset=begin).copy()).reshape(sizes)


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
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.25),
        nn.Linear(32 * 7 * 7, 10),
    )


def accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the share of correct answers in a batch."""
    return (outputs.argmax(dim=1) == targets).float().mean()


def train(*, epochs: int, batch_size: int, workers: int, folder: str) -> Outcome:
    """Train for `epochs`, or as far as the job's interval goes."""
    torch.manual_seed(SEED)
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    return IntervalTrainer(
        model=model,
        train_dataset=load(folder, train=True),
        val_dataset=load(folder, train=False),
        loss_fn=functional.cross_entropy,
        optimizer=optimizer,
        lr_scheduler=torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs),
        metrics={"accuracy": accuracy},
        epochs=epochs,
        batch_size=batch_size,
        num_workers=workers,
        seed=SEED,
    ).fit()


def main() -> None:
    """Read the command line, train, and say how it went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--data", default="mnist-data")
    arguments = parser.parse_args()
    outcome = train(
        epochs=arguments.epochs,
        batch_size=arguments.batch_size,
        workers=arguments.workers,
        folder=arguments.data,
    )
    reached = " ".join(f"{name} {value:.4f}" for name, value in outcome.metrics.items())
    state = "finished" if outcome.finished else f"stopped ({outcome.stopped_because})"
    sys.stdout.write(f"{state} after step {outcome.step}: {reached}\n")


if __name__ == "__main__":
    main()
