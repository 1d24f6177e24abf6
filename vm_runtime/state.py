"""What makes up the state of a training, in types that a safe loader accepts.

Knows torch; nothing of jobs, stores or loops.
"""

import hashlib
import os
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, TypeAlias, cast, runtime_checkable

import torch
from torch import nn

State: TypeAlias = dict[str, Any]
"""Nested dicts and lists of tensors, numbers and text: what `check_plain` accepts."""

# Exact types: an Enum is a str, and a namedtuple a tuple, but neither is loaded again.
_MAPPINGS = (dict, OrderedDict, Counter)
_SEQUENCES = (list, tuple, torch.Size)
_LEAVES = (torch.Tensor, nn.Parameter, nn.Buffer, bool, int, float, str, bytes, type(None))


class StateMismatchError(ValueError):
    """A checkpoint does not fit the training that wants to resume from it."""


@runtime_checkable
class Stateful(Protocol):
    """Something whose state a checkpoint holds."""

    def state_dict(self) -> State:
        """Return the state, in types that `check_plain` accepts."""
        ...

    def load_state_dict(self, state_dict: State, /) -> object:
        """Take over a state that `state_dict` returned."""
        ...


def check_plain(value: object, *, where: str = "state") -> None:
    """Refuse what could be saved but not be loaded again without running foreign code.

    Args:
        value: the state, nested.
        where: its name, for the message.

    Raises:
        TypeError: a value of another type; the message gives its path.
    """
    kind = type(value)
    if kind in _MAPPINGS:
        for key, item in cast("dict[object, object]", value).items():
            check_plain(key, where=f"{where} (key)")
            check_plain(item, where=f"{where}.{key}")
    elif kind in _SEQUENCES:
        for number, item in enumerate(cast("tuple[object, ...]", value)):
            check_plain(item, where=f"{where}.{number}")
    elif kind not in _LEAVES:
        message = (
            f"{where}: expected tensors, numbers, text, lists or dicts, found"
            f" {kind.__qualname__}; convert it in state_dict(), as checkpoints are loaded"
            " without pickle"
        )
        raise TypeError(message)


@contextmanager
def deterministic_algorithms() -> Iterator[None]:
    """Let torch use only algorithms that give equal bits each time; set back at the end."""
    # Read when cuBLAS first works: without it, a matrix product may differ between two runs.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    enabled = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    # The fill of fresh memory only matters to code that reads what it never wrote; it costs time.
    settings: Any = torch.utils.deterministic
    fill = settings.fill_uninitialized_memory
    benchmark = torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(mode=True)
    settings.fill_uninitialized_memory = False
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(mode=enabled, warn_only=warn_only)
        settings.fill_uninitialized_memory = fill
        torch.backends.cudnn.benchmark = benchmark


def weights_digest(model: nn.Module | Mapping[str, object]) -> str:
    """Return the SHA-256 of a model's parameters and buffers, lower-case hexadecimal.

    It covers names, types, shapes and bytes, sorted by name: equal bits, equal digest.

    Args:
        model: the model, or its `state_dict()`.
    """
    digest = hashlib.sha256()
    weights = model.state_dict() if isinstance(model, nn.Module) else model
    for name, value in sorted(weights.items()):
        if not isinstance(value, torch.Tensor):
            digest.update(f"{name}|{value!r}|".encode())  # a module's extra state
            continue
        plain: Any = value.detach().cpu().contiguous()
        digest.update(f"{name}|{plain.dtype}|{tuple(plain.shape)}|".encode())
        digest.update(plain.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def gradients(model: nn.Module) -> State:
    """Return the gradients gathered so far, by name of the parameter."""
    return {
        name: parameter.grad
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }


def restore_gradients(model: nn.Module, state: State) -> None:
    """Set the gradients to what `gradients` returned."""
    for name, parameter in model.named_parameters():
        saved = state.get(name)
        parameter.grad = None if saved is None else saved.to(parameter.device)


def non_finite_parameters(parameters: Mapping[str, torch.Tensor]) -> list[str]:
    """Return the names of parameters that hold a NaN or an infinity."""
    return [name for name, parameter in parameters.items() if not _is_finite(parameter)]


def _is_finite(values: torch.Tensor) -> bool:
    # A sum is many times as quick, and finite only if all are; large values may overflow it.
    return bool(torch.isfinite(values.sum())) or bool(torch.isfinite(values).all())
