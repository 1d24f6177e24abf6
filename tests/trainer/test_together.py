"""Several processes train as one: stopped and resumed to the same bits, each sample once."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from forked_programs import final_state_in, run_program
from tiny_training import differences

SCENARIOS: list[dict[str, Any]] = [
    {"name": "four", "size": 4, "stops": []},
    {"name": "four stopped", "size": 4, "stops": [1, 4], "num_workers": 1},
    {"name": "gathering", "size": 2, "stops": [], "accumulate": 2},
    {"name": "gathering stopped", "size": 2, "stops": [1, 3], "accumulate": 2},
    # Without what draws or averages within a process, only rounding tells sizes apart.
    {"name": "one", "size": 1, "stops": [], "length": 22, "batch_norm": False, "dropout": 0.0},
    {
        "name": "one two four",
        "size": 1,
        "sizes": [4, 1, 2],
        "stops": [2, 3],
        "length": 22,
        "batch_norm": False,
        "dropout": 0.0,
    },
    {"name": "fails", "size": 2, "stops": [], "fails_at": 1},
]


class Results:
    """What came out of the scenarios."""

    def __init__(self, folder: Path, errors: str) -> None:
        """Look into a folder."""
        self.folder, self.errors = folder, errors

    def state(self, name: str) -> dict[str, Any]:
        """Return a scenario's final state."""
        return final_state_in(self.folder / name)

    def seen(self, name: str, rank: int) -> list[list[int]]:
        """Return the samples that a process saw, by batch, over all its stays."""
        path = self.folder / f"{name}-{rank}.json"
        if not path.exists():
            return []
        return [batch for line in path.read_text().splitlines() for batch in json.loads(line)]

    def stays(self, name: str) -> list[list[Any]]:
        """Return how each stay ended."""
        lines = (self.folder / f"{name}.log").read_text().splitlines()
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """All scenarios, run once."""
    folder = tmp_path_factory.mktemp("together")
    done = run_program("together", folder, SCENARIOS)
    return Results(folder, done.stderr)


def joined(parts: Iterable[list[int]]) -> list[int]:
    """Return the parts one after the other."""
    return [index for part in parts for index in part]


@pytest.mark.parametrize("name", ["four", "gathering"])
def test_stops_change_no_bit(results: Results, name: str) -> None:
    """Of weights, buffers, optimizer, schedule, metrics and history, with 2 and 4 processes."""
    stays = results.stays(f"{name} stopped")

    assert len(stays) > 2
    assert all(reason == "signal" for _, finished, reason in stays if not finished)
    assert differences(results.state(name), results.state(f"{name} stopped")) == []
    size = 4 if name == "four" else 2
    for rank in range(size):
        assert results.seen(name, rank) == results.seen(f"{name} stopped", rank)


def test_all_processes_stop_between_the_same_optimizer_steps(results: Results) -> None:
    """A stop within the gathering of gradients waits for the step: nothing of it is lost."""
    steps = [step for step, _, _ in results.stays("gathering stopped")]

    assert steps == [1, 2, 4]
    assert [len(batch) for batch in results.seen("gathering stopped", 1)] == [4] * 6


def test_each_sample_is_seen_once_by_one_process(results: Results) -> None:
    """The parts of a batch, put together, are the batch of a single process."""
    parts = [results.seen("four", rank) for rank in range(4)]
    batches = [joined(part[number] for part in parts) for number in range(6)]

    assert sorted(joined(batches[:3])) == list(range(24))
    assert sorted(joined(batches[3:])) == list(range(24))
    assert all(len(batch) == 8 for batch in batches)


def test_another_number_of_processes_keeps_batches_and_their_order(results: Results) -> None:
    """Four, then one, then two processes: the same batches, and the weights but for rounding."""
    parts = [results.seen("one two four", rank) for rank in range(4)]
    first, last = parts[0], parts[1]
    stays = results.stays("one two four")
    assert [step for step, _, _ in stays] == [2, 3, 6]
    four = [joined(part[number] for part in parts) for number in range(2)]
    alone = first[2:3]
    two = [first[3 + n] + last[2 + n] for n in range(3)]
    whole = results.seen("one", 0)

    assert [*four, *alone, *two] == whole
    left, right = results.state("one"), results.state("one two four")
    for name, value in left["model"].items():
        assert torch.allclose(value, right["model"][name], rtol=1e-4, atol=1e-6), name
    for one, other in zip(left["history"], right["history"], strict=True):
        assert one == pytest.approx(other, rel=1e-4)


def test_a_process_that_fails_ends_the_others_with_a_clear_error(results: Results) -> None:
    """Nobody waits for ever, and the message says whose fault it is."""
    assert not (results.folder / "fails.log").exists()
    assert "expected 2 processes to train together, found that" in results.errors
    assert "(exit code 1) ended" in results.errors
