"""Processes that are killed, terminated or out of time: the next one goes on to the same bits."""

import json
import os
import random
import signal
from pathlib import Path
from typing import Any

import pytest
from forked_programs import final_state_in, run_program
from tiny_training import differences

FINISHED, MORE_TO_DO = 0, 75
SEED = int(os.environ.get("INTERRUPTIONS_SEED", "1"))
"""Set another one for other interruptions, and INTERRUPTIONS for more of them."""

WAYS = {
    "kill": -signal.SIGKILL,
    "kill at checkpoint": -signal.SIGKILL,
    "term": MORE_TO_DO,
    "twice": MORE_TO_DO,
    "until": MORE_TO_DO,
}

Stay = tuple[str, int, int]


def at_random(number: int) -> dict[str, Any]:
    """Return a scenario: how each process ends, after how many batches, with how many workers."""
    draws = random.Random(SEED * 1000 + number)
    stays: list[Stay] = [
        (draws.choice(sorted(WAYS)), draws.randint(1, 4), draws.choice([0, 0, 0, 2]))
        for _ in range(3)
    ]
    return {"name": f"random {number}", "stays": [*stays, ("", 0, 0), ("", 0, 0)]}


SCENARIOS: list[dict[str, Any]] = [
    {"name": "straight", "stays": [("", 0, 0)]},
    {"name": "terminated", "stays": [("term", 1, 0), ("twice", 3, 2), ("term", 2, 0), ("", 0, 0)]},
    {"name": "killed", "stays": [("kill", 9, 0), ("kill at checkpoint", 0, 0), ("", 0, 2)]},
    {"name": "out of time", "stays": [("until", 1, 0), ("", 0, 0)]},
    *[at_random(number) for number in range(int(os.environ.get("INTERRUPTIONS", "2")))],
]


class Results:
    """What the scenarios left behind."""

    def __init__(self, folder: Path, endings: dict[str, list[int]]) -> None:
        """Look into a folder."""
        self._folder, self.endings = folder, endings

    def state(self, name: str) -> dict[str, Any]:
        """Return a job's final state."""
        return final_state_in(self._folder / name)

    def seen(self, name: str) -> list[int]:
        """Return the samples trained on, in order, by all processes that could still say so."""
        text = (self._folder / f"{name}.seen").read_text()
        return [int(index) for index in text.split()]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """All scenarios, run once."""
    folder = tmp_path_factory.mktemp("interrupted")
    done = run_program("interrupted", folder, SCENARIOS)
    return Results(folder, json.loads(done.stdout))


@pytest.mark.parametrize("scenario", SCENARIOS[1:], ids=lambda scenario: scenario["name"])
def test_an_interrupted_training_ends_with_the_same_bits(
    results: Results, scenario: dict[str, Any]
) -> None:
    """Weights, optimizer, schedule, metrics and history, however its processes ended."""
    ended = results.endings[scenario["name"]]
    expected = [WAYS.get(how, FINISHED) for how, _, _ in scenario["stays"]]

    if not scenario["name"].startswith("random"):  # those may be done before their time
        assert ended == expected
    assert ended[-1] == FINISHED
    assert differences(results.state("straight"), results.state(scenario["name"])) == []


def test_a_terminated_training_sees_each_sample_once(results: Results) -> None:
    """In the straight run's order: nothing is lost or repeated by a signal."""
    assert results.seen("terminated") == results.seen("straight")
