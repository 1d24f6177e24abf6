"""A snapshot is equal to the state when it was taken, whatever happens to the original after."""

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from vm_runtime import checkpoint_copying, checkpoint_snapshot
from vm_runtime.checkpoint_copying import new_buffer
from vm_runtime.checkpoint_snapshot import SnapshotBuffers


def state() -> dict[str, Any]:
    """Return a state with all that is hard to copy."""
    weight = nn.Parameter(torch.arange(12.0).reshape(3, 4))
    image = torch.arange(24.0).reshape(1, 2, 3, 4).contiguous(memory_format=torch.channels_last)
    return {
        "weight": weight,
        "tied": weight.detach(),
        "slice": weight.detach()[1:, ::2],
        "image": image,
        "expanded": torch.tensor([3.0]).expand(5),
        "empty": torch.empty(0, 7),
        "scalar": torch.tensor(data=True),
        "half": torch.tensor([1.5, float("nan")], dtype=torch.bfloat16),
        "sparse": torch.eye(3).to_sparse(),
        "conjugate": torch.tensor([1 + 2j]).conj(),
        "list": [1, (2.5, "x", None), {"nested": torch.tensor([7])}],
        "ordered": OrderedDict(b=1, a=torch.tensor(2)),
        "counter": Counter("aab"),
        "size": torch.Size([1, 2]),
        3: b"bytes",
    }


def assert_equal(left: object, right: object) -> None:
    """Fail unless both are the same in types, values, shapes and strides."""
    assert type(left) is type(right)
    if isinstance(left, torch.Tensor) and isinstance(right, torch.Tensor):
        assert (left.dtype, left.shape, left.layout) == (right.dtype, right.shape, right.layout)
        assert left.requires_grad == right.requires_grad
        if left.layout is torch.strided:
            assert left.stride() == right.stride()
        assert torch.equal(left.to_dense().nan_to_num(9), right.to_dense().nan_to_num(9))
    elif isinstance(left, dict) and isinstance(right, dict):
        assert list(left) == list(right)
        for key, value in left.items():
            assert_equal(value, right[key])
    elif isinstance(left, list | tuple) and isinstance(right, list | tuple):
        assert len(left) == len(right)
        for one, other in zip(left, right, strict=True):
            assert_equal(one, other)
    else:
        assert left == right


def test_a_snapshot_keeps_what_was_when_the_original_goes_on() -> None:
    """Tensors, containers and numbers stay as they were."""
    original = state()
    copied = SnapshotBuffers().take(original)
    assert_equal(copied, original)

    with torch.no_grad():
        for value in ("weight", "image", "half", "scalar"):
            original[value].fill_(0)
    original["list"][2]["nested"][0] = 8
    original["list"].append("more")
    original["counter"]["a"] = 0
    assert_equal(copied, state())


def test_tied_weights_stay_tied_and_are_copied_once() -> None:
    """Views of one storage are views of one storage in the copy."""
    buffers = SnapshotBuffers()
    copied = buffers.take({"a": (tensor := torch.zeros(1000)), "b": tensor[10:20]})

    assert buffers.size_bytes == 4000
    copied["a"][10] = 5
    assert copied["b"][0] == 5


def test_memory_is_taken_once() -> None:
    """The second snapshot lies where the first did; a changed state gets what it needs."""
    buffers = SnapshotBuffers()
    first = buffers.take({"a": torch.zeros(1000), "b": torch.zeros(10)})
    address = first["a"].data_ptr()
    second = buffers.take({"a": torch.ones(1000), "b": torch.ones(20), "c": torch.ones(1)})

    assert second["a"].data_ptr() == address
    assert buffers.size_bytes == 4 * (1000 + 20 + 1)
    assert_equal(second, {"a": torch.ones(1000), "b": torch.ones(20), "c": torch.ones(1)})


@pytest.mark.parametrize("value", [object(), {1, 2}, range(3)])
def test_what_could_not_be_loaded_again_is_refused_with_its_path(value: object) -> None:
    """Before anything is written, not when it is needed."""
    with pytest.raises(TypeError, match=r"state\.a\.1: expected tensors"):
        SnapshotBuffers().take({"a": [0, value]})


def test_a_snapshot_saves_to_the_same_bits(tmp_path: Any) -> None:  # noqa: ANN401  pytest's
    """Saved and loaded safely, the copy gives what the original gives."""
    for name, saved in (("copy", SnapshotBuffers().take(state())), ("original", state())):
        torch.save(saved, tmp_path / name)
    assert_equal(
        torch.load(tmp_path / "copy", weights_only=True),
        torch.load(tmp_path / "original", weights_only=True),
    )


def test_memory_got_ahead_is_where_the_first_snapshot_lies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first checkpoint of a run finds all its memory there, and gets no other."""
    got: list[int] = []

    def spy(size_bytes: int, *, pinned: bool) -> torch.UntypedStorage:
        got.append(size_bytes)
        return new_buffer(size_bytes, pinned=pinned)

    monkeypatch.setattr(checkpoint_snapshot, "new_buffer", spy)
    SnapshotBuffers().take(state())
    needed, got[:] = list(got), []
    buffers = SnapshotBuffers()
    buffers.prepare(state())

    assert_equal(buffers.take(state()), state())
    assert got == needed


def test_a_wrong_guess_costs_nothing_but_time() -> None:
    """A state that is not like the one that memory was got for is copied all the same."""
    buffers = SnapshotBuffers()
    buffers.prepare({"a": torch.zeros(1000), "b": torch.zeros(1000)})
    copied = buffers.take({"a": torch.ones(10)})

    assert_equal(copied, {"a": torch.ones(10)})
    assert buffers.size_bytes == 40


def test_what_is_copied_by_several_threads_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every byte of large and of odd tensors is there, however late another thread is."""

    def late_copy(pieces: Iterator[tuple[Any, Any]]) -> None:
        if threading.current_thread() is not threading.main_thread():
            pieces = iter([next(pieces)])
            time.sleep(0.1)
        copy(pieces)

    copy = checkpoint_copying._copy  # noqa: SLF001  what the threads run
    monkeypatch.setattr(checkpoint_copying, "_copy", late_copy)
    monkeypatch.setattr(checkpoint_copying, "_THREADS", 3)
    sizes = [20_000_001, 3, 7_000_003, 0, 1 << 20, (1 << 20) + 1]
    original = {str(size): torch.randint(1, 255, (size,), dtype=torch.uint8) for size in sizes}
    buffers = SnapshotBuffers()
    buffers.prepare(original)

    assert_equal(buffers.take(original), original)
