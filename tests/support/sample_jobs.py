"""Jobs for the simulated world."""

from dataclasses import replace
from datetime import timedelta

from simulated_clock import START
from simulated_guest import STEP_S

from vm_runtime.contract.job import Job

WORK_H = 5.0
REGIONS = ("europe-west3", "europe-west9", "europe-north1", "europe-southwest1", "europe-west2")


SHORT = {"work_h": 2.0, "deadline": START + timedelta(hours=8)}
"""A job that is soon over, where many runs are made."""


def job(job_id: str = "digits", **changes: object) -> Job:
    """Return a job of 5 h with 30 h to do it in."""
    plain = Job(
        job_id=job_id,
        machine_type="e2-standard-8",
        power_w=250,
        allowed_regions=REGIONS,
        submitted_at=START,
        work_h=WORK_H,
        deadline=START + timedelta(hours=30),
    )
    return replace(plain, **changes)


def steps_of(each: Job) -> int:
    """Return how many steps the job's work is."""
    return int((each.work_h or 0) * 3600 / STEP_S)
