"""From recorded hours and wanted jobs to the arrays that are replayed, with the forecasts made."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import numpy as np

from forecaster.baselines import fit_ridge, persistence
from forecaster.climatology import fit_climatology
from forecaster.inference import Forecaster, load_forecaster
from forecaster.many import Many, baseline_many, forecast_many
from forecaster.series import HOUR, IntensityHistory
from functions.cli.simulate.wanted import WantedJob
from functions.domain.regions import REGIONS, zones_with_machine
from functions.domain.simulation.batch import Batch
from functions.domain.simulation.comparing import AFTERWARDS_H
from functions.domain.simulation.world import Floats, World
from functions.errors import InvalidInputError

Kind = Literal["tcn", "ridge", "persistence", "oracle"]
WEEK_H = 168
YEAR = timedelta(days=365)
LONGEST_H = 168
"""The planner looks no further ahead."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """What is replayed, and what must be said about it."""

    world: World
    batch: Batch
    jobs: tuple[WantedJob, ...]
    first: datetime
    """The world's hour 0."""
    means_before: Floats
    basis: str
    left_out: Mapping[str, str]
    """Regions that could not be used, and why."""
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """How forecasts are made."""

    kind: Kind
    every_h: int
    weights: Path | None
    machine_type: str
    start_min: int
    move_min: int
    whole_hours: bool = False


def make_scene(
    histories: Mapping[str, IntensityHistory],
    wanted: Sequence[WantedJob],
    how: How,
    *,
    on_part: Callable[[float], None] = lambda _share: None,
) -> Scene:
    """Return the arrays of `wanted` over `histories`.

    Raises:
        InvalidInputError: a job has no region left, or the records do not cover its time.
    """
    first = min(job.submitted_at for job in wanted)
    longest_h = max(-(-max(j.deadline_min, j.work_min + 60) // 60) for j in wanted)
    last = max(job.submitted_at for job in wanted)
    hours = (last - first) // HOUR + longest_h + AFTERWARDS_H + 1
    names = dict.fromkeys(name for job in wanted for name in job.regions)
    left_out = {
        name: why for name in names if (why := _why_not(name, histories, first, hours, how))
    }
    used = [name for name in names if name not in left_out]
    lost = [job.job_id for job in wanted if not set(job.regions) & set(used)]
    if lost:
        reasons = "; ".join(f"{name}: {why}" for name, why in left_out.items())
        raise InvalidInputError(
            f"job {lost[0]}: expected a region that it can be replayed in, found none ({reasons})."
        )
    zones = tuple(REGIONS[name].grid_zone for name in used)
    actual = np.stack([histories[zone].window(first, hours) for zone in zones])
    forecasts, notes = _forecasts(
        histories,
        zones,
        first,
        hours=hours,
        ahead_h=min(longest_h, LONGEST_H),
        how=how,
        on_part=on_part,
    )
    before = [histories[zone].window(first - YEAR, YEAR // HOUR) for zone in zones]
    world = World(
        grid_zones=zones,
        actual=actual.astype(np.float64),
        forecasts=forecasts,
        every_h=how.every_h,
    )
    return Scene(
        world=world,
        batch=_batch(wanted, used, first, how),
        jobs=tuple(wanted),
        first=first,
        means_before=np.array([float(np.nanmean(each.astype(np.float64))) for each in before]),
        basis=str(histories[zones[0]].basis),
        left_out=left_out,
        notes=notes,
    )


def _why_not(
    name: str, histories: Mapping[str, IntensityHistory], first: datetime, hours: int, how: How
) -> str | None:
    region = REGIONS[name]
    if not zones_with_machine(region, how.machine_type):
        return f"has no {how.machine_type}"
    history = histories.get(region.grid_zone)
    if history is None:
        return f"no recorded hours of {region.grid_zone}"
    seen = history.window(first - WEEK_H * HOUR, WEEK_H + hours)
    missing = int((~np.isfinite(seen)).sum())
    if missing:
        begin, end = first - WEEK_H * HOUR, first + hours * HOUR
        return (
            f"{missing} hours of {region.grid_zone} are missing from {begin:%Y-%m-%d} to"
            f" {end:%Y-%m-%d}"
        )
    return None


def _batch(wanted: Sequence[WantedJob], used: list[str], first: datetime, how: How) -> Batch:
    index = {name: row for row, name in enumerate(used)}
    places = [[index[name] for name in job.regions if name in index] for job in wanted]
    most = max(len(row) for row in places)
    # A place that is there twice changes nothing: it is the first that is chosen.
    filled = [row + row[:1] * (most - len(row)) for row in places]
    return Batch(
        submitted_h=np.array([(job.submitted_at - first) // HOUR for job in wanted]),
        work_min=np.array([job.work_min for job in wanted]),
        deadline_min=np.array([job.deadline_min for job in wanted]),
        places=np.array(filled),
        home=np.zeros(len(wanted), dtype=np.int64),
        power_kw=np.array([job.power_w / 1000 for job in wanted]),
        start_min=how.start_min,
        move_min=how.move_min,
        whole_hours=how.whole_hours,
    )


def _forecasts(  # noqa: PLR0913 - what is forecast
    histories: Mapping[str, IntensityHistory],
    zones: Sequence[str],
    first: datetime,
    *,
    hours: int,
    ahead_h: int,
    how: How,
    on_part: Callable[[float], None],
) -> tuple[Many, tuple[str, ...]]:
    origins = -(-hours // how.every_h)
    horizon_h = ahead_h + how.every_h - 1
    span = {"origins": origins, "every_h": how.every_h, "horizon_h": horizon_h}
    if how.kind == "oracle":
        return _true_hours(histories, zones, first, **span), ("forecast: what was recorded later",)
    if how.kind == "persistence":
        made = baseline_many(persistence, histories, zones, first, **span)
        return made, ("forecast: the same hour of yesterday",)
    if how.kind == "ridge":
        ridge = fit_ridge(histories, first)
        note = f"forecast: ridge, fitted on the hours before {first:%Y-%m-%d}"
        return baseline_many(ridge, histories, zones, first, **span), (note,)
    forecaster, notes = _honest(load_forecaster(how.weights), histories, zones, first)
    made = forecast_many(forecaster, histories, zones, first, **span, on_part=on_part)
    return made, notes


def _true_hours(  # noqa: PLR0913 - as above
    histories: Mapping[str, IntensityHistory],
    zones: Sequence[str],
    first: datetime,
    *,
    origins: int,
    every_h: int,
    horizon_h: int,
) -> Many:
    steps = np.arange(origins)[:, None] * every_h + np.arange(horizon_h)
    known = np.stack([histories[zone].window(first, int(steps.max()) + 1) for zone in zones])
    # Beyond the record nothing is known; no job lives there.
    known = np.nan_to_num(known, nan=float(np.nanmean(known)))
    return np.repeat(known[:, steps].transpose(1, 0, 2)[..., None], 3, axis=-1)


def _honest(
    forecaster: Forecaster,
    histories: Mapping[str, IntensityHistory],
    zones: Sequence[str],
    first: datetime,
) -> tuple[Forecaster, tuple[str, ...]]:
    """Return the forecaster with a climatology of hours before `first`, and what to say of it."""
    end = forecaster.manifest.data.get("end", "")
    notes = [f"forecast: TCN {forecaster.version}, learned from hours before {end[:10] or '?'}"]
    if end and datetime.fromisoformat(end) > first:
        notes.append(
            f"caution: the network has learned from hours after {first:%Y-%m-%d}, so these figures"
            " flatter it; begin later or give --weights trained on earlier hours"
        )
    past = {zone: histories[zone].cut_before(first) for zone in zones}
    if all(len(each.gco2eq_per_kwh) >= YEAR // HOUR for each in past.values()):
        usual = fit_climatology(past)
        return Forecaster(
            model=forecaster.model, manifest=forecaster.manifest, climatology=usual
        ), tuple(notes)
    notes.append("caution: less than a year of records, so the shipped climatology is used")
    return forecaster, tuple(notes)
