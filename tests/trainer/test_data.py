"""Batches are pure functions of (seed, epoch, position), whoever loads them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from tiny_training import NoisySamples, differences
from torch.utils.data import IterableDataset, default_collate

from vm_runtime.data import Loading, MapSource, Share, dataset_length, quick_collate


def tail(
    start: int = 0,
    *,
    epoch: int = 0,
    seed: int = 1,
    num_workers: int = 0,
    share: Share | None = None,
) -> list[Any]:
    """Return an epoch's batches of noisy samples from a position on."""
    loading = Loading(seed=seed, batch_size=4, num_workers=num_workers, share=share or Share())
    source = MapSource(NoisySamples(10), loading, purpose="train", epochs=3)
    source.go_to(epoch, start, None)
    found = []
    while not found or not found[-1].is_last:
        found.append(source.next())
    source.close()
    return [each.batch for each in found]


def test_workers_and_start_position_do_not_change_a_batch() -> None:
    """The tail from any position equals that of the whole epoch, with and without workers."""
    whole = tail()

    assert len(whole) == 3
    assert differences(whole, tail(num_workers=2)) == []
    assert differences(whole[2:], tail(2)) == []


def test_workers_go_on_into_the_next_epoch() -> None:
    """One set of workers serves all epochs, and a jump back is served too."""
    loading = Loading(seed=1, batch_size=4, num_workers=2)
    source = MapSource(NoisySamples(10), loading, purpose="train", epochs=3)
    found = []
    for epoch, start in [(0, 1), (1, 0), (2, 0), (0, 2)]:
        source.go_to(epoch, start, None)
        while True:
            loaded = source.next()
            found.append(loaded.batch)
            if loaded.is_last:
                break
    source.close()

    expected = [*tail(1), *tail(epoch=1), *tail(epoch=2), *tail(2)]
    assert differences(expected, found) == []


def test_augmentation_depends_on_epoch_and_seed() -> None:
    """The same sample looks different in the next epoch and under another seed."""
    looks = set()
    for epoch, seed in [(0, 1), (1, 1), (0, 2)]:
        for inputs, indices in tail(epoch=epoch, seed=seed):
            looks |= {float(x[0]) for x, i in zip(inputs, indices, strict=True) if int(i) == 3}

    assert len(looks) == 3


@pytest.mark.parametrize("size", [2, 3, 5])
def test_processes_share_each_batch_in_order(size: int) -> None:
    """Put together, the parts of a batch are the batch, augmentation and all."""
    parts = [tail(share=Share(rank=rank, size=size)) for rank in range(size)]
    for number, (inputs, indices) in enumerate(tail()):
        counts = [Share(rank=rank, size=size).of(len(indices)) for rank in range(size)]
        mine = [
            [column[: each.stop - each.start] for column in part[number]]
            for part, each in zip(parts, counts, strict=True)
        ]

        assert torch.equal(torch.cat([part[0] for part in mine]), inputs)
        assert torch.equal(torch.cat([part[1] for part in mine]), indices)


def test_a_data_set_that_wants_to_know_the_epoch_is_told() -> None:
    """`set_epoch` is called before the first sample of an epoch, in workers too."""

    class Curriculum(NoisySamples):
        epoch = -1

        def set_epoch(self, epoch: int) -> None:
            self.epoch = epoch

        def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
            return torch.tensor(self.epoch), torch.tensor(index)

    for workers in (0, 2):
        loading = Loading(seed=1, batch_size=4, num_workers=workers)
        source = MapSource(Curriculum(5), loading, purpose="train", epochs=2)
        seen = []
        for epoch in range(2):
            source.go_to(epoch, 0, None)
            seen += [int(source.next().batch[0][0]) for _ in range(2)]
        source.close()
        assert seen == [0, 0, 1, 1]


@pytest.mark.parametrize(
    "samples",
    [
        [(torch.ones(2), torch.tensor(1)), (torch.zeros(2), torch.tensor(2))],
        [(torch.ones(2), 3, 0.5), (torch.zeros(2), 4, 0.25)],
        [{"a": torch.ones(2)}, {"a": torch.zeros(2)}],
        [torch.ones(2), torch.zeros(2)],
        [[torch.ones(2), 1], [torch.ones(2), 2]],
        [((torch.ones(1), 1), "x"), ((torch.ones(1), 2), "y")],
        [(np.float64(1.0), True)],
    ],
)
def test_the_quick_collate_does_what_torchs_does(samples: list[Any]) -> None:
    """Whatever the samples are."""
    assert differences(default_collate(samples), quick_collate(samples)) == []


def test_the_quick_collate_complains_as_torchs_does() -> None:
    """Samples of different lengths or shapes are no batch."""
    with pytest.raises(RuntimeError, match="equal size"):
        quick_collate([(torch.ones(1),), (torch.ones(1), 2)])
    with pytest.raises(RuntimeError, match="stack"):
        quick_collate([(torch.ones(1),), (torch.ones(2),)])


def test_what_is_no_data_set_is_refused() -> None:
    """A length and an index are needed."""

    class Stream(IterableDataset[int]):
        def __iter__(self) -> Iterator[int]:
            return iter(range(3))

    with pytest.raises(TypeError, match="__getitem__"):
        dataset_length(object(), name="train_dataset")
    with pytest.raises(TypeError, match="__len__"):
        dataset_length(Stream(), name="train_dataset")
