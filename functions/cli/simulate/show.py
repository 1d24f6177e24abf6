"""What `simulate` prints: a table for people, JSON for programs."""

import json
import math
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from functions.cli.simulate.scene import Scene
from functions.domain.simulation.replay import Course
from functions.domain.simulation.summary import Row, Summary, Way

SCHEMA_VERSION = 1
BASELINE = (
    "run now, here: at once in the job's first region{here}; best fixed region: at once in the"
    " allowed region with the lowest mean of the year before"
)

KILOS_FROM_G = 100_000.0
"""From here on grams have more digits than a table of 80 columns has room for."""
COLUMNS = (
    "g, kg: gCO2eq, kgCO2eq of all jobs; v. now, v. fix: saved against running now here, and"
    " against the best fixed region; share: of what the oracle (the exact optimum, the future"
    " known, overheads paid) saves against now here; beyond: the same against the best fixed"
    " region; bound: starts and moves free; delay: mean, h; starts, moves: mean per job; late:"
    " deadlines missed that could be met"
)


def facts(scene: Scene, source: str) -> dict[str, str]:
    """Return what must stand beside every figure."""
    batch = scene.batch
    end = max(job.submitted_at for job in scene.jobs)
    return {
        "basis": f"average carbon intensity, {scene.basis}, as recorded afterwards",
        "source": source,
        "baseline": _baseline(scene),
        "overheads": (
            f"{batch.start_min} min of full power per start, {batch.move_min} min per move,"
            f" counted in energy{'; all by whole hours' if batch.whole_hours else ' and time'}"
        ),
        "submitted": f"{scene.first:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC",
        "replanned": "every hour",
        "forecast_every_h": str(scene.world.every_h),
    }


def _baseline(scene: Scene) -> str:
    """Return what savings are counted against; "here" by name if it is one region."""
    homes = {scene.world.grid_zones[int(job[0])] for job in scene.batch.places}
    here = f" ({', '.join(homes)})" if len(homes) == 1 else ""
    return BASELINE.format(here=here)


def as_json(
    scene: Scene, summary: Summary, courses: dict[Way, Course], source: str
) -> dict[str, Any]:
    """Return all figures, those of each job too."""
    return {
        "schema_version": SCHEMA_VERSION,
        **facts(scene, source),
        "notes": list(scene.notes),
        "left_out": dict(scene.left_out),
        **summary.as_dict(),
        "each_job": [_job(scene, courses, index) for index in range(len(scene.batch))],
    }


def _job(scene: Scene, courses: dict[Way, Course], index: int) -> dict[str, Any]:
    job = scene.jobs[index]
    ways = {}
    for way, course in courses.items():
        finish = int(course.finish_min[index])
        ways[str(way)] = {
            "emissions_gco2eq": round(float(course.emissions_gco2eq[index]), 3),
            "finish_h": None if finish < 0 else round(finish / 60, 3),
            "starts": int(course.starts[index]),
            "moves": int(course.moves[index]),
        }
    return {
        "job_id": job.job_id,
        "submitted_at": job.submitted_at.isoformat(),
        "work_h": job.work_min / 60,
        "deadline_h": job.deadline_min / 60,
        "ways": ways,
    }


def print_json(document: dict[str, Any], console: Console) -> None:
    """Print one JSON document."""
    console.print(json.dumps(document, indent=1), markup=False, highlight=False, soft_wrap=True)


def print_table(scene: Scene, summary: Summary, source: str, console: Console) -> None:
    """Print the table, and what it rests on."""
    said = facts(scene, source)
    count = f"{summary.jobs} job" + "s" * (summary.jobs != 1)
    table = Table(
        title=f"{count}, submitted {said['submitted']}",
        box=SIMPLE,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    kilos = max(row.emissions_gco2eq for row in summary.rows) >= KILOS_FROM_G
    table.add_column("way", min_width=12)
    for name in (
        "kg" if kilos else "g",
        "v. now",
        "v. fix",
        "share",
        "beyond",
        "delay",
        "starts",
        "moves",
        "late",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    for row in summary.rows:
        cells = _cells(row, per_unit=1000 if kilos else 1)
        table.add_row(*cells, style="bold" if row.way == Way.PLAN else None)
    console.print(table)
    for row in summary.rows:
        if row.not_done:
            note = f"{row.way}: of the {row.missed} late, {row.not_done} never ended"
            console.print(note, markup=False, highlight=False)
    console.print(COLUMNS, markup=False, highlight=False)
    for name in ("basis", "source", "baseline", "overheads"):
        console.print(f"{name}: {said[name]}", markup=False, highlight=False)
    every = f"plans made anew every hour, forecasts every {said['forecast_every_h']} h"
    for note in (*scene.notes, every):
        console.print(note, markup=False, highlight=False)
    for name, why in scene.left_out.items():
        console.print(f"left out: {name}: {why}", markup=False, highlight=False)
    if len(summary.share_by_zone) > 1:
        shares = ", ".join(f"{zone} {share:.2f}" for zone, share in summary.share_by_zone.items())
        console.print(
            f"share of the oracle's saving by home: {shares}; mean {summary.mean_share:.3f}",
            markup=False,
            highlight=False,
        )
    if summary.impossible:
        console.print(f"{summary.impossible} deadline(s) that nobody could meet", highlight=False)


def _cells(row: Row, *, per_unit: int) -> tuple[str, ...]:
    return (
        row.way,
        f"{row.emissions_gco2eq / per_unit:,.0f}",
        _percent(row.saved_against_now_here),
        _percent(row.saved_against_best_fixed),
        _number(row.share_of_oracle, 2),
        _number(row.share_of_oracle_beyond_fixed, 2),
        _number(row.delay_h, 1),
        _number(row.starts, 1),
        _number(row.moves, 2),
        str(row.missed),
    )


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.1f} %"


def _number(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"
