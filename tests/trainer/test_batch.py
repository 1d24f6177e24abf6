"""What of a batch goes to the model, and what to the loss."""

from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from vm_runtime.trainer_batch import BatchError, Inputs, Unpack

X, Y, Z = torch.tensor(1.0), torch.tensor(2.0), torch.tensor(3.0)


class Sum(nn.Module):
    """Adds its two inputs, the second optional."""

    def forward(self, a: Tensor, b: Tensor | None = None) -> Tensor:
        """Add."""
        return a if b is None else a + 10 * b


class Whole(nn.Module):
    """Takes the batch as it is."""

    def forward(self, batch: object) -> object:
        """Return it."""
        return batch


class Open(nn.Module):
    """Takes whatever it is given by name."""

    def forward(self, **parts: Tensor) -> list[str]:
        """Return the names."""
        return sorted(parts)


class Pair(NamedTuple):
    """A batch of a kind of its own."""

    a: Tensor
    b: Tensor


def run(model: nn.Module, batch: object, unpack: Unpack | None = None) -> tuple[Any, Any]:
    """Return outputs and targets."""
    inputs = Inputs(model, unpack)
    chosen, targets = inputs.split(batch)
    return inputs.apply(model, chosen), targets


@pytest.mark.parametrize(
    ("batch", "outputs", "targets"),
    [
        ((X, Y), 1, Y),
        ([X, Y], 1, Y),
        (((X, Y), Z), 21, Z),
        (({"a": X, "b": Y, "id": Z}, Z), 21, Z),
        (X, 1, X),
    ],
)
def test_a_pair_is_inputs_and_targets(batch: object, outputs: float, targets: Tensor) -> None:
    """Inputs may be one tensor, the arguments, or a dict of which the model takes what it names."""
    found, wanted = run(Sum(), batch)

    assert float(found) == outputs
    assert wanted is targets


def test_a_dict_goes_to_the_model_by_name_and_to_the_loss_whole() -> None:
    """So the loss finds its labels in it."""
    batch = {"a": X, "labels": Y}
    found, wanted = run(Sum(), batch)

    assert float(found) == 1
    assert wanted is batch
    assert run(Open(), batch) == (["a", "labels"], batch)


@pytest.mark.parametrize("batch", [{"image": X}, Pair(X, Y), object()])
def test_any_other_batch_goes_whole(batch: object) -> None:
    """A model that wants the batch itself gets it, of whatever kind."""
    assert run(Whole(), batch) == (batch, batch)


def test_unpack_says_what_is_what() -> None:
    """Three tensors become two arguments and a target."""
    found, wanted = run(Sum(), (X, Y, Z), lambda batch: ((batch[0], batch[1]), batch[2]))

    assert (float(found), wanted) == (21, Z)


@pytest.mark.parametrize(
    ("batch", "unpack", "message"),
    [
        ((X, Y, Z), None, "found tuple of 3; say what is what: unpack="),
        ([X], None, "found list of 1"),
        ((X, Y), lambda batch: batch[0], r"unpack\(batch\) to return .* found Tensor"),
        ({"b": X, "c": Y}, None, r"needs, \['a'\], found \['b', 'c'\]"),
    ],
)
def test_what_is_not_understood_is_explained(
    batch: object, unpack: Unpack | None, message: str
) -> None:
    """Expected and found are named, and what to do."""
    with pytest.raises(BatchError, match=message):
        run(Sum(), batch, unpack)
