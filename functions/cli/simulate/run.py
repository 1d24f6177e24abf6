"""What the command does: read, forecast, replay, print, draw; behind bars on the error stream."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from forecaster.history import HistoryFileError
from forecaster.series import IntensityHistory
from functions.cli.quantities import regions_of
from functions.cli.simulate.jobs_file import Defaults, read_jobs
from functions.cli.simulate.picture import draw
from functions.cli.simulate.scene import How, Kind, Scene, make_scene
from functions.cli.simulate.show import as_json, print_json, print_table
from functions.cli.simulate.wanted import Study, WantedJob, one_a_day, study
from functions.domain.regions import REGIONS
from functions.domain.simulation.comparing import AFTERWARDS_H, compare, steps
from functions.domain.simulation.replay import Course
from functions.domain.simulation.summary import Summary, Way
from functions.errors import InvalidInputError
from functions.local.recorded import Record, read_record

START_MIN, MOVE_MIN = 3, 5
"""What a start and a move cost until a job's own figures are known (design, 5)."""
_DAYS = timedelta(days=30)
_LONGEST_DEADLINE = timedelta(hours=48)
"""Of the jobs of a study."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The options, checked one by one."""

    history: Path
    work_min: int
    deadline_min: int
    regions: tuple[str, ...]
    machine_type: str
    power_w: float
    forecast: Kind
    weights: Path | None
    every_h: int
    jobs: Path | None
    study: Study | None
    count: int
    seed: int
    begin: datetime | None
    end: datetime | None
    whole_hours: bool
    plot: Path | None
    json: bool


def run(asked: Asked) -> None:
    """Do what was asked.

    Raises:
        InvalidInputError: records, jobs or the picture's file are not what they should be.
    """
    console = Console(stderr=True)
    _check_picture(asked.plot)
    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("reading", total=None)
        record = _record(asked.history)
        wanted = _wanted(asked, record.histories)
        _check_whole_hours(asked, wanted)
        progress.update(task, total=1, completed=1)
        task = progress.add_task("forecasting", total=1.0)
        scene = _scene(asked, record, wanted, progress, task)
        progress.update(task, completed=1.0)
        total = steps(scene.batch)
        task = progress.add_task("replaying", total=total)
        summary, courses = compare(
            scene.world,
            scene.batch,
            means_before=scene.means_before,
            workers=os.cpu_count() or 1,
            on_step=lambda: progress.advance(task),
        )
        progress.update(task, completed=total)
    _show(asked, scene, summary, courses, record.attribution)


def _scene(
    asked: Asked, record: Record, wanted: list[WantedJob], progress: Progress, task: object
) -> Scene:
    how = How(
        kind=asked.forecast,
        every_h=asked.every_h,
        weights=asked.weights,
        machine_type=asked.machine_type,
        start_min=START_MIN,
        move_min=MOVE_MIN,
        whole_hours=asked.whole_hours,
    )
    return make_scene(
        record.histories,
        wanted,
        how,
        on_part=lambda part: progress.advance(task, part),  # type: ignore[arg-type]
    )


def _show(
    asked: Asked, scene: Scene, summary: Summary, courses: dict[Way, Course], source: str
) -> None:
    if asked.json:
        print_json(as_json(scene, summary, courses, source), Console())
    else:
        print_table(scene, summary, source, Console())
    if asked.plot is not None:
        draw(asked.plot, scene, summary, courses, source)
        Console(stderr=True).print(f"Wrote {asked.plot}")


def _check_picture(plot: Path | None) -> None:
    if plot is not None and plot.suffix not in {".png", ".html"}:
        raise InvalidInputError(f"--plot: expected a file .png or .html, found {str(plot)!r}")


def _check_whole_hours(asked: Asked, wanted: list[WantedJob]) -> None:
    odd = [job for job in wanted if job.work_min % 60 or job.deadline_min % 60]
    if asked.whole_hours and odd:
        raise InvalidInputError(
            f"--whole-hours: expected works and deadlines of full hours, found"
            f" {odd[0].work_min} and {odd[0].deadline_min} min in job {odd[0].job_id}."
        )


def _record(folder: Path) -> Record:
    try:
        return read_record(folder)
    except (HistoryFileError, OSError) as error:
        raise InvalidInputError(f"--history: {error}.") from error


def _wanted(asked: Asked, histories: Mapping[str, IntensityHistory]) -> list[WantedJob]:
    if asked.jobs is not None:
        return read_jobs(asked.jobs, Defaults(regions=asked.regions, power_w=asked.power_w))
    zones = [REGIONS[name].grid_zone for name in asked.regions]
    ends = [histories[zone].end for zone in zones if zone in histories]
    if not ends:
        raise InvalidInputError(
            f"--history: expected hours of some of {', '.join(zones)}, found none."
        )
    # Most regions end where the records end; one that ends earlier is left out later on.
    room = timedelta(minutes=asked.deadline_min) if asked.study is None else _LONGEST_DEADLINE
    last = max(ends) - room - timedelta(hours=AFTERWARDS_H + 1)
    end = min(asked.end or last, last)
    begin = asked.begin or end - _DAYS
    if begin >= end:
        raise InvalidInputError(
            f"--from, --to: expected a span that ends by {last:%Y-%m-%d %H:%M} UTC (the records end"
            f" {max(ends):%Y-%m-%d %H:%M}, and the last deadline and {AFTERWARDS_H} h are needed),"
            f" found {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}."
        )
    if asked.study is not None:
        recorded = [zone for zone, history in histories.items() if history.end >= max(ends)]
        regions = [n for n in _places(asked.study) if REGIONS[n].grid_zone in recorded]
        return study(
            asked.study,
            regions,
            begin,
            end,
            count=asked.count,
            power_w=asked.power_w,
            seed=asked.seed,
        )
    job = WantedJob(
        job_id="job",
        submitted_at=begin,
        work_min=asked.work_min,
        deadline_min=asked.deadline_min,
        regions=asked.regions,
        power_w=asked.power_w,
    )
    return one_a_day(job, end)


def _places(kind: Study) -> tuple[str, ...]:
    return regions_of("eu" if kind == "eu" else "all", of="--study")
