"""Samples see seeds of their own, whoever else draws."""

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch

from vm_runtime.data_order import mixed
from vm_runtime.seeding import SampleRandomness

DRAWS: dict[str, Callable[[], float]] = {
    "python": random.random,
    "numpy": lambda: float(np.random.standard_normal()),  # noqa: NPY002  the global one is meant
    "torch": lambda: float(torch.rand(())),
    "all": lambda: random.random() + float(np.random.random() + torch.rand(())),  # noqa: NPY002
}


class Samples:
    """Draw from index 5 on, so that no sample before gives a hint."""

    def __init__(self, draw: Callable[[], float]) -> None:
        """Draw by `draw`."""
        self._draw = draw
        self.fetched: list[int] = []

    def __getitem__(self, index: int) -> float:
        """Note the index, and draw twice."""
        self.fetched.append(index)
        return self._draw() + self._draw() if index >= 5 else 0.0


@pytest.mark.parametrize("kind", DRAWS)
def test_a_sample_depends_on_key_and_index_alone(kind: str) -> None:
    """Neither its neighbours nor what was fetched before changes it, nor a draw unforeseen."""

    def fetch(randomness: SampleRandomness, indices: list[int]) -> list[float]:
        seeds = mixed(77, np.array(indices))
        return randomness.fetch(Samples(DRAWS[kind]), indices, seeds)

    used = SampleRandomness()
    whole = fetch(used, list(range(9)))
    alone = [fetch(SampleRandomness(), [index])[0] for index in range(9)]

    assert whole == alone == fetch(used, list(range(9)))
    assert fetch(SampleRandomness(), [8, 3, 5]) == [alone[8], alone[3], alone[5]]
    assert len(set(alone[5:])) == 4


def test_a_batch_is_fetched_again_only_when_a_draw_is_new() -> None:
    """Once it is known that samples draw, each is fetched once."""
    samples, randomness = Samples(random.random), SampleRandomness()
    for indices in ([0, 1], [4, 5], [6, 7]):
        randomness.fetch(samples, indices, seeds=indices)

    assert samples.fetched == [0, 1, 4, 5, 4, 5, 6, 7]
