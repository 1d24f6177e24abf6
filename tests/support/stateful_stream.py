"""An iterable data set that can say where it is."""

import random
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import IterableDataset


class CountingStream(IterableDataset[tuple[Tensor, Tensor]]):
    """Noisy samples in an order of its own, which depends on the epoch; targets are the indices."""

    def __init__(self, length: int) -> None:
        """Make `length` samples an epoch."""
        self._length = length
        self._at = 0
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Turn the order by the epoch."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Go on where it is, and start anew after the end."""
        while self._at < self._length:
            index = (self._at * 3 + self._epoch) % self._length
            self._at += 1
            noise = random.random() + torch.rand(4)
            yield torch.full((4,), index / self._length) + noise, torch.tensor(index)
        self._at = 0

    def state_dict(self) -> dict[str, Any]:
        """Return where it is."""
        return {"at": self._at}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go there."""
        self._at = state["at"]
