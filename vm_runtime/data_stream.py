"""Batches of an iterable data set that can say where it is and be put back there.

Knows nothing of jobs or loops. The data set keeps its own order; its state after each batch
travels with the batch, so that what was only read ahead is never counted as seen.
"""

from collections.abc import Iterable, Iterator
from copy import deepcopy
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch.utils.data import DataLoader, IterableDataset, default_collate

from vm_runtime.data import Loaded, Loading, Purpose, as_it_is, ignore_stop_signals, quick_collate
from vm_runtime.seeding import seed_rng
from vm_runtime.state import State, Stateful


def check_stream(dataset: object, *, name: str) -> None:
    """Refuse an iterable data set that cannot be put back to where it was.

    Raises:
        TypeError: it is no `Stateful`, or cannot be iterated.
    """
    if not isinstance(dataset, Stateful) or not isinstance(dataset, Iterable):
        message = (
            f"{name}: expected an iterable data set with state_dict() and load_state_dict(), so"
            f" that it can go on where it was, found {type(dataset).__qualname__} without;"
            " add the two (Hugging Face's iterable data sets have them), or give it __len__ and"
            " __getitem__"
        )
        raise TypeError(message)


class _Ahead(NamedTuple):
    """A batch that was read, and where the data set was after it."""

    batch: Any
    size: int
    state: State


class StreamSource:
    """Batches of an iterable data set; each epoch begins in the state that it had at first."""

    batches_per_epoch: int | None = None

    def __init__(self, dataset: Any, loading: Loading, *, purpose: Purpose) -> None:  # noqa: ANN401
        """Read nothing yet.

        Args:
            dataset: iterable and `Stateful`; `set_epoch(epoch)` is called if it has one.
            loading: how; however many workers are asked for, one reads ahead: a second one
                would need a share of the stream, and the result would depend on it.
            purpose: what the randomness of its batches depends on, beside seed and place.
        """
        self._stream = _Stream(dataset, loading, purpose)
        self._workers = min(1, loading.num_workers)
        self._share = loading.share
        self._iterator: Iterator[_Ahead] | None = None
        self._next: _Ahead | None = None
        self._place = (0, 0)
        self.stream_state: State | None = None

    def go_to(self, epoch: int, batch: int, stream_state: State | None) -> None:
        """Let `next` give the batch at that place, from the state that the stream had there."""
        if self._iterator is not None and self._place == (epoch, batch):
            return
        self._place, self.stream_state = (epoch, batch), stream_state
        self._stream.start = (epoch, batch, stream_state)
        self._iterator = self._next = None

    def next(self) -> Loaded:
        """Return the next batch of the epoch; the random generators are left in any state.

        Raises:
            ValueError: the stream is empty.
        """
        if self._iterator is None:
            self._iterator = self._iterate()
            self._next = next(self._iterator, None)
        found = self._next
        if found is None:
            message = (
                f"expected samples from the iterable data set in epoch {self._place[0]}, batch"
                f" {self._place[1]}, found none; __iter__ must start anew in each epoch"
            )
            raise ValueError(message)
        self._next = next(self._iterator, None)
        self.stream_state = found.state
        self._place = (self._place[0], self._place[1] + 1)
        mine = self._share.of(found.size)
        is_last = self._next is None
        if is_last:
            self._iterator = None
        return Loaded(
            batch=found.batch, size=found.size, mine=mine.stop - mine.start, is_last=is_last
        )

    def close(self) -> None:
        """Let go of the loader worker."""
        self._iterator = self._next = None

    def _iterate(self) -> Iterator[_Ahead]:
        if self._workers == 0:
            return iter(self._stream)
        loader: DataLoader[_Ahead] = DataLoader(
            self._stream,
            batch_size=None,
            num_workers=1,
            collate_fn=as_it_is,
            worker_init_fn=ignore_stop_signals,
            generator=torch.Generator(),
        )
        return iter(loader)


class _Stream(IterableDataset[_Ahead]):
    """Reads batches from where `start` says."""

    def __init__(self, dataset: Any, loading: Loading, purpose: Purpose) -> None:  # noqa: ANN401
        self._dataset = dataset
        self._loading = loading
        self._purpose = purpose
        self._at_first: State = deepcopy(dataset.state_dict())
        self.start: tuple[int, int, State | None] = (0, 0, None)

    def __iter__(self) -> Iterator[_Ahead]:
        loading = self._loading
        epoch, batch, state = self.start
        tell = getattr(self._dataset, "set_epoch", None)
        if callable(tell):
            tell(epoch)
        self._dataset.load_state_dict(deepcopy(self._at_first if state is None else state))
        samples = iter(self._dataset)
        collate = quick_collate if loading.collate is default_collate else loading.collate
        while True:
            seed_rng(loading.seed, self._purpose, epoch, "stream", batch)
            chosen = list(islice(samples, loading.batch_size))
            if not chosen:
                return
            mine = loading.share.of(len(chosen))
            part = chosen[mine] or chosen[:1]
            yield _Ahead(collate(part), len(chosen), deepcopy(self._dataset.state_dict()))
            batch += 1
