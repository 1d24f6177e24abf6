"""Batches as pure functions of where training is, whoever loads them, and when.

A batch is a function of (seed, epoch, position), an augmentation one of (seed, epoch, sample):
loader workers, prefetching and interruptions cannot change either. Knows nothing of jobs.
"""

import math
import signal
from collections.abc import Callable, Iterator, Sequence, Sized
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, TypeAlias

import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, default_collate, get_worker_info

from vm_runtime.data_order import EpochOrder, Indices, mixed
from vm_runtime.seeding import SampleRandomness, hash_of, seed_rng
from vm_runtime.state import State

Collate: TypeAlias = Callable[[list[Any]], Any]
Place: TypeAlias = tuple[int, int]
"""Epoch, and batch within it."""
Purpose: TypeAlias = Literal["train", "validation"]

_BLOCK = 4096
"""Samples whose order is worked out at once: numpy's calls cost more than its sums."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Which part of each batch this process takes; a batch is cut in the order of its samples."""

    rank: int = 0
    """Number of this process, from 0."""
    size: int = 1
    """How many processes there are."""

    def of(self, count: int) -> slice:
        """Return this process's part of `count` samples; it may be empty."""
        small, longer = divmod(count, self.size)
        start = self.rank * small + min(self.rank, longer)
        return slice(start, start + small + (self.rank < longer))


ALONE: Final = Share()


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A batch and what the loop has to know of it."""

    batch: Any
    """What the collate function made; of one sample that does not count if `mine` is 0."""
    size: int
    """Samples in the batch, over all processes."""
    mine: int
    """Samples of this process."""
    is_last: bool
    """Whether the epoch ends with it."""


class Source(Protocol):
    """Gives the batches of one data set from any place on."""

    batches_per_epoch: int | None
    """`None`: not known before an epoch has ended."""
    stream_state: State | None
    """State of an iterable data set after the last batch given; `None` for others."""

    def go_to(self, epoch: int, batch: int, stream_state: State | None) -> None:
        """Let `next` give the batch at that place."""
        ...

    def next(self) -> Loaded:
        """Return the next batch of the epoch; the random generators are left in any state."""
        ...

    def close(self) -> None:
        """Let go of the loader workers."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Loading:
    """How the batches of a training are made, whatever the kind of the data set."""

    seed: int
    batch_size: int
    """Samples in a batch, over all processes; the last one of an epoch may be smaller."""
    num_workers: int = 0
    """Loader processes; 0: load in this process."""
    collate: Collate = default_collate
    share: Share = ALONE


def dataset_length(dataset: object, *, name: str) -> int:
    """Return the number of samples of a map-style data set.

    Raises:
        TypeError: it has no length or no index.
        ValueError: an empty one.
    """
    if not isinstance(dataset, Sized) or not hasattr(dataset, "__getitem__"):
        message = (
            f"{name}: expected a data set with __len__ and __getitem__, or an iterable one with"
            f" state_dict and load_state_dict, found {type(dataset).__qualname__}"
        )
        raise TypeError(message)
    length = len(dataset)
    if length == 0:
        message = f"{name}: expected at least one sample, found an empty data set"
        raise ValueError(message)
    return length


def is_stream(dataset: object) -> bool:
    """Whether the data set has an order of its own, and no index."""
    return isinstance(dataset, IterableDataset) or not hasattr(dataset, "__getitem__")


class MapBatches(Dataset[Any]):
    """All batches of a map-style data set by place; each is the same whoever asks, and when."""

    def __init__(self, dataset: Any, loading: Loading, *, purpose: Purpose) -> None:  # noqa: ANN401
        """Take whatever has `__len__` and `__getitem__`; nothing is loaded yet."""
        self._dataset = dataset
        self._length = len(dataset)
        self._loading = loading
        self._purpose = purpose
        self._randomness = SampleRandomness()
        self._collate = quick_collate if loading.collate is default_collate else loading.collate
        self._order: tuple[int, EpochOrder] | None = None
        self._block: tuple[int, int, Indices, list[int]] | None = None

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return math.ceil(self._length / self._loading.batch_size)

    def size(self, position: int) -> int:
        """Return the number of samples in the batch at `position`, over all processes."""
        size = self._loading.batch_size
        return min(size, self._length - position * size)

    def __getitem__(self, place: Place) -> Any:  # noqa: ANN401  a batch is what collate makes
        """Return this process's part of the batch; the random generators are left in any state."""
        epoch, position = place
        indices, seeds = self._samples(epoch, position)
        mine = self._loading.share.of(len(indices))
        if mine.start == mine.stop:
            mine = slice(0, 1)  # a process without samples still takes part in each sum
        with _quiet_threads():
            samples = self._randomness.fetch(self._dataset, indices[mine], seeds[mine])
            if self._collate is not quick_collate:
                seed_rng(self._loading.seed, self._purpose, epoch, "batch", position)
            return self._collate(samples)

    def _samples(self, epoch: int, position: int) -> tuple[list[int], list[int]]:
        """Return the samples of a batch and their seeds."""
        size = self._loading.batch_size
        per_block = max(1, _BLOCK // size)
        number, within = divmod(position, per_block)
        if self._block is None or self._block[:2] != (epoch, number):
            start = number * per_block * size
            indices = self._ordered(epoch, start, start + per_block * size)
            key = hash_of(self._loading.seed, self._purpose, epoch)
            self._block = (epoch, number, indices, mixed(key, indices))
        chosen = slice(within * size, (within + 1) * size)
        return self._block[2][chosen].tolist(), self._block[3][chosen]

    def _ordered(self, epoch: int, start: int, stop: int) -> Indices:
        if self._order is None or self._order[0] != epoch:
            _set_epoch(self._dataset, epoch)
            seed = self._loading.seed
            self._order = (epoch, EpochOrder(seed=seed, epoch=epoch, length=self._length))
        if self._purpose == "validation":
            return torch.arange(start, min(stop, self._length)).numpy()
        return self._order[1].at(start, stop)


class MapSource:
    """Batches of a map-style data set, loaded here or by workers that live as long as it does."""

    stream_state: State | None = None

    def __init__(
        self,
        dataset: Any,  # noqa: ANN401  whatever has __len__ and __getitem__
        loading: Loading,
        *,
        purpose: Purpose,
        epochs: int = 1,
    ) -> None:
        """Load nothing yet.

        Args:
            dataset: the samples.
            loading: how.
            purpose: `train`: in random order, another in each epoch; `validation`: in its own.
            epochs: how many there are: workers load ahead across their ends.
        """
        self._batches = MapBatches(dataset, loading, purpose=purpose)
        self.batches_per_epoch: int | None = len(self._batches)
        self._count = len(self._batches)
        self._share = loading.share
        self._epoch, self._batch = 0, 0
        self._places = _Places(self._count, epochs)
        self._loader = _loader(self._batches, self._places, loading.num_workers)
        self._iterator: Iterator[Any] | None = None

    def go_to(self, epoch: int, batch: int, stream_state: State | None) -> None:
        """Let `next` give the batch at that place."""
        del stream_state
        here = self._epoch, self._batch
        if here == (epoch - 1, self._count):
            here = epoch, 0
        if here != (epoch, batch):
            self._iterator = None
        self._epoch, self._batch = epoch, batch

    def next(self) -> Loaded:
        """Return the next batch of the epoch; the random generators are left in any state."""
        if self._loader is None:
            batch = self._batches[self._epoch, self._batch]
        else:
            if self._iterator is None:
                self._places.start = (self._epoch, self._batch)
                self._iterator = iter(self._loader)
            batch = next(self._iterator)
        size = self._batches.size(self._batch)
        mine = self._share.of(size)
        self._batch += 1
        return Loaded(
            batch=batch,
            size=size,
            mine=mine.stop - mine.start,
            is_last=self._batch == self._count,
        )

    def close(self) -> None:
        """Let go of the loader workers."""
        self._iterator = self._loader = None


class _Places:
    """A sampler: the places from `start` to the end of the last epoch."""

    def __init__(self, count: int, epochs: int) -> None:
        self._count = count
        self._epochs = epochs
        self.start: Place = (0, 0)

    def __iter__(self) -> Iterator[Place]:
        epoch, first = self.start
        while epoch < max(self._epochs, self.start[0] + 1):
            yield from ((epoch, batch) for batch in range(first, self._count))
            epoch, first = epoch + 1, 0


def _loader(batches: MapBatches, places: _Places, num_workers: int) -> DataLoader[Any] | None:
    if num_workers == 0:
        return None
    return DataLoader(
        batches,
        batch_size=None,
        sampler=places,
        num_workers=num_workers,
        persistent_workers=True,
        collate_fn=as_it_is,
        worker_init_fn=ignore_stop_signals,
        # Its own generator: a loader must not draw from the one that dropout uses.
        generator=torch.Generator(),
    )


def quick_collate(samples: Sequence[Any]) -> Any:  # noqa: ANN401  a batch is what collate makes
    """Do what `default_collate` does, quicker for tuples of tensors, which most samples are."""
    first = samples[0]
    if type(first) is not tuple or get_worker_info() is not None:
        return default_collate(list(samples))  # a worker's goes straight into shared memory
    if len({len(sample) for sample in samples}) > 1:
        return default_collate(list(samples))  # which says what is wrong
    return [
        torch.stack(column) if type(column[0]) is torch.Tensor else default_collate(column)  # type: ignore[arg-type]
        for column in zip(*samples, strict=True)
    ]


def as_it_is(batch: Any) -> Any:  # noqa: ANN401  a batch is what collate makes
    """Return the batch: workers collate themselves."""
    return batch


def ignore_stop_signals(worker: int) -> None:
    """Leave stopping to the trainer: a signal to the whole group must not kill its loaders."""
    del worker
    if get_worker_info() is not None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _set_epoch(dataset: object, epoch: int) -> None:
    """Tell a data set that wants to know (`set_epoch`) which epoch begins."""
    tell = getattr(dataset, "set_epoch", None)
    if callable(tell):
        tell(epoch)


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
