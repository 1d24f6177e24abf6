"""A copy of a training's state in memory, taken at the speed of memory, into reused buffers.

While it is written in the background, training goes on and changes the original.
"""

import logging
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any, Final

import torch
from torch import nn

from vm_runtime.state import State, check_plain

_log = logging.getLogger(__name__)

_IMMUTABLE: Final = frozenset({bool, int, float, str, bytes, type(None)})
_TENSORS: Final = frozenset({torch.Tensor, nn.Parameter})


class SnapshotBuffers:
    """Memory for one copy of a state; each `take` overwrites the copy before.

    It copies storages, not tensors: tied weights stay tied, and memory formats stay as they
    are. Buffers of GPU states are pinned, so that the copy runs at the bus's full speed.
    """

    def __init__(self) -> None:
        """Hold no memory yet."""
        self._buffers: list[torch.UntypedStorage] = []

    @property
    def size_bytes(self) -> int:
        """Memory held."""
        return sum(buffer.nbytes() for buffer in self._buffers)

    def take(self, state: State) -> State:
        """Copy a state; the result is on the CPU, and valid until the next `take`.

        Raises:
            TypeError: a value that `state.check_plain` refuses; the message gives its path.
        """
        copying = _Copying(self._buffers)
        try:
            copied: State = copying.copy(state)
        except _UnknownTypeError:
            check_plain(state)  # says where and what
            raise
        self._buffers = copying.used
        copying.finish()
        return copied


class _UnknownTypeError(TypeError):
    """Some value is of a type that could not be loaded again."""


class _Copying:
    """One copy of one state."""

    def __init__(self, buffers: list[torch.UntypedStorage]) -> None:
        self._spare = buffers
        self.used: list[torch.UntypedStorage] = []
        self._copies: dict[tuple[str, int, int], torch.UntypedStorage] = {}
        self._devices: set[torch.device] = set()
        self._containers: dict[type, Callable[[Any], object]] = {
            dict: self._mapping,
            OrderedDict: lambda value: OrderedDict(self._mapping(value)),
            Counter: lambda value: Counter(self._mapping(value)),
            list: lambda value: [self.copy(item) for item in value],
            tuple: lambda value: tuple([self.copy(item) for item in value]),
            torch.Size: lambda value: value,
        }

    def copy(self, value: Any) -> Any:  # noqa: ANN401  any part of a state
        kind = type(value)
        if kind in _IMMUTABLE:
            return value
        if kind in _TENSORS:
            return self._tensor(value)
        make = self._containers.get(kind)
        if make is None:
            raise _UnknownTypeError(kind.__qualname__)
        return make(value)

    def finish(self) -> None:
        """Wait for the copies that GPUs still make."""
        for device in self._devices:
            torch.cuda.synchronize(device)

    def _mapping(self, value: dict[Any, Any]) -> dict[Any, Any]:
        return {self.copy(key): self.copy(item) for key, item in value.items()}

    def _tensor(self, value: torch.Tensor) -> torch.Tensor:
        plain = value.detach()
        if plain.layout is not torch.strided or plain.is_conj() or plain.is_neg():
            copied = plain.cpu().clone()  # without one plain storage: rare and small
        else:
            copied = torch.empty(0, dtype=plain.dtype)
            copied.set_(
                self._storage(plain.untyped_storage()),
                plain.storage_offset(),
                plain.shape,
                plain.stride(),
            )
        if type(value) is nn.Parameter:
            return nn.Parameter(copied, requires_grad=value.requires_grad)
        return copied.requires_grad_(value.requires_grad)

    def _storage(self, source: torch.UntypedStorage) -> torch.UntypedStorage:
        key = (str(source.device), source.data_ptr(), source.nbytes())
        if key in self._copies and source.nbytes():
            return self._copies[key]
        on_gpu = source.device.type == "cuda"
        buffer = self._buffer(source.nbytes(), pinned=on_gpu)
        # One thread does it at the memory's full speed; torch's own would wake all of them,
        # which takes longer where the cores are busy.
        if source.device.type == "cpu":
            _view(buffer).numpy()[:] = _view(source).numpy()
        else:
            buffer.copy_(source, non_blocking=on_gpu)
        if on_gpu:
            self._devices.add(source.device)
        self.used.append(buffer)
        self._copies[key] = buffer
        return buffer

    def _buffer(self, size_bytes: int, *, pinned: bool) -> torch.UntypedStorage:
        number = len(self.used)
        if number < len(self._spare):
            spare = self._spare[number]
            if spare.nbytes() == size_bytes and (not pinned or spare.is_pinned()):
                return spare
        if pinned:
            try:
                return torch.empty(size_bytes, dtype=torch.uint8, pin_memory=True).untyped_storage()
            except RuntimeError as error:  # the system allows only so much of it
                _log.warning("snapshot of %d bytes goes the slow way: %s", size_bytes, error)
        return torch.empty(size_bytes, dtype=torch.uint8).untyped_storage()


def _view(storage: torch.UntypedStorage) -> torch.Tensor:
    return torch.empty(0, dtype=torch.uint8).set_(storage)
