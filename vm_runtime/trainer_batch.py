"""What a batch means: which part of it goes to the model, and which to loss and metrics.

A pair is `(inputs, targets)`. Anything else goes whole: to the model, and to the loss as the
targets. `unpack` makes a pair of what is none.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from torch import nn

Unpack: TypeAlias = Callable[[Any], tuple[Any, Any]]
"""Makes `(inputs, targets)` of a batch."""

_PAIR = 2


class BatchError(TypeError):
    """A batch from which the model's inputs cannot be told."""


class Inputs:
    """Tells inputs from targets, and calls the model with the inputs.

    Inputs that are a tuple are the model's arguments; of a dict each entry that the model's
    `forward` names; anything else is the one argument.
    """

    def __init__(self, model: nn.Module, unpack: Unpack | None) -> None:
        """Look at the model's signature once."""
        self._unpack: Final = unpack
        parameters = inspect.signature(model.forward).parameters.values()
        self._takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
        self._names = [
            p.name for p in parameters if p.kind in {p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY}
        ]
        self._needed = {p.name for p in parameters if p.default is p.empty} & set(self._names)

    def split(self, batch: Any) -> tuple[Any, Any]:  # noqa: ANN401  user data
        """Return `(inputs, targets)`.

        Raises:
            BatchError: the batch is a list or tuple of another length, and there is no `unpack`.
        """
        if self._unpack is not None:
            batch = self._unpack(batch)
            if not isinstance(batch, tuple | list) or len(batch) != _PAIR:
                message = (
                    f"expected unpack(batch) to return (inputs, targets), found {_kind(batch)}"
                )
                raise BatchError(message)
        if not isinstance(batch, tuple | list) or hasattr(batch, "_fields"):
            return batch, batch
        if len(batch) != _PAIR:
            message = (
                f"expected batches of (inputs, targets), found {_kind(batch)}; say what is what:"
                " unpack=lambda batch: ((batch[0], batch[1]), batch[2]), or return pairs from"
                " the data set"
            )
            raise BatchError(message)
        return batch[0], batch[1]

    def apply(self, model: nn.Module, inputs: Any) -> Any:  # noqa: ANN401  user data
        """Return what the model makes of the inputs.

        Raises:
            BatchError: the inputs are a dict in which the model finds too little.
        """
        if isinstance(inputs, tuple | list) and not hasattr(inputs, "_fields"):
            return model(*inputs)
        if isinstance(inputs, Mapping):
            return self._by_name(model, inputs)
        return model(inputs)

    def _by_name(self, model: nn.Module, inputs: Mapping[str, Any]) -> Any:  # noqa: ANN401
        if self._takes_any:
            return model(**inputs)
        chosen = {name: inputs[name] for name in self._names if name in inputs}
        if chosen and self._needed <= chosen.keys():
            return model(**chosen)
        if len(self._needed) == 1 and not chosen:
            return model(inputs)  # its one argument is the dict itself
        message = (
            f"expected a batch with what the model's forward() needs, {sorted(self._needed)},"
            f" found {sorted(inputs)}; name the keys so, or say unpack=lambda batch:"
            " (batch[...], batch[...])"
        )
        raise BatchError(message)


def _kind(batch: object) -> str:
    kind = type(batch).__qualname__
    return f"{kind} of {len(batch)}" if isinstance(batch, tuple | list) else kind
