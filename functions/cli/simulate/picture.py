"""Pictures of a replay: intensity of the candidate zones, the chosen path, the savings."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from functions.cli.simulate.scene import Scene
from functions.cli.simulate.show import facts
from functions.domain.simulation.hourly import PAUSE
from functions.domain.simulation.replay import Course
from functions.domain.simulation.summary import Summary, Way
from functions.errors import InvalidInputError

# Paul Tol's muted scheme: told apart without colour vision too.
COLOURS = (
    "#332288", "#88CCEE", "#44AA99", "#117733", "#999933", "#DDCC77", "#CC6677",
    "#882255", "#AA4499", "#777777", "#4477AA", "#EE7733", "#000000",
)  # fmt: skip
PLAN_COLOUR, OTHER_COLOUR = "#117733", "#999999"
LOG_FROM = 4
"""So many times as clean as another place: then the axis of intensity is logarithmic."""


def draw(
    file: Path, scene: Scene, summary: Summary, courses: dict[Way, Course], source: str
) -> None:
    """Draw the job with the median saving, and the savings of all jobs, as PNG or HTML.

    Raises:
        InvalidInputError: matplotlib or plotly is missing, or the file cannot be written.
    """
    try:
        if file.suffix == ".png":
            from functions.cli.simulate.png import write_png  # noqa: PLC0415 - needs matplotlib

            write_png(file, shown(scene, courses), summary, caption(scene, source))
        else:
            from functions.cli.simulate.page import write_page  # noqa: PLC0415 - needs plotly

            write_page(file, shown(scene, courses), summary, caption(scene, source))
    except ModuleNotFoundError as error:
        raise InvalidInputError(
            f"--plot: expected {error.name} to be installed, found it missing. Install"
            " smartscheduler[forecaster,demo]."
        ) from error
    except OSError as error:
        raise InvalidInputError(
            f"--plot: expected a place to write {file} to, found {error.strerror}."
        ) from error


def caption(scene: Scene, source: str) -> str:
    """Return what must stand below every picture."""
    said = facts(scene, source)
    return f"{said['basis']}. Source: {source}. Baseline: {said['baseline']}. {scene.notes[0]}."


def shown(scene: Scene, courses: dict[Way, Course]) -> dict[str, Any]:
    """Return the hours of the job whose saving is the median one, for drawing."""
    now, plan = courses[Way.NOW], courses[Way.PLAN]
    saved = 1 - plan.emissions_gco2eq / np.maximum(now.emissions_gco2eq, 1e-9)
    job = int(np.argsort(saved, kind="stable")[len(saved) // 2])
    wanted = scene.jobs[job]
    hours = -(-wanted.deadline_min // 60)
    begin = int(scene.batch.submitted_h[job])
    zones = list(dict.fromkeys(int(zone) for zone in scene.batch.places[job]))
    path = plan.path[job][:hours]
    return {
        "job_id": wanted.job_id,
        "saved": float(saved[job]),
        "times": [wanted.submitted_at + timedelta(hours=hour) for hour in range(hours)],
        "lines": {
            scene.world.grid_zones[zone]: scene.world.actual[zone, begin : begin + hours]
            for zone in zones
        },
        "spans": [tuple(span) for span in plan.spans_min[job][:hours].tolist()],
        "path": [None if zone == PAUSE else scene.world.grid_zones[int(zone)] for zone in path],
        "title": (
            f"{wanted.job_id}: {wanted.work_min / 60:g} h of work, deadline after"
            f" {wanted.deadline_min / 60:g} h, from {wanted.submitted_at:%Y-%m-%d %H:%M} UTC"
        ),
    }


def runs_in(zone: str, hours: dict[str, Any]) -> list[tuple[tuple[datetime, datetime], float]]:
    """Return when the plan ran in `zone`, by the minute, and the intensity then, hour by hour."""
    facts_of = zip(hours["times"], hours["path"], hours["spans"], hours["lines"][zone], strict=True)
    return [
        ((time + timedelta(minutes=begin), time + timedelta(minutes=end)), float(value))
        for time, place, (begin, end), value in facts_of
        if place == zone
    ]
