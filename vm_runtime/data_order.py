"""The order of an epoch's samples: a pure function of (seed, epoch, position).

Any part of it costs the same, however deep in the epoch it lies. Knows numpy only.
"""

from typing import Any, Final, TypeAlias

import numpy as np

Indices: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]
Bits: TypeAlias = np.ndarray[Any, np.dtype[np.uint64]]

SHUFFLED_WHOLE = 1 << 16
"""Up to so many samples an epoch is shuffled whole: about a millisecond."""

ROUNDS = 10
"""Even. Four make a pseudo-random permutation of a pseudo-random function (Luby and Rackoff,
1988), for halves much wider than ours; more make up for narrow ones (Black and Rogaway, 2002)."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def mix(bits: Bits) -> Bits:
    """Return 64 well-mixed bits for each element: the finaliser of splitmix64 (Steele, 2014)."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def mixed(key: int, counters: Indices) -> list[int]:
    """Return 64 well-mixed bits for each counter: a stream of its own per `key`.

    Args:
        key: where the stream begins, 64 bits, itself well mixed.
        counters: such as indices of samples, at least 0.
    """
    made: list[int] = mix(np.uint64(key) + counters.astype(np.uint64) * _GOLDEN).tolist()
    return made


class EpochOrder:
    """The samples of one epoch in random order, each once.

    Small sets are shuffled whole. Of larger ones the place of each sample is worked out alone:
    a keyed Feistel network permutes the numbers below the next power of two, and what falls
    beyond the set is permuted again until it falls within (cycle walking).
    """

    def __init__(self, *, seed: int, epoch: int, length: int) -> None:
        """Take the keys; a large order is not made.

        Args:
            seed: seed of the training, at least 0.
            epoch: counted from 0.
            length: number of samples, at least 1.
        """
        random = np.random.default_rng([seed, epoch])
        self._length: Final = length
        self._whole: Indices | None = None
        if length <= SHUFFLED_WHOLE:
            self._whole = random.permutation(length)
        self._keys: Bits = random.integers(2**64, size=ROUNDS, dtype=np.uint64)
        bits = max(2, (length - 1).bit_length())
        self._widths = (bits // 2, bits - bits // 2)

    def __len__(self) -> int:
        """Return the number of samples."""
        return self._length

    def at(self, start: int, stop: int) -> Indices:
        """Return the samples at positions `start` to `stop`, which may lie beyond the end."""
        stop = min(stop, self._length)
        if self._whole is not None:
            return self._whole[start:stop]
        found = self._permute(np.arange(start, stop, dtype=np.uint64))
        while (beyond := found >= self._length).any():
            found[beyond] = self._permute(found[beyond])
        return found.astype(np.int64)

    def _permute(self, numbers: Bits) -> Bits:
        """Permute the numbers below the power of two."""
        left_width, right_width = self._widths
        left = numbers >> np.uint64(right_width)
        right = numbers & np.uint64((1 << right_width) - 1)
        for key in self._keys:
            scrambled = mix(right + key) >> np.uint64(64 - left_width)
            left, right = right, left ^ scrambled
            left_width, right_width = right_width, left_width
        permuted: Bits = (left << np.uint64(right_width)) | right
        return permuted
