"""Batches are pure functions of (seed, epoch, position), whoever loads them."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_training import NoisySamples, differences
from torch.utils.data import IterableDataset

from vm_runtime.data import SeededBatches, dataset_length, epoch_order
from vm_runtime.state import capture_rng


def batches(epoch: int = 0, seed: int = 1) -> SeededBatches:
    """Return an epoch's batches of noisy samples."""
    order = epoch_order(seed=seed, epoch=epoch, length=10)
    return SeededBatches(NoisySamples(10), order=order, batch_size=4, key=(seed, epoch))


@given(
    seed=st.integers(min_value=0, max_value=2**31),
    epoch=st.integers(min_value=0, max_value=10**6),
    length=st.integers(min_value=1, max_value=300),
)
def test_an_epoch_is_a_permutation_of_all_samples(seed: int, epoch: int, length: int) -> None:
    """Each sample comes once, and asking again gives the same order."""
    order = epoch_order(seed=seed, epoch=epoch, length=length)

    assert sorted(order) == list(range(length))
    assert np.array_equal(order, epoch_order(seed=seed, epoch=epoch, length=length))


def test_orders_differ_between_epochs_and_seeds() -> None:
    """No two epochs or seeds share an order."""
    orders = [tuple(epoch_order(seed=s, epoch=e, length=50)) for s in range(4) for e in range(4)]

    assert len(set(orders)) == 16


def test_workers_and_start_position_do_not_change_a_batch() -> None:
    """The tail from any position equals that of the whole epoch, with and without workers."""
    whole = list(batches().iterate(0, num_workers=0))

    assert len(whole) == len(batches()) == 3
    assert differences(whole, list(batches().iterate(0, num_workers=2))) == []
    assert differences(whole[2:], list(batches().iterate(2, num_workers=0))) == []


def test_augmentation_depends_on_epoch_and_seed() -> None:
    """The same sample looks different in the next epoch and under another seed."""
    looks = set()
    for epoch, seed in [(0, 1), (1, 1), (0, 2)]:
        made = batches(epoch, seed)
        for inputs, indices in made.iterate(0, num_workers=0):
            looks |= {float(x[0]) for x, i in zip(inputs, indices, strict=True) if int(i) == 3}

    assert len(looks) == 3


def test_loading_leaves_the_random_generators_alone() -> None:
    """What dropout draws next does not depend on how many batches were prefetched."""
    before = capture_rng()
    list(batches().iterate(0, num_workers=0))

    assert differences(before, capture_rng()) == []


def test_the_last_batch_may_be_smaller() -> None:
    """Sizes add up to the number of samples."""
    assert [batches().size(position) for position in range(3)] == [4, 4, 2]


def test_an_iterable_data_set_is_refused() -> None:
    """A stream has no positions to resume at."""

    class Stream(IterableDataset[int]):
        def __iter__(self) -> Iterator[int]:
            return iter(range(3))

    with pytest.raises(TypeError, match="iterable"):
        dataset_length(Stream(), name="train_dataset")
