"""Reads a CSV file of jobs; what is wrong is named by row and column."""

import csv
from dataclasses import dataclass
from pathlib import Path

from functions.cli.quantities import hour_of, minutes_of, regions_of, watts_of
from functions.cli.simulate.wanted import WantedJob
from functions.errors import InvalidInputError

COLUMNS = "job_id", "submitted_at", "work", "deadline"
OPTIONAL = "regions", "power"


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What a row that does not say it itself takes."""

    regions: tuple[str, ...]
    power_w: float


def read_jobs(path: Path, defaults: Defaults) -> list[WantedJob]:
    """Return the jobs of a CSV file with a header.

    Columns: job_id, submitted_at (UTC), work and deadline (durations, 12h), and optional regions
    (`eu`, `all`, or some separated by spaces) and power (250W).

    Raises:
        InvalidInputError: the file cannot be read, or a cell is wrong; names row and column.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInputError(
            f"{path}: expected a CSV file of jobs, found none: {error}."
        ) from error
    header = [name.strip().lower() for name in rows[0]] if rows else []
    missing = [name for name in COLUMNS if name not in header]
    strange = [name for name in header if name not in COLUMNS + OPTIONAL]
    if missing or strange:
        raise InvalidInputError(
            f"{path}: expected the columns {', '.join(COLUMNS)} and perhaps {', '.join(OPTIONAL)};"
            f" missing: {', '.join(missing) or 'none'}, unknown: {', '.join(strange) or 'none'}."
        )
    jobs: list[WantedJob] = []
    seen: set[str] = set()
    for number, cells in enumerate(rows[1:], start=2):
        if not any(cell.strip() for cell in cells):
            continue
        job = _job(cells, header, defaults, place=f"{path} row {number}")
        if job.job_id in seen:
            raise InvalidInputError(
                f"{path} row {number}, column job_id: expected each once, found {job.job_id!r}"
                " again."
            )
        seen.add(job.job_id)
        jobs.append(job)
    if not jobs:
        raise InvalidInputError(f"{path}: expected a row for each job, found none.")
    return jobs


def _job(cells: list[str], header: list[str], defaults: Defaults, *, place: str) -> WantedJob:
    if len(cells) != len(header):
        raise InvalidInputError(f"{place}: expected {len(header)} cells, found {len(cells)}.")
    row = dict(zip(header, (cell.strip() for cell in cells), strict=True))

    def of(column: str) -> str:
        return f"{place}, column {column}"

    if not row["job_id"]:
        raise InvalidInputError(f"{of('job_id')}: expected a name, found nothing.")
    regions, power = row.get("regions"), row.get("power")
    return WantedJob(
        job_id=row["job_id"],
        submitted_at=hour_of(row["submitted_at"], of=of("submitted_at")),
        work_min=minutes_of(row["work"], of=of("work")),
        deadline_min=minutes_of(row["deadline"], of=of("deadline")),
        regions=regions_of(regions, of=of("regions")) if regions else defaults.regions,
        power_w=watts_of(power, of=of("power")) if power else defaults.power_w,
    )
