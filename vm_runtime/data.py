"""The order of the samples, and their randomness, as pure functions of where training is.

A batch is a function of (seed, epoch, position), an augmentation one of (seed, epoch, sample):
loader workers, prefetching and interruptions cannot change either. Knows nothing of jobs.
"""

import math
import signal
from collections.abc import Callable, Iterator, Sequence, Sized
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, default_collate, get_worker_info

from vm_runtime.seeding import SampleRandomness, hash_of, seed_rng, undisturbed_rng

Collate: TypeAlias = Callable[[list[Any]], Any]


def dataset_length(dataset: object, *, name: str) -> int:
    """Return the number of samples.

    Raises:
        TypeError: an iterable data set, or one without a length.
        ValueError: an empty one.
    """
    if (
        isinstance(dataset, IterableDataset)
        or not isinstance(dataset, Sized)
        or not hasattr(dataset, "__getitem__")
    ):
        message = (
            f"{name}: expected a data set with __len__ and __getitem__, found"
            f" {type(dataset).__qualname__}; an iterable one cannot resume at a position"
        )
        raise TypeError(message)
    length = len(dataset)
    if length == 0:
        message = f"{name}: expected at least one sample, found an empty data set"
        raise ValueError(message)
    return length


def epoch_order(*, seed: int, epoch: int, length: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the order of the samples in an epoch, shape `(length,)`.

    Args:
        seed: seed of the training, at least 0.
        epoch: counted from 0.
        length: number of samples.
    """
    return np.random.default_rng([seed, epoch]).permutation(length)


@contextmanager
def _quiet_threads() -> Iterator[None]:
    """Let torch use one thread, as in a loader worker: sums must not depend on the place."""
    threads = torch.get_num_threads()
    if threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class SeededBatches(Dataset[Any]):
    """All batches of an epoch by position; each is the same whoever asks, and when."""

    def __init__(  # noqa: PLR0913 - samples, their order, their randomness
        self,
        dataset: Any,  # noqa: ANN401  whatever has __len__ and __getitem__
        *,
        order: Sequence[int] | np.ndarray[Any, np.dtype[np.int64]],
        batch_size: int,
        key: tuple[int | str, ...],
        collate: Collate = default_collate,
        randomness: SampleRandomness | None = None,
    ) -> None:
        """Make the batches of `dataset` in `order`.

        Args:
            dataset: the samples.
            order: indices of the samples.
            batch_size: samples in a batch; the last one may be smaller.
            key: what the randomness of a sample depends on, beside its index.
            collate: makes a batch of a list of samples.
            randomness: what is known of the samples' randomness, such as from other epochs.
        """
        self._randomness = randomness or SampleRandomness()
        self._dataset = dataset
        self._order = np.asarray(order, dtype=np.int64)
        self._batch_size = batch_size
        self._key = key
        self._sample_key = hash_of(*key)
        self._collate = collate

    def __len__(self) -> int:
        """Return the number of batches."""
        return math.ceil(len(self._order) / self._batch_size)

    def size(self, position: int) -> int:
        """Return the number of samples in the batch at `position`."""
        return min(self._batch_size, len(self._order) - position * self._batch_size)

    def __getitem__(self, position: int) -> Any:  # noqa: ANN401  a batch is what collate makes
        """Return the batch at `position`; the random generators are left as they were."""
        start = position * self._batch_size
        indices = self._order[start : start + self._batch_size].tolist()
        with undisturbed_rng(), _quiet_threads():
            samples = self._randomness.fetch(self._dataset, indices, self._sample_key)
            seed_rng(*self._key, "batch", position)
            return self._collate(samples)

    def iterate(self, start: int, *, num_workers: int) -> Iterator[Any]:
        """Return the batches from position `start` on, in order.

        Args:
            start: position of the first batch.
            num_workers: loader processes; 0: load in this process.
        """
        if num_workers == 0:
            return map(self.__getitem__, range(start, len(self)))
        loader: DataLoader[Any] = DataLoader(
            self,
            batch_size=None,
            sampler=range(start, len(self)),
            num_workers=num_workers,
            collate_fn=_as_it_is,
            worker_init_fn=_ignore_stop_signals,
            # Its own generator: a loader must not draw from the one that dropout uses.
            generator=torch.Generator(),
        )
        return iter(loader)


def _as_it_is(batch: Any) -> Any:  # noqa: ANN401  a batch is what collate makes
    return batch


def _ignore_stop_signals(worker: int) -> None:
    """Leave stopping to the trainer: a signal to the whole group must not kill its loaders."""
    del worker
    if get_worker_info() is not None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
