"""Writes a job file and a training script that run, for a person to go on from."""

import json
import re
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import typer

from functions.cli.jobfile import read_job
from functions.domain.regions import REGIONS
from functions.errors import InvalidInputError
from functions.near_name import did_you_mean

DEFAULT_REGIONS = "europe-west3", "europe-southwest1", "europe-west4", "europe-north1"
JOB_FILE, SCRIPT = "job.json", "train.py"
_TEMPLATE = Path(__file__).parents[2] / "vm_runtime" / "examples" / "spirals.py"
_LONGEST_ID = 40
_POWER_W = 100.0
"""Of an e2-standard-4 at work, with its share of the machine: an assumption to be corrected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The options."""

    job_id: str | None
    regions: tuple[str, ...]
    work_h: float
    deadline_h: float


def write_start(folder: Path, wanted: Wanted, *, force: bool) -> None:
    """Write both files, both or none, and say what to do with them.

    Raises:
        InvalidInputError: an option is wrong, files are there and nobody can be asked, or the
            folder cannot be written.
        Abort: the person said no.
    """
    texts = {JOB_FILE: _job_text(folder, wanted), SCRIPT: _TEMPLATE.read_text(encoding="utf-8")}
    _check_free([folder / name for name in texts if (folder / name).exists()], force=force)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInputError(
            f"{folder}: expected a folder to write to, found {error.strerror}. Choose another."
        ) from error
    read_job(folder / JOB_FILE, datetime.now(UTC))
    job, script = folder / JOB_FILE, folder / SCRIPT
    typer.echo(f"Wrote {job} and {script}. Now:")
    typer.echo(f"  python {script}    # trains here, a few seconds")
    typer.echo(f"  smartscheduler submit {job} --check")
    typer.echo(f"  smartscheduler submit {job}    # once there is a deployment: docs/deploy.md")
    typer.echo(f"power_w and work_h in {job} are assumptions: put in what you know.")


def _check_free(there: list[Path], *, force: bool) -> None:
    if not there or force:
        return
    names = ", ".join(map(str, there))
    if not sys.stdin.isatty():
        raise InvalidInputError(
            f"init: expected no {names}, found them. Choose another folder, or --force to"
            " overwrite them."
        )
    typer.confirm(f"Overwrite {names}?", abort=True)


def _job_text(folder: Path, wanted: Wanted) -> str:
    for name in wanted.regions:
        if name not in REGIONS:
            raise InvalidInputError(
                f"--region: found unknown {name!r}{did_you_mean(name, REGIONS)}, expected some of"
                f" {', '.join(REGIONS)}."
            )
    deadline = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=wanted.deadline_h)
    job = {
        "job_id": wanted.job_id or _id_of(folder),
        "machine_type": "e2-standard-4",
        "power_w": _POWER_W,
        "allowed_regions": list(dict.fromkeys(wanted.regions)) or list(DEFAULT_REGIONS),
        "work_h": wanted.work_h,
        "deadline": deadline.isoformat().replace("+00:00", "Z"),
        "script": SCRIPT,
    }
    return json.dumps(job, indent=2) + "\n"


def _id_of(folder: Path) -> str:
    """Return the folder's name as an id: lower case, digits and dashes, a letter first."""
    name = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-")
    name = re.sub(r"^[^a-z]+", "", name)[:_LONGEST_ID].rstrip("-")
    return name or "my-job"
