"""Randomness as a pure function of keys: seeds, and the samples fetched under them.

Knows the random generators of Python, numpy and torch; nothing of training.
"""

import hashlib
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import torch
from numpy.random import mtrand
from torch.utils.data import get_worker_info

_LOW_32_BITS = 2**32 - 1
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)

_SPARE = np.random.MT19937(0)
"""What numpy's global functions draw from while the true generator must not be disturbed."""


def has_cuda() -> bool:
    """Whether this process may use CUDA: a loader worker may not."""
    return get_worker_info() is None and torch.cuda.is_available()


def hash_of(*parts: int | str) -> int:
    """Return a hash of `parts`, 64 bits."""
    text = "/".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def mixed(key: int, counters: Sequence[int]) -> list[int]:
    """Return 64 well-mixed bits for each counter (splitmix64): a stream of its own per `key`.

    Args:
        key: where the stream begins, 64 bits, itself well mixed.
        counters: such as indices of samples, at least 0.
    """
    bits = np.uint64(key) + np.asarray(counters, dtype=np.uint64) * _GOLDEN
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed_bits: list[int] = (bits ^ (bits >> np.uint64(31))).tolist()
    return mixed_bits


def seed_rng(*parts: int | str) -> None:
    """Seed all random generators with a hash of `parts`: equal parts, equal numbers."""
    seed = hash_of(*parts)
    random.seed(seed)
    _seed_numpy(seed)
    _seed_torch(seed)
    if has_cuda():
        torch.cuda.manual_seed_all(seed)


@contextmanager
def undisturbed_rng() -> Iterator[None]:
    """Leave the random generators as they were, whatever the body draws from them.

    What the body draws before it seeds them is anything.
    """
    # Not `capture_rng`: this runs for each batch, and needs no form that can be saved.
    python, torchs = random.getstate(), torch.get_rng_state()
    cudas = torch.cuda.get_rng_state_all() if has_cuda() else None
    # numpy takes 0.1 ms to hand out its state, but 1 us to draw from another generator.
    numpys = mtrand.get_bit_generator()
    mtrand.set_bit_generator(np.random.MT19937() if numpys is _SPARE else _SPARE)
    try:
        yield
    finally:
        random.setstate(python)
        mtrand.set_bit_generator(numpys)
        torch.set_rng_state(torchs)
        if cudas is not None:
            torch.cuda.set_rng_state_all(cudas)


class _Generator:
    """A generator that is dear to seed: is it worth the while?"""

    def __init__(self, seed: Callable[[int], None], probe: Callable[[], object]) -> None:
        self.seed: Final = seed
        self._probe: Final = probe
        self.is_used = False
        """Whether samples were ever seen to draw from it."""

    def watch(self, seed: int) -> object:
        """Seed it and return what `was_used` wants."""
        self.seed(seed)
        fresh = self._probe()
        self.seed(seed)
        return fresh

    def was_used(self, fresh: object) -> bool:
        """Whether somebody drew from it since `watch`; has a look that may be a draw."""
        return self._probe() != fresh


class SampleRandomness:
    """Fetches samples such that each draws from generators seeded for it alone.

    Seeding a generator takes longer than many a sample does, so each is seeded for each
    sample only once samples were seen to draw from it. The batch in which that is noticed is
    fetched again: no sample is ever given out that saw a seed other than its own.
    """

    def __init__(self) -> None:
        """Take no generator for used."""
        self._generators = (
            _Generator(random.seed, lambda: random.getrandbits(64)),
            _Generator(_seed_numpy, _probe_numpy),
            _Generator(_seed_torch, _probe_torch),
        )

    def fetch(self, dataset: Any, indices: Sequence[int], key: int) -> list[Any]:  # noqa: ANN401
        """Return the samples; the generators are left in any state.

        Args:
            dataset: whatever has `__getitem__`.
            indices: of the samples.
            key: 64 well-mixed bits on which the randomness depends, beside the index.
        """
        seeds = mixed(key, indices)
        cuda = has_cuda()
        while True:
            used = [generator for generator in self._generators if generator.is_used]
            idle = [(g, g.watch(key)) for g in self._generators if not g.is_used]
            samples = []
            for index, seed in zip(indices, seeds, strict=True):
                for generator in used:
                    generator.seed(seed)
                if cuda:
                    torch.cuda.manual_seed_all(seed)
                samples.append(dataset[index])
            for generator, fresh in idle:
                generator.is_used = generator.was_used(fresh)
            if not any(generator.is_used for generator, _ in idle):
                return samples


def _seed_numpy(seed: int) -> None:
    np.random.seed(seed & _LOW_32_BITS)  # noqa: NPY002  what user code draws from


def _probe_numpy() -> object:
    return mtrand.get_bit_generator().random_raw()


def _seed_torch(seed: int) -> None:
    # Not torch.manual_seed: where CUDA is idle it formats a stack trace, too slow per sample.
    torch.default_generator.manual_seed(seed)


def _probe_torch() -> object:
    return torch.get_rng_state().numpy().tobytes()  # far quicker than a draw
