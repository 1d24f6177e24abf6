"""The demo's job: what it trains, where it may run, and when it starts."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from forecaster.history import HistoryFileError, load_folder
from forecaster.series import IntensityHistory
from functions.cli.demo.pace import Pace
from functions.domain.regions import REGIONS
from functions.errors import InvalidInputError
from vm_runtime.contract.job import Job

JOB_ID = "digits"
SCRIPT = "digits.py"
ARGS = ("--epochs", "30")
ROOM_H = 16.0
"""From submission to deadline, hours."""
POWER_W = 250.0
REGION_NAMES = (
    "europe-west3",
    "europe-southwest1",
    "europe-west2",
    "europe-west4",
    "europe-west1",
    "europe-west8",
)
"""Sun in one, wind in the other: their cleanest hours differ. The first one is `here`."""
FEWEST_REGIONS = 4

WARM_UP = timedelta(hours=0.5)
"""The cloud starts so long before the job is submitted."""

SIMULATED_START = datetime(2025, 5, 22, 5, tzinfo=UTC)
_BEFORE_END = timedelta(days=3)
_RECENT = timedelta(days=30)
_START_HOUR = 5


def demo_job(now: datetime, regions: tuple[str, ...], pace: Pace) -> Job:
    """Return the job, submitted at `now`."""
    return Job(
        job_id=JOB_ID,
        machine_type="e2-standard-8",
        power_w=POWER_W,
        allowed_regions=regions,
        submitted_at=now,
        script=SCRIPT,
        args=ARGS,
        work_h=pace.work_h,
        deadline=now + timedelta(hours=ROOM_H),
        start_overhead_s=pace.start_overhead_s,
        move_overhead_s=pace.start_overhead_s,
    )


def start_and_regions(history: Path | None) -> tuple[datetime, tuple[str, ...]]:
    """Return when the demo starts and where its job may run.

    Raises:
        InvalidInputError: the folder cannot be read, or has too few of the regions.
    """
    if history is None:
        return SIMULATED_START, REGION_NAMES
    try:
        return within(load_folder(history), history)
    except (HistoryFileError, OSError) as error:
        raise InvalidInputError(f"--history: {error}") from error


def within(
    recorded: Mapping[str, IntensityHistory], folder: Path
) -> tuple[datetime, tuple[str, ...]]:
    """Return a start some days before the records end, and the regions that have records then.

    Raises:
        InvalidInputError: fewer than four regions have.
    """
    ends = {
        name: recorded[REGIONS[name].grid_zone].end
        for name in REGION_NAMES
        if REGIONS[name].grid_zone in recorded
    }
    if len(ends) < FEWEST_REGIONS:
        wanted = ", ".join(REGIONS[name].grid_zone for name in REGION_NAMES)
        raise InvalidInputError(
            f"--history {folder}: expected at least {FEWEST_REGIONS} of the grid zones {wanted},"
            f" found {', '.join(sorted(recorded)) or 'none'}. Add their files."
        )
    # One grid whose records end years before the others' must not decide the date.
    recent = {name: end for name, end in ends.items() if max(ends.values()) - end < _RECENT}
    ends = recent if len(recent) >= FEWEST_REGIONS else ends
    start = (min(ends.values()) - _BEFORE_END).replace(hour=_START_HOUR)
    return start, tuple(ends)
