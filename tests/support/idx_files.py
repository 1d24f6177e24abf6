"""MNIST's four IDX files, made from scikit-learn's digits: the same form, less of it."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits


def write_digits_as_mnist(folder: Path) -> None:
    """Write images of 28 x 28 bytes, four fifths to train and one to test, where MNIST lies."""
    pixels, digits = load_digits(return_X_y=True)
    wide = np.kron(pixels.reshape(-1, 8, 8) * (255 / 16), np.ones((3, 3)))
    images = np.pad(wide, ((0, 0), (2, 2), (2, 2))).astype(np.uint8)
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    tests = np.arange(len(digits)) % 5 == 0
    for kind, chosen in (("train", ~tests), ("t10k", tests)):
        _write(raw / f"{kind}-images-idx3-ubyte", images[chosen])
        _write(raw / f"{kind}-labels-idx1-ubyte", digits[chosen].astype(np.uint8))


def _write(path: Path, values: NDArray[np.uint8]) -> None:
    head = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes()
    path.write_bytes(head + values.tobytes())
