"""Getting and copying memory at the memory's speed, with the cores that are idle."""

import logging
import os
import threading
from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

_log = logging.getLogger(__name__)

_PIECE_BYTES: Final = 1 << 20
"""Short enough that a thread whose core is taken away delays the others by little."""
_THREADS: Final = min(4, os.cpu_count() or 1)
"""A few cores ask for all that the memory can give."""
_WORTH_A_THREAD_BYTES: Final = 8 << 20
"""Copied in about a millisecond, ten times as long as a thread takes to start."""

_Bytes = NDArray[np.uint8]


def copy_in_parallel(pairs: Iterable[tuple[torch.UntypedStorage, torch.UntypedStorage]]) -> None:
    """Copy from the second of each pair to the first, all on the CPU and of equal sizes.

    Threads take piece after piece: where other cores are busy, this thread copies the most.
    NumPy frees the interpreter's lock meanwhile. `torch.Tensor.copy_` would share each
    tensor out in equal parts, and wait for the slowest core each time.
    """
    pieces = list(_pieces(pairs))
    size_bytes = sum(target.size for target, _ in pieces)
    helpers = min(_THREADS - 1, size_bytes // _WORTH_A_THREAD_BYTES)
    # `next` of a list's iterator is one step under the interpreter's lock: no piece goes twice.
    left = iter(pieces)
    threads = [threading.Thread(target=_copy, args=(left,), daemon=True) for _ in range(helpers)]
    for thread in threads:
        thread.start()
    _copy(left)
    for thread in threads:
        thread.join()


def new_buffer(size_bytes: int, *, pinned: bool) -> torch.UntypedStorage:
    """Return memory on the CPU that may hold anything; pinned if asked for and to be had."""
    if pinned:
        try:
            return torch.empty(size_bytes, dtype=torch.uint8, pin_memory=True).untyped_storage()
        except RuntimeError as error:  # the system allows only so much of it
            _log.warning("snapshot of %d bytes goes the slow way: %s", size_bytes, error)
    # NumPy asks for huge pages, torch does not: they are got and copied faster.
    return torch.from_numpy(np.empty(size_bytes, dtype=np.uint8)).untyped_storage()


def touch(buffer: torch.UntypedStorage) -> None:
    """Make the system give the memory out now."""
    view = _bytes(buffer)
    for begin in range(0, view.size, _PIECE_BYTES):
        view[begin : begin + _PIECE_BYTES] = 0


def _copy(pieces: Iterator[tuple[_Bytes, _Bytes]]) -> None:
    for target, source in pieces:
        np.copyto(target, source)


def _pieces(
    pairs: Iterable[tuple[torch.UntypedStorage, torch.UntypedStorage]],
) -> Iterator[tuple[_Bytes, _Bytes]]:
    """Cut large ones; what is smaller goes in one piece."""
    for target, source in pairs:
        to, by = _bytes(target), _bytes(source)
        for begin in range(0, to.size, _PIECE_BYTES):
            end = begin + _PIECE_BYTES
            yield to[begin:end], by[begin:end]


def _bytes(storage: torch.UntypedStorage) -> _Bytes:
    view: _Bytes = torch.empty(0, dtype=torch.uint8).set_(storage).numpy()
    return view
