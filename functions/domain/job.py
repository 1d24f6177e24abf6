"""What is left of a job, from what its VM reports."""

from vm_runtime.contract.job import Job
from vm_runtime.contract.progress import Progress, RunState


def work_left_h(job: Job, progress: Progress | None) -> float | None:
    """Return the compute time that the job still needs, hours; `None`: not known.

    The job's own speed counts most, then the declared work less the fraction done, then the
    declared work.
    """
    if progress is None:
        return job.work_h
    if progress.state is RunState.FINISHED:
        return 0.0
    steps_left = steps_left_of(progress)
    if steps_left is None:
        return job.work_h
    if steps_left == 0:
        return 0.0
    if progress.seconds_per_step is not None:
        return steps_left * progress.seconds_per_step / 3600
    if job.work_h is None or not progress.steps_total:
        return None
    return job.work_h * steps_left / progress.steps_total


def steps_left_of(progress: Progress) -> int | None:
    """Return the optimizer steps still to do, `None` if the total is not known yet."""
    if progress.steps_total is None:
        return None
    return max(progress.steps_total - progress.steps_done, 0)
