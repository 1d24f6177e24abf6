"""Randomness as a pure function of keys: seeds, and the samples fetched under them.

Knows the random generators of Python, numpy and torch; nothing of training.
"""

import hashlib
import random
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final

import numpy as np
import torch
from numpy.random import mtrand
from torch.utils.data import get_worker_info

_LOW_32_BITS = 2**32 - 1
_WATCHED = 1
"""Seed of a generator from which nobody is seen to draw: any number."""
_PYTHONS: Final[random.Random] = random.seed.__self__  # type: ignore[attr-defined]
"""The generator behind the functions of `random`."""
_SEED_PYTHONS: Final[Callable[[int], None]] = super(random.Random, _PYTHONS).seed
"""As `random.seed` does with a number of 64 bits, but that first looks what it was given."""


@cache
def _machine_has_cuda() -> bool:
    return torch.cuda.is_available()


def has_cuda() -> bool:
    """Whether this process may use CUDA: a loader worker may not."""
    return get_worker_info() is None and _machine_has_cuda()


def hash_of(*parts: int | str) -> int:
    """Return a hash of `parts`, 64 bits."""
    text = "/".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def seed_rng(*parts: int | str) -> None:
    """Seed all random generators with a hash of `parts`: equal parts, equal numbers."""
    seed = hash_of(*parts)
    _seed_python(seed)
    _seed_numpy(seed)
    _seed_torch(seed)
    if has_cuda():
        torch.cuda.manual_seed_all(seed)


class _Generator:
    """A generator that is dear to seed: is it worth the while?"""

    def __init__(self, seed: Callable[[int], None], probe: Callable[[], object]) -> None:
        self.seed: Final = seed
        self._probe: Final = probe
        self._fresh: object = None
        self.is_used = False
        """Whether samples were ever seen to draw from it."""

    def watch(self) -> None:
        """Put it where `was_used` knows it."""
        self.seed(_WATCHED)
        if self._fresh is None:
            self._fresh = self._probe()
            self.seed(_WATCHED)

    def was_used(self) -> bool:
        """Whether somebody drew from it since `watch`; has a look that may be a draw."""
        return self._probe() != self._fresh


class SampleRandomness:
    """Fetches samples such that each draws from generators seeded for it alone.

    Seeding a generator takes longer than many a sample does, so each is seeded for each
    sample only once samples were seen to draw from it. The batch in which that is noticed is
    fetched again: no sample is ever given out that saw a seed other than its own.
    """

    def __init__(self) -> None:
        """Take no generator for used."""
        self._generators = (
            _Generator(_seed_python, lambda: random.getrandbits(64)),
            _Generator(_seed_numpy, _probe_numpy),
            _Generator(_seed_torch, _probe_torch),
        )

    def fetch(self, dataset: Any, indices: Sequence[int], seeds: Sequence[int]) -> list[Any]:  # noqa: ANN401
        """Return the samples; the generators are left in any state.

        Args:
            dataset: whatever has `__getitem__`.
            indices: of the samples.
            seeds: of the same number of samples, 64 well-mixed bits each.
        """
        cuda = has_cuda()
        while True:
            used = [generator.seed for generator in self._generators if generator.is_used]
            idle = [generator for generator in self._generators if not generator.is_used]
            for generator in idle:
                generator.watch()
            samples = []
            for index, seed in zip(indices, seeds, strict=True):
                for put in used:
                    put(seed)
                if cuda:
                    torch.cuda.manual_seed_all(seed)
                samples.append(dataset[index])
            for generator in idle:
                generator.is_used = generator.was_used()
            if not any(generator.is_used for generator in idle):
                return samples


def _seed_python(seed: int) -> None:
    _SEED_PYTHONS(seed)
    _PYTHONS.gauss_next = None  # type: ignore[attr-defined]


def _seed_numpy(seed: int) -> None:
    np.random.seed(seed & _LOW_32_BITS)  # noqa: NPY002  what user code draws from


def _probe_numpy() -> object:
    return mtrand.get_bit_generator().random_raw()


def _seed_torch(seed: int) -> None:
    # Not torch.manual_seed: where CUDA is idle it formats a stack trace, too slow per sample.
    torch.default_generator.manual_seed(seed)


def _probe_torch() -> object:
    return torch.get_rng_state().numpy().tobytes()  # far quicker than a draw
