"""A copy of a training's state in memory, taken at the speed of memory, into reused buffers.

While it is written in the background, training goes on and changes the original.
"""

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, Final

import torch
from torch import nn

from vm_runtime.checkpoint_copying import copy_in_parallel, new_buffer, touch
from vm_runtime.state import State, check_plain

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
        self._preparing: threading.Thread | None = None

    @property
    def size_bytes(self) -> int:
        """Memory held."""
        return sum(buffer.nbytes() for buffer in self._buffers)

    def prepare(self, state: State) -> None:
        """Get memory for states like this one in the background, so that no `take` waits for it.

        The system gives memory out where it is first touched, which takes several times as
        long as a copy. Nothing of the state is kept, and what a wrong guess got is given back.
        """
        wanted = [(storage.nbytes(), storage.device.type == "cuda") for storage in _storages(state)]

        def get() -> None:
            for size_bytes, pinned in wanted:
                buffer = new_buffer(size_bytes, pinned=pinned)
                touch(buffer)
                self._buffers.append(buffer)

        self._settle()
        self._buffers = []
        self._preparing = threading.Thread(target=get, name="snapshot memory", daemon=True)
        self._preparing.start()

    def _settle(self) -> None:
        if self._preparing is not None:
            self._preparing.join()
            self._preparing = None

    def take(self, state: State) -> State:
        """Copy a state; the result is on the CPU, and valid until the next `take`.

        Raises:
            TypeError: a value that `state.check_plain` refuses; the message gives its path.
        """
        self._settle()
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
        self._on_cpu: list[tuple[torch.UntypedStorage, torch.UntypedStorage]] = []
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
        """Copy what lies in the CPU's memory, and wait for the copies that GPUs make."""
        copy_in_parallel(self._on_cpu)
        for device in self._devices:
            torch.cuda.synchronize(device)

    def _mapping(self, value: dict[Any, Any]) -> dict[Any, Any]:
        return {self.copy(key): self.copy(item) for key, item in value.items()}

    def _tensor(self, value: torch.Tensor) -> torch.Tensor:
        plain = value.detach()
        if not _is_plain(plain):
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
        if source.device.type == "cpu":
            self._on_cpu.append((buffer, source))
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
        return new_buffer(size_bytes, pinned=pinned)


def _is_plain(tensor: torch.Tensor) -> bool:
    """Whether it is a view of one storage, and nothing more."""
    return tensor.layout is torch.strided and not tensor.is_conj() and not tensor.is_neg()


def _storages(state: State) -> Iterator[torch.UntypedStorage]:
    """Yield what `_Copying` copies of a state, in its order, each once."""
    seen: set[tuple[str, int, int]] = set()
    left: list[object] = [state]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            left.extend(reversed(value.values()))
        elif isinstance(value, list | tuple):
            left.extend(reversed(value))
        elif isinstance(value, torch.Tensor) and type(value) in _TENSORS and _is_plain(value):
            storage = value.untyped_storage()
            key = (str(storage.device), storage.data_ptr(), storage.nbytes())
            if key not in seen or not storage.nbytes():
                seen.add(key)
                yield storage
