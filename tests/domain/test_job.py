"""What is left of a job."""

from typing import Any

import pytest
from planning_world import ORIGIN, job_of
from sample_jobs import job

from functions.domain.job import work_left_h
from functions.domain.plan.terms import Dues
from vm_runtime.contract.job import KeepDisk, Overheads
from vm_runtime.contract.progress import Progress, RunState


def _progress(state: RunState = RunState.TRAINING, **fields: Any) -> Progress:  # noqa: ANN401
    return Progress(
        job_id="digits", vm="ss-digits-1", incarnation=1, state=state, heartbeat_at=ORIGIN, **fields
    )


@pytest.mark.parametrize(
    ("progress", "expected_h"),
    [
        (None, 4.0),
        (_progress(), 4.0),
        (_progress(steps_done=25, steps_total=100), 3.0),
        (_progress(steps_done=25, steps_total=100, seconds_per_step=36.0), 0.75),
        (_progress(RunState.FINISHED, steps_done=100, steps_total=100), 0.0),
    ],
)
def test_own_speed_counts_before_declared_work(
    progress: Progress | None, expected_h: float
) -> None:
    """Work left is measured if it can be, else declared work less the fraction done."""
    assert work_left_h(job_of(), progress) == pytest.approx(expected_h)


def test_a_job_that_is_not_finished_has_work_left() -> None:
    """A VM that died between its last step and its last word must be started again."""
    progress = _progress(RunState.STOPPED, steps_done=100, steps_total=100, seconds_per_step=3.6)
    assert work_left_h(job_of(), progress) == pytest.approx(0.001)


def test_unknown_work_stays_unknown() -> None:
    """Without declared work or speed there is no figure."""
    job = job_of(work_h=None)
    assert work_left_h(job, None) is None
    assert work_left_h(job, _progress(steps_done=5, steps_total=10)) is None


@pytest.mark.parametrize("overheads", [None, Overheads()])
def test_a_data_disk_makes_a_move_longer_and_nothing_else(overheads: Overheads | None) -> None:
    """The planner moves a job with `keep_disk` only if that pays with the disk."""
    plain = Dues.of(job(overheads=overheads)).overheads
    kept = Dues.of(job(overheads=overheads, keep_disk=KeepDisk(size_gb=10, move_s=600))).overheads

    assert kept.move_min == plain.move_min + 10
    assert kept.start_min == plain.start_min
