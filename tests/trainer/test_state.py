"""State is complete, safe to load, and equal digests mean equal bits."""

import random
from collections import Counter, OrderedDict, defaultdict
from enum import StrEnum
from io import BytesIO
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

from vm_runtime.seeding import seed_rng
from vm_runtime.state import (
    check_plain,
    weights_digest,
)


def draws() -> list[float]:
    """Draw from all three generators, with Gaussians, which keep a spare."""
    return [
        random.random(),
        random.gauss(0, 1),
        float(np.random.random()),  # noqa: NPY002  the global generator is the subject
        float(np.random.standard_normal()),  # noqa: NPY002  the global generator is the subject
        float(torch.rand(())),
    ]


def test_seeds_are_functions_of_all_their_parts() -> None:
    """Equal parts give equal numbers; a change of any part gives others."""
    found = {}
    for parts in [(1, 2, 3), (1, 2, 4), (1, 3, 3), (2, 2, 3), (12, 3), (1, 23)]:
        seed_rng(*parts)
        found[parts] = tuple(draws())
        seed_rng(*parts)
        assert tuple(draws()) == found[parts]

    assert len(set(found.values())) == len(found)


def test_a_digest_changes_with_any_bit_name_type_or_shape() -> None:
    """Equal weights have equal digests; nothing else has."""

    class Holder(nn.Module):
        def __init__(self, name: str, value: torch.Tensor) -> None:
            super().__init__()
            self.register_buffer(name, value)

    one = torch.ones(2, 3)
    flipped = one.clone()
    flipped.view(torch.int32)[1, 2] ^= 1
    variants = [
        ("a", one),
        ("b", one),
        ("a", flipped),
        ("a", one.reshape(3, 2)),
        ("a", one.to(torch.bfloat16)),
        ("a", one.view(torch.int32)),
        ("a", torch.tensor(1.0)),
    ]
    digests = [weights_digest(Holder(name, value)) for name, value in variants]

    assert len(set(digests)) == len(variants)
    assert weights_digest(Holder("a", one.t().contiguous().t())) == digests[0]


def test_a_digest_covers_a_modules_extra_state() -> None:
    """State that is no tensor neither breaks the digest nor escapes it."""

    class Counting(nn.Linear):
        count = 0

        def get_extra_state(self) -> int:
            return self.count

    layer = Counting(1, 1)
    before = weights_digest(layer)
    layer.count = 1
    assert weights_digest(layer) != before


def test_plain_state_passes() -> None:
    """What torch's own optimizers and schedulers keep is accepted."""
    state = {
        "a": [1, 2.0, "x", None, (True, b"y")],
        "b": OrderedDict(c=torch.ones(1), d=nn.Parameter(torch.ones(1))),
        "milestones": Counter([3, 5]),
        "shape": torch.Size([2]),
    }
    check_plain(state)
    file = BytesIO()
    torch.save(state, file)
    file.seek(0)
    assert torch.load(file, weights_only=True) == state


class _Word(StrEnum):
    ONE = "one"


class _Pair(NamedTuple):
    a: int
    b: int


class _Marked(torch.Tensor):
    pass


class _Own(dict[str, int]):
    pass


@pytest.mark.parametrize(
    "value",
    [
        *(object(), np.float64(1.0), np.ones(2), {1, 2}),
        # Each of these is saved without a word, and then never loaded again.
        *(_Word.ONE, {_Word.ONE: 1}, _Own(a=1), defaultdict(list), MappingProxyType({})),
        *(_Pair(1, 2), torch.ones(1).as_subclass(_Marked)),
    ],
)
def test_what_needs_pickle_is_refused_by_its_path(value: object) -> None:
    """The message says where the value is."""
    with pytest.raises(TypeError, match=r"state\.a\.1.*: expected tensors"):
        check_plain({"a": [0, value]})
