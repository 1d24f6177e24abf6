"""Schedules of faults, in which every promise must hold; replayable from a seed."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from soak.faults import Fault, Kind
from soak.schedule import draw
from soak.world import live

SCHEDULES = int(os.environ.get("SOAK_SCHEDULES", "2000"))
PARTS = 4
"""Test items, so that all workers of a test run take part; each begins with slow imports."""
SUPPORT = Path(__file__).parents[1] / "support"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m soak` as the Makefile does."""
    root = SUPPORT.parents[1]
    environment = {
        **os.environ,
        "PYTHONPATH": f"{root}{os.pathsep}{SUPPORT}",
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "soak", *arguments],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("part", range(PARTS))
def test_no_schedule_breaks_a_promise(part: int) -> None:
    """Promises 1 to 4, whatever goes wrong; nearly all jobs finish."""
    seeds = range(SCHEDULES * part // PARTS, SCHEDULES * (part + 1) // PARTS)

    said = run("--schedules", str(len(seeds)), "--seed", str(seeds.start), "--jobs", "1")

    assert said.returncode == 0, said.stdout + said.stderr
    assert said.stdout.splitlines()[-1] == f"soak: {len(seeds)} schedules, 0 violations"


def test_a_seed_gives_the_same_story_each_time() -> None:
    """Or no counter-example could be replayed."""
    assert live(draw(3)) == live(draw(3))
    assert live(draw(3)).story == live(draw(3)).story
    assert live(draw(3)).story != live(draw(4)).story


def test_without_faults_all_jobs_finish() -> None:
    """What the faults are measured against."""
    for seed in range(5):
        result = live(replace(draw(seed), faults=()))
        assert (result.violation, set(result.phases)) == ("", {"finished"})
        assert any("LATEST is" in line for line in result.story)


def test_some_stopped_vms_are_started_again() -> None:
    """Else nothing here would try to break that."""
    stories = (live(draw(seed)).story for seed in range(30))
    assert any("control plane: start ss-" in line for story in stories for line in story)


def test_a_fault_is_a_line_that_can_be_read() -> None:
    """A counter-example is a story of such lines."""
    fault = Fault(kind=Kind.STOCK_OUT, at_s=3723, for_s=1800, place="europe-west3")

    assert str(fault) == "0d 01:02:03.0 no capacity in europe-west3 for 30 min"
