"""Names of the objects in the bucket (design 4); nobody else spells them."""

from datetime import date, datetime

JOBS = "jobs/"

INDEX = "index.html"
"""The page of all open jobs and the grids, made at each tick."""
OPEN_JOBS = "open/"
"""One small object for each job that still wants something; see `handlers.open_jobs`."""
PRICES = "prices.json"
"""The user's table of prices, if there is one; for all jobs."""


def job_folder(job_id: str) -> str:
    """Return the prefix of everything that belongs to a job."""
    return f"{JOBS}{job_id}/"


def open_job(job_id: str) -> str:
    """Return the name of what says that a job still wants something."""
    return f"{OPEN_JOBS}{job_id}"


def job(job_id: str) -> str:
    """Return the name of the job document."""
    return f"{job_folder(job_id)}job.json"


def source_folder(job_id: str) -> str:
    """Return the prefix of the user's files."""
    return f"{job_folder(job_id)}source/"


def plan(job_id: str, plan_id: str) -> str:
    """Return the name of a plan, which never changes once written."""
    return f"{job_folder(job_id)}plans/{plan_id}.json"


def state(job_id: str) -> str:
    """Return the name of the control plane's state of the job."""
    return f"{job_folder(job_id)}state.json"


def lease(job_id: str) -> str:
    """Return the name of the lease."""
    return f"{job_folder(job_id)}lease.json"


def progress(job_id: str) -> str:
    """Return the name of the progress document."""
    return f"{job_folder(job_id)}progress.json"


def metrics(job_id: str) -> str:
    """Return the name of the curve of the training's metrics, a CSV file."""
    return f"{job_folder(job_id)}metrics.csv"


def environment_folder(job_id: str) -> str:
    """Return the prefix of what a VM of the job installed, for its next VMs.

    `startup.sh` spells these three too: it runs before anything is installed.
    """
    return f"{job_folder(job_id)}environment/"


def environment_pointer(job_id: str) -> str:
    """Return the name of the text `DIGEST SHA256` that says which archive is whole."""
    return f"{environment_folder(job_id)}LATEST"


def environment_archive(job_id: str, digest: str, sha256: str) -> str:
    """Return the name of an archive, which never changes once written."""
    return f"{environment_folder(job_id)}{digest}-{sha256}.tar.gz"


def checkpoint_id(step: int, incarnation: int) -> str:
    """Return `<step>-<incarnation>`, zero-padded so that names sort by step."""
    return f"{step:010d}-{incarnation:06d}"


def checkpoints_folder(job_id: str) -> str:
    """Return the prefix of all checkpoints."""
    return f"{job_folder(job_id)}checkpoints/"


def checkpoint_folder(job_id: str, checkpoint: str) -> str:
    """Return the prefix of one checkpoint's files."""
    return f"{checkpoints_folder(job_id)}{checkpoint}/"


def manifest(job_id: str, checkpoint: str) -> str:
    """Return the name of a checkpoint's commit marker."""
    return f"{checkpoint_folder(job_id, checkpoint)}manifest.json"


def latest(job_id: str) -> str:
    """Return the name of the pointer to the latest checkpoint."""
    return f"{checkpoints_folder(job_id)}LATEST"


def ledger_folder(job_id: str) -> str:
    """Return the prefix of the job's ledger."""
    return f"{job_folder(job_id)}ledger/"


def ledger_entry(job_id: str, incarnation: int) -> str:
    """Return the name of what one incarnation's runtime reports."""
    return f"{ledger_folder(job_id)}{incarnation:06d}.json"


def vm_lifetime(job_id: str, incarnation: int) -> str:
    """Return the name of what the control plane saw of one incarnation's VM."""
    return f"{ledger_folder(job_id)}{incarnation:06d}-vm.json"


def receipt(job_id: str) -> str:
    """Return the name of the receipt."""
    return f"{job_folder(job_id)}receipt.json"


def report(job_id: str) -> str:
    """Return the name of the report."""
    return f"{job_folder(job_id)}report.html"


def intensity(grid_zone: str, day: date) -> str:
    """Return the name of one day of recorded intensity of a grid zone."""
    return f"intensity/{grid_zone}/{day:%Y-%m-%d}.json"


def forecast(origin: datetime) -> str:
    """Return the name of the forecast made at `origin`."""
    return f"forecasts/{origin:%Y-%m-%dT%H%MZ}.json"
