"""The order of samples is a random permutation of which any part can be had at once."""

import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vm_runtime import data_order
from vm_runtime.data_order import SHUFFLED_WHOLE, EpochOrder, mixed

LARGE = SHUFFLED_WHOLE + 12_345


@pytest.fixture
def never_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work out small orders as the large ones are."""
    monkeypatch.setattr(data_order, "SHUFFLED_WHOLE", 0)


def whole(seed: int, epoch: int, length: int) -> np.ndarray:
    """Return all of an order."""
    return EpochOrder(seed=seed, epoch=epoch, length=length).at(0, length)


@given(
    seed=st.integers(min_value=0, max_value=2**63),
    epoch=st.integers(min_value=0, max_value=10**6),
    length=st.integers(min_value=1, max_value=300),
    worked_out=st.booleans(),
)
def test_an_epoch_is_a_permutation_of_all_samples(
    seed: int,
    epoch: int,
    length: int,
    worked_out: bool,  # noqa: FBT001  parameter
) -> None:
    """Each sample comes once, and asking again, in parts, gives the same order."""
    with pytest.MonkeyPatch.context() as patch:
        if worked_out:
            patch.setattr(data_order, "SHUFFLED_WHOLE", 0)
        order = EpochOrder(seed=seed, epoch=epoch, length=length)
        parts = [order.at(start, start + 7) for start in range(0, length, 7)]

        assert sorted(order.at(0, length)) == list(range(length))
        assert np.array_equal(np.concatenate(parts), whole(seed, epoch, length))


def test_orders_differ_between_epochs_and_seeds() -> None:
    """No two epochs or seeds share an order."""
    for length in (50, LARGE):
        firsts = {
            tuple(EpochOrder(seed=s, epoch=e, length=length).at(0, 20))
            for s in range(4)
            for e in range(4)
        }
        assert len(firsts) == 16


def test_a_large_order_is_as_random_as_a_shuffled_one() -> None:
    """Place and sample, neighbours, and epochs are unrelated, to within four standard errors."""
    order, following = whole(1, 0, LARGE), whole(1, 1, LARGE)
    places = np.arange(LARGE)
    error = 1 / np.sqrt(LARGE)

    for one, other in [(places, order), (order[1:], order[:-1]), (order, following)]:
        assert abs(np.corrcoef(one, other)[0, 1]) < 4 * error
    assert abs((order[1:] > order[:-1]).mean() - 0.5) < 4 * np.sqrt(1 / 12) * error
    assert (order == places).sum() < 12  # as good as never more in a random one
    assert (order == following).sum() < 12


def test_samples_spread_evenly_over_a_large_epoch() -> None:
    """In a grid of 32 x 32 parts of places and samples, each holds its share (chi-square)."""
    scores = []
    for epoch in range(5):
        order = whole(7, epoch, LARGE)
        cells = (np.arange(LARGE) * 32 // LARGE) * 32 + order * 32 // LARGE
        counts = np.bincount(cells, minlength=1024)
        scores.append(((counts - LARGE / 1024) ** 2).sum() / (LARGE / 1024))

    # 31 x 31 degrees of freedom: mean 961, spread sqrt(2 x 961 / 5) = 20 for the mean of five.
    assert abs(np.mean(scores) - 961) < 80


@pytest.mark.usefixtures("never_whole")
def test_each_sample_may_come_first() -> None:
    """Over many seeds the first sample of a small set is any of them, equally often."""
    firsts = [int(EpochOrder(seed=seed, epoch=0, length=20).at(0, 1)[0]) for seed in range(2000)]
    counts = np.bincount(firsts, minlength=20)

    assert ((counts - 100) ** 2 / 100).sum() < 45  # chi-square, 19 degrees of freedom: p = 0.0007


def test_any_part_of_a_huge_epoch_costs_the_same() -> None:
    """Ten million samples are not shuffled to know the last of them: far less memory than that."""
    begin = time.process_time()
    order = EpochOrder(seed=1, epoch=0, length=10_000_000)
    found = order.at(9_999_990, 10_000_050)

    assert len(set(found.tolist())) == 10
    assert time.process_time() - begin < 0.2  # shuffling them takes several times as long


def test_seeds_are_well_mixed() -> None:
    """Neighbours in key and index differ in about half of their bits, and all are distinct."""
    seeds = [mixed(key, np.arange(1000)) for key in (1, 2)]
    flat = [seed for row in seeds for seed in row]
    distances = [(a ^ b).bit_count() for row in seeds for a, b in pairwise(row)]
    distances += [(a ^ b).bit_count() for a, b in zip(*seeds, strict=True)]

    assert len(set(flat)) == 2000
    assert 31 < np.mean(distances) < 33
    assert min(distances) > 10
