"""The demo's own decisions; the whole demo is run by the end-to-end tests."""

import io
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from sample_job import START, WEIGHTS, finished_job, running_job, sample_plan
from typer.testing import CliRunner

from forecaster.series import IntensityHistory
from functions.cli import app
from functions.cli.demo.ending import ending, is_proven, proof_line
from functions.cli.demo.pace import LONGEST_WORK_H, SPEED, pace_of
from functions.cli.demo.saved import DemoFolder, DemoState
from functions.cli.demo.scenario import FEWEST_REGIONS, REGION_NAMES, demo_job, within
from functions.cli.demo.screen import Screen
from functions.cli.demo.trouble import has_left, region_of_vm, stays_in_one_region, victim
from functions.domain.lifecycle.state import Phase
from functions.domain.regions import REGIONS, check_job
from functions.errors import InvalidInputError
from functions.report.documents import JobDocuments
from functions.report.story import story
from vm_runtime.contract.progress import RunState

STATE = DemoState(
    history=None, seed=0, weights_sha256=WEIGHTS, steps=480, train_s=20.0, regions=REGION_NAMES
)


@pytest.mark.parametrize("train_s", [2.0, 20.0, 36.0, 200.0])
def test_pace_leaves_processes_time(train_s: float) -> None:
    """However long the training takes, waits are seconds for processes, and the job fits."""
    pace = pace_of(train_s)
    assert pace.speed <= SPEED
    assert pace.work_h <= LONGEST_WORK_H + 0.01
    assert pace.work_h * 3600 / pace.speed >= train_s
    assert pace.timing.lease_ttl_s / pace.speed >= 3.9
    assert pace.timing.silence_s > pace.timing.lease_ttl_s
    check_job(demo_job(START, REGION_NAMES, pace))


def test_demo_may_use_at_least_four_regions_with_different_grids() -> None:
    """The demo has a choice to make."""
    assert len({REGIONS[name].grid_zone for name in REGION_NAMES}) >= FEWEST_REGIONS


def test_history_decides_start_and_regions(tmp_path: Path) -> None:
    """The demo starts some days before the records end, in the regions that have some."""
    recorded = {
        zone: IntensityHistory(
            grid_zone=zone,
            start=datetime(2022 if zone == "IT-NO" else 2024, 1, 1, tzinfo=UTC),
            gco2eq_per_kwh=np.full(hours, 100.0, dtype=np.float32),
        )
        for zone, hours in (("DE", 500), ("ES", 480), ("GB", 500), ("NL", 500), ("IT-NO", 10))
    }
    start, regions = within(recorded, tmp_path)
    assert regions == ("europe-west3", "europe-southwest1", "europe-west2", "europe-west4")
    end = recorded["ES"].end
    assert end - timedelta(days=4) < start < end - timedelta(days=2)
    del recorded["NL"], recorded["IT-NO"]
    with pytest.raises(InvalidInputError, match="at least 4 of the grid zones"):
        within(recorded, tmp_path)


def training(share: float, *, committed: int, last: int) -> JobDocuments:
    """Return the running job with its second VM as far as given."""
    documents = running_job()
    assert documents.progress
    newest = replace(documents.ledger[1], committed_step=committed, last_step=last)
    return replace(
        documents,
        progress=replace(documents.progress, steps_done=int(480 * share)),
        ledger=(documents.ledger[0], newest),
        latest=replace(finished_latest(), step=committed, finished=False),
    )


def finished_latest():  # noqa: ANN201 - the contract's Latest
    """Return a pointer to change."""
    latest = finished_job().latest
    assert latest
    return latest


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        (training(0.2, committed=90, last=96), "ss-digits-2"),
        (training(0.2, committed=96, last=96), None),
        (training(0.3, committed=144, last=144), "ss-digits-2"),
        (training(0.05, committed=10, last=24), None),
        (training(0.8, committed=300, last=380), None),
        (replace(running_job(), progress=None), None),
        (finished_job(), None),
    ],
    ids=["loses steps", "loses none yet", "waited", "too early", "too late", "no VM", "finished"],
)
def test_vm_is_preempted_in_mid_training(documents: JobDocuments, expected: str | None) -> None:
    """The victim trains, is neither at the begin nor near the end, and loses steps if it can."""
    assert victim(documents) == expected


def test_waiting_vm_is_no_victim() -> None:
    """A VM that does not train cannot show a loss."""
    documents = training(0.2, committed=90, last=96)
    assert documents.progress
    waiting = replace(documents.progress, state=RunState.WAITING)
    assert victim(replace(documents, progress=waiting)) is None


def test_move_is_forced_only_where_the_plan_has_none() -> None:
    """A plan that moves by itself is left alone."""
    documents = running_job()
    assert not stays_in_one_region(documents)
    plan = sample_plan()
    stay = replace(documents, plans=(replace(plan, intervals=plan.intervals[:1]),))
    assert stays_in_one_region(stay)
    assert region_of_vm(stay) == "europe-west9"


def test_full_region_is_opened_again_once_the_job_trains_elsewhere() -> None:
    """The stock-out ends when it has done its work."""
    documents = finished_job()
    assert has_left(documents, "europe-west9")
    assert not has_left(documents, "europe-southwest1")


def test_proof_needs_equal_weights_of_a_finished_job() -> None:
    """Nothing but the very same digest of a finished job is a proof."""
    documents = finished_job()
    assert is_proven(documents, STATE)
    assert "bit for bit" in proof_line(documents, STATE)
    other = replace(STATE, weights_sha256="cd" * 32)
    assert not is_proven(documents, other)
    assert proof_line(documents, other).startswith("DIFFERENT")
    assert documents.state
    failed = replace(documents, state=replace(documents.state, phase=Phase.FAILED))
    assert not is_proven(failed, STATE)
    assert proof_line(replace(running_job(), manifest=None), STATE).startswith("No proof")


@pytest.mark.parametrize(("weights", "code"), [(WEIGHTS, 0), ("cd" * 32, 1)])
def test_ending_prints_receipt_proof_and_report(tmp_path: Path, weights: str, code: int) -> None:
    """The last lines are receipt, saving, proof and where the report is; the code says it too."""
    pytest.importorskip("plotly", reason="the report needs the extra `demo`")
    folder = DemoFolder(tmp_path)
    folder.cloud.mkdir()
    folder.save(replace(STATE, weights_sha256=weights))
    file = io.StringIO()
    console = Console(file=file, width=80)
    assert ending(console, finished_job(), folder) == code
    text = file.getvalue()
    assert "run now, here" in text
    assert "197 g less (-74 %)" in text
    assert WEIGHTS in text
    assert str(folder.report) in text
    assert "\x1b" not in text
    assert folder.report.exists()


def test_folder_of_others_is_not_deleted(tmp_path: Path) -> None:
    """Only a demo's own folder is made empty."""
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(InvalidInputError, match="Choose another folder"):
        DemoFolder(tmp_path).prepare()
    assert (tmp_path / "thesis.tex").exists()


def test_earlier_demo_is_replaced(tmp_path: Path) -> None:
    """A new demo starts from nothing."""
    folder = DemoFolder(tmp_path / "demo")
    folder.prepare()
    folder.save(STATE)
    folder.prepare()
    assert list(folder.path.iterdir()) == []


def test_demo_remembers_itself(tmp_path: Path) -> None:
    """What was saved is what a resumed demo goes on with."""
    folder = DemoFolder(tmp_path)
    folder.cloud.mkdir()
    folder.save(replace(STATE, preempted=True, full_region="europe-west9"))
    assert folder.load() == replace(STATE, preempted=True, full_region="europe-west9")


def test_nothing_to_resume_is_an_expected_error(tmp_path: Path) -> None:
    """`--resume` without an earlier demo says what to do."""
    pytest.importorskip("plotly", reason="the report needs the extra `demo`")
    done = CliRunner().invoke(app, ["demo", "--resume", "--folder", str(tmp_path / "no")])
    assert done.exit_code == 2
    assert "Run it without --resume" in done.stderr


@pytest.fixture
def lines() -> Callable[..., list[str]]:
    """Return how to get the lines that a demo without a terminal prints."""

    def collect(*moments: JobDocuments) -> list[str]:
        file = io.StringIO()
        console = Console(file=file, width=80)
        with Screen(console, live=True, speed=600, note="") as screen:
            for documents in moments:
                screen.show(documents, story(documents))
        assert "\x1b" not in file.getvalue()
        return file.getvalue().splitlines()

    return collect


def test_without_terminal_each_event_is_one_line(lines: Callable[..., list[str]]) -> None:
    """A log file gets each event once, and progress now and then."""
    told = lines(running_job(), running_job(), finished_job())
    assert told[0].startswith("SmartScheduler · Mon 2025-06-02 09:12 UTC")
    assert sum("gone without notice" in line for line in told) == 1
    assert sum("job finished" in line for line in told) == 1
    assert sum("steps 190 of 480 in FR" in line for line in told) == 1
