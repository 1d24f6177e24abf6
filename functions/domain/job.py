"""What is left of a job, from what its VM reports."""

from vm_runtime.contract.job import Job
from vm_runtime.contract.progress import Progress, RunState


def work_left_h(job: Job, progress: Progress | None) -> float | None:
    """Return the compute time that the job still needs, hours; `None`: not known.

    The job's own speed counts most, then the declared work less the fraction done, then the
    declared work. Only a finished job has nothing left: one that did its last step but died
    before it said so must be started once more, or it would never end.
    """
    if progress is None:
        return job.work_h
    if progress.state is RunState.FINISHED:
        return 0.0
    if not progress.steps_total:
        return job.work_h
    steps_left = max(progress.steps_total - progress.steps_done, 1)
    if progress.seconds_per_step is not None:
        return steps_left * progress.seconds_per_step / 3600
    return None if job.work_h is None else job.work_h * steps_left / progress.steps_total
