"""The jobs that are to be replayed: one a day, a file of them, or a seeded study. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import numpy as np

from forecaster.series import HOUR

Study = Literal["own", "eu", "all"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedJob:
    """One job, as a person describes it."""

    job_id: str
    submitted_at: datetime
    """A full hour: plans are made at full hours."""
    work_min: int
    deadline_min: int
    """From submission."""
    regions: tuple[str, ...]
    """The first is "here"."""
    power_w: float


def one_a_day(job: WantedJob, until: datetime) -> list[WantedJob]:
    """Return `job`, submitted each day at the same hour until before `until`."""
    days = max((until - job.submitted_at) // timedelta(days=1), 1)
    return [
        WantedJob(
            job_id=f"{job.job_id}-{day + 1}",
            submitted_at=job.submitted_at + timedelta(days=day),
            work_min=job.work_min,
            deadline_min=job.deadline_min,
            regions=job.regions,
            power_w=job.power_w,
        )
        for day in range(days)
    ]


def study(  # noqa: PLR0913 - what is drawn from
    kind: Study,
    regions: Sequence[str],
    begin: datetime,
    end: datetime,
    *,
    count: int,
    power_w: float,
    seed: int,
) -> list[WantedJob]:
    """Draw jobs: 4 to 24 h of work, a deadline after 24 to 48 h with an hour to spare.

    Args:
        kind: `own`: the same jobs in each of the regions, kept there; else free in all of them.
        regions: where.
        begin: earliest submission, a full hour.
        end: before the latest submission.
        count: jobs (per region if `own`).
        power_w: of each.
        seed: same seed, same jobs.
    """
    rng = np.random.default_rng(seed)
    deadlines = rng.integers(24, 49, count)
    works = rng.integers(4, np.minimum(24, deadlines - 1) + 1)
    hours = rng.integers(0, max((end - begin) // HOUR, 1), count)
    places = [(name,) for name in regions] if kind == "own" else [tuple(regions)]
    return [
        WantedJob(
            job_id=f"{kind}-{index + 1}" if kind != "own" else f"{where[0]}-{index + 1}",
            submitted_at=begin + int(hours[index]) * HOUR,
            work_min=60 * int(works[index]),
            deadline_min=60 * int(deadlines[index]),
            regions=where,
            power_w=power_w,
        )
        for where in places
        for index in range(count)
    ]
