"""`smartscheduler list`: all jobs of a bucket."""

from rich.console import Console
from rich.table import Table

from functions.cli.options import BucketOption
from functions.cli.reading import job_ids
from functions.domain.lifecycle.state import JobState
from functions.handlers.documents import Documents
from functions.report.summary import steps_text
from vm_runtime.contract import object_names as names
from vm_runtime.contract.progress import Progress
from vm_runtime.storage import open_store
from vm_runtime.storage.port import BlobStore


def list_jobs(bucket: BucketOption) -> None:
    """List the jobs in the bucket with their phase and progress."""
    Console(highlight=False).print(jobs_table(open_store(bucket)))


def jobs_table(store: BlobStore) -> Table:
    """Return one row for each job."""
    documents = Documents(store)
    table = Table("job", "phase", "steps", "message", box=None, pad_edge=False)
    for job_id in job_ids(store):
        state = documents.peek(JobState, names.state(job_id))
        progress = documents.peek(Progress, names.progress(job_id))
        steps = steps_text(progress.steps_done, progress.steps_total) if progress else "none yet"
        phase, message = (state.phase.value, state.message) if state else ("not planned yet", "")
        table.add_row(job_id, phase, steps, message)
    return table
