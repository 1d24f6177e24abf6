"""Plans beside eco4cast 0.0.8's own rule: same jobs, same forecasts, same actual carbon.

120 jobs (seed 4) submitted at full hours of 2024-01-08 to 2024-06-26: 4 to 24 h of work, a deadline
24 to 48 h later that leaves room for it, 250 W, a home among the twelve grid zones with complete
records; once kept in its own zone, once free to use all twelve. Both see the same TCN's
forecast at submission and every six hours, and both are carried out alike: hour by hour on the
recorded life-cycle intensity, 3 minutes of energy and time for a start, 5 for a move.

A share is the grams saved, against going at once to the zone in which all these jobs together would
have emitted least (or their home, if they are kept there), of those that the exact optimum under
the recorded intensity saves.

eco4cast knows no deadline: its jobs may go on for three days after it. What it is allowed beyond
its defaults: a new plan every six hours, and the best of a grid of thresholds and hysteresis, once
for the fewest deadlines missed (then the most saved), once for the most saved, misses aside. Its
grams are compared on the jobs that it ended in time, ours on the same ones.

`HISTORY=DIR` names another folder of recorded hours; PEER_PYTHON its environment. `WEIGHTS=DIR`
names a network; the shipped one has learnt from these very months, which flatters both rules, and
the output says so. One that has not:

    python -m forecaster train --data DIR --out DIR --end 2024-01-01
"""

import json
import os
import random
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
from figure import Figure
from numpy.typing import NDArray

from forecaster.history import load_folder
from forecaster.inference import Forecaster, load_forecaster
from forecaster.series import HOUR, Forecast, IntensityHistory, Method, ZoneForecast
from functions.domain.plan.planner import make_plan
from functions.domain.regions import REGIONS
from vm_runtime.contract.job import Job

SHARED = Path(__file__).parents[3] / "shared" / "data" / "carbon-intensity"
FOLDER = Path(os.environ.get("HISTORY") or SHARED)
WEIGHTS = Path(os.environ["WEIGHTS"]) if os.environ.get("WEIGHTS") else None
PEER = Path(__file__).with_name("eco4cast_peer.py")

JOBS, SEED = 120, 4
FIRST, LAST = datetime(2024, 1, 8, tzinfo=UTC), datetime(2024, 6, 26, tzinfo=UTC)
LOOK_EVERY = timedelta(hours=6)
AFTERWARDS = timedelta(days=3)
POWER_KW = 0.25
START, MOVE = timedelta(minutes=3), timedelta(minutes=5)
REGION_OF = {region.grid_zone: name for name, region in REGIONS.items() if name != "europe-west8"}
"""IT-NO is left out: it is recorded for 2022 only."""

DEFAULTS = {"max_emission_value": 180, "co2_delta_to_move": 30, "min_interval_size": 1}
GRID = [
    DEFAULTS | {"max_emission_value": limit, "co2_delta_to_move": delta}
    for limit in (60, 120, 180, 350, 10**6)
    for delta in (10, 60)
]

Interval = tuple[str, datetime, datetime]
"""Grid zone, begin, end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What was recorded, and what was forecast of it."""

    histories: Mapping[str, IntensityHistory]
    forecaster: Forecaster
    forecasts: dict[datetime, Forecast] = field(default_factory=dict)

    def forecast(self, origin: datetime) -> Forecast:
        """Return 48 hours of all zones, made from what was recorded before."""
        if origin not in self.forecasts:
            past = {z: h.cut_before(origin) for z, h in self.histories.items()}
            made = self.forecaster.forecast(past, origin, horizon_h=48, source="recorded")
            self.forecasts[origin] = made
        return self.forecasts[origin]

    def actual(self, origin: datetime, hours: int) -> Forecast:
        """Return what really came, in the form of a forecast."""
        zones = []
        for name, history in self.histories.items():
            values = tuple(float(value) for value in history.window(origin, hours))
            zones.append(
                ZoneForecast(
                    grid_zone=name,
                    p10=values,
                    p50=values,
                    p90=values,
                    method=Method.CLIMATOLOGY,
                    history_h=0,
                )
            )
        return Forecast(origin=origin, zones=tuple(zones), model_version="", source="recorded")

    def grams(self, zone: str, start: datetime, end: datetime) -> float:
        """Return what the machine emits there and then."""
        history = self.histories[zone]
        sums, begin = _sums(zone, self.histories), history.start
        at = [(start - begin) / HOUR, (end - begin) / HOUR]
        low, high = np.interp(at, np.arange(len(sums)), sums)
        return float(high - low) * POWER_KW


_cumulated: dict[str, NDArray[np.float64]] = {}


def _sums(zone: str, histories: Mapping[str, IntensityHistory]) -> NDArray[np.float64]:
    if zone not in _cumulated:
        values = histories[zone].gco2eq_per_kwh.astype(np.float64)
        _cumulated[zone] = np.concatenate([[0.0], np.cumsum(values)])
    return _cumulated[zone]


@dataclass(slots=True, kw_only=True)
class Course:
    """How a job goes, by whichever rule."""

    left: timedelta
    grams: float = 0.0
    starts: int = 0
    moves: int = 0
    zone: str | None = None
    """Where it ran last."""
    ran_until: datetime | None = None
    owed: timedelta = timedelta()
    ended_at: datetime | None = None

    def follow(self, world: World, intervals: Sequence[Interval], until: datetime) -> None:
        """Run as told until `until` or the end of the work."""
        for zone, start, planned_end in intervals:
            end = min(planned_end, until)
            if end <= start or self.ended_at is not None:
                continue
            if self.ran_until != start or self.zone is None:
                self.owed, self.starts = START, self.starts + 1
            elif self.zone != zone:
                self.owed, self.moves = MOVE, self.moves + 1
            end = min(end, start + self.owed + self.left)
            self.grams += world.grams(zone, start, end)
            paid = min(self.owed, end - start)
            self.owed -= paid
            self.left -= end - start - paid
            self.zone, self.ran_until = zone, end
            if self.left <= timedelta():
                self.ended_at = end


Rule = Callable[[Job, datetime, Course], Sequence[Interval]]


def carry_out(world: World, job: Job, rule: Rule, *, every: timedelta = LOOK_EVERY) -> Course:
    """Let a rule plan the job at submission and again and again, on new forecasts."""
    course = Course(left=timedelta(hours=job.work_h or 0))
    now, last = job.submitted_at, _deadline(job) + AFTERWARDS
    while course.ended_at is None and now < last:
        until = now + every
        course.follow(world, rule(job, now, course), until)
        now = until
    return course


def _deadline(job: Job) -> datetime:
    if job.deadline is None:
        raise ValueError("deadline: expected one")
    return job.deadline


def our_rule(world: World, spans_s: list[float]) -> Rule:
    """Return the planner of this project."""

    def plan(job: Job, now: datetime, course: Course) -> list[Interval]:
        forecast = world.forecast(now)
        running = course.zone if course.ran_until == now else None
        begin = time.process_time()
        made = make_plan(
            job,
            forecast,
            now=now,
            work_left_h=(course.left + (course.owed if running else timedelta())) / HOUR,
            running_in=REGIONS[REGION_OF[running]].primary if running else None,
        )
        spans_s.append(time.process_time() - begin)
        return [(i.grid_zone, i.start, i.end) for i in made.intervals]

    return plan


def oracle(world: World, job: Job) -> float:
    """Return the grams of the exact optimum under what really came."""
    hours = -((job.submitted_at - _deadline(job)) // HOUR)
    known = world.actual(job.submitted_at, hours)
    made = make_plan(job, known, now=job.submitted_at, work_left_h=job.work_h, running_in=None)
    return made.expected_gco2eq


def at_once(world: World, job: Job, zone: str) -> float:
    """Return the grams of running now, in one place."""
    end = job.submitted_at + START + timedelta(hours=job.work_h or 0)
    return world.grams(zone, job.submitted_at, end)


def nothing_saved(world: World, todo: Sequence[Job], *, free: bool) -> tuple[str, list[float]]:
    """Return the fixed zone and the grams of each job if it goes there at once."""
    if not free:
        homes = [REGIONS[job.allowed_regions[0]].grid_zone for job in todo]
        return "their home", [at_once(world, *each) for each in zip(todo, homes, strict=True)]
    by_zone = {zone: [at_once(world, job, zone) for job in todo] for zone in REGION_OF}
    best = min(by_zone, key=lambda zone: sum(by_zone[zone]))
    return best, by_zone[best]


@contextmanager
def peer() -> Iterator[Callable[[dict[str, object]], dict[str, object]]]:
    """Yield a call of eco4cast's rule in its own environment."""
    python = os.environ.get("PEER_PYTHON", "")
    with subprocess.Popen(  # noqa: S603 - the peer's interpreter, our own file
        [python, str(PEER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        stdin, stdout = process.stdin, process.stdout
        if stdin is None or stdout is None:
            raise OSError("expected pipes to the peer, found none")

        def ask(question: dict[str, object]) -> dict[str, object]:
            stdin.write(json.dumps(question) + "\n")
            stdin.flush()
            answer = json.loads(stdout.readline())
            if not isinstance(answer, dict):
                raise TypeError(f"expected an object from the peer, found {answer!r}")
            return answer

        yield ask
        stdin.close()


def peer_rule(
    world: World,
    ask: Callable[[dict[str, object]], dict[str, object]],
    parameters: Mapping[str, int],
    spans_s: list[float],
) -> Rule:
    """Return eco4cast's rule; what it said about a forecast it is asked only once."""
    known: dict[object, list[list[object]]] = {}

    def plan(job: Job, now: datetime, course: Course) -> list[Interval]:
        zones = [REGIONS[name].grid_zone for name in job.allowed_regions]
        current = course.zone or zones[0]
        key = now, current if len(zones) > 1 else "", tuple(zones)
        if key not in known:
            forecast = {z.grid_zone: z.p50[:24] for z in world.forecast(now).zones}
            answer = ask(
                {
                    "parameters": dict(parameters),
                    "forecast": {zone: forecast[zone] for zone in sorted(zones)},
                    "current": current,
                }
            )
            spans_s.append(float(str(answer["seconds"])))
            found = answer["intervals"]
            known[key] = found if isinstance(found, list) else []
        return [
            (str(zone), now + int(str(a)) * HOUR, now + int(str(b)) * HOUR)
            for zone, a, b in known[key]
        ]

    return plan


def jobs(*, free: bool) -> list[Job]:
    """Return the jobs; the same ones whether they may move or not."""
    draw, zones = random.Random(SEED), sorted(REGION_OF)
    hours = (LAST - FIRST) // HOUR
    made = []
    for number in range(JOBS):
        home, submitted = draw.choice(zones), FIRST + draw.randrange(hours) * HOUR
        work_h, room_h = draw.uniform(4, 24), draw.uniform(24, 48)
        others = [zone for zone in zones if zone != home] if free else []
        made.append(
            Job(
                job_id=f"job-{number}",
                machine_type="e2-standard-8",
                power_w=1000 * POWER_KW,
                allowed_regions=tuple(REGION_OF[zone] for zone in (home, *others)),
                submitted_at=submitted,
                work_h=work_h,
                deadline=submitted + timedelta(hours=max(room_h, work_h + 0.5)),
            )
        )
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How one rule did on all jobs."""

    courses: Sequence[Course]
    in_time: Sequence[bool]

    @property
    def missed(self) -> int:
        """Deadlines missed."""
        return self.in_time.count(False)

    def saved(self, now: Sequence[float], best: Sequence[float], which: Sequence[bool]) -> float:
        """Return the grams saved on some jobs as a share of what the oracle saves on them."""
        picked = [i for i, wanted in enumerate(which) if wanted]
        possible = sum(now[i] - best[i] for i in picked)
        saved = sum(now[i] - self.courses[i].grams for i in picked)
        return saved / possible if possible else float("nan")

    def told(self, now: Sequence[float], best: Sequence[float], which: Sequence[bool]) -> str:
        """Return all for the table."""
        kg = sum(c.grams for c, wanted in zip(self.courses, which, strict=True) if wanted) / 1000
        moves = sum(course.moves for course in self.courses) / len(self.courses)
        share = self.saved(now, best, which)
        return f"{kg:.1f} kg, share {share:.2f}, {self.missed} late, {moves:.1f} moves a job"


def result(world: World, todo: Sequence[Job], rule: Rule) -> Result:
    """Carry all jobs out by one rule."""
    courses = [carry_out(world, job, rule) for job in todo]
    in_time = [
        course.ended_at is not None and course.ended_at <= _deadline(job)
        for job, course in zip(todo, courses, strict=True)
    ]
    return Result(courses=courses, in_time=in_time)


@cache
def recorded() -> World:
    """Read the recorded hours and the model."""
    histories = {z: h for z, h in load_folder(FOLDER).items() if z in REGION_OF}
    return World(histories=histories, forecaster=load_forecaster(WEIGHTS))


def compared(*, free: bool) -> Iterator[Figure]:
    """Return the figures of one kind of jobs."""
    world, todo = recorded(), jobs(free=free)
    ours_s: list[float] = []
    peers_s: list[float] = []
    fixed, now = nothing_saved(world, todo, free=free)
    best = [oracle(world, job) for job in todo]
    ours = result(world, todo, our_rule(world, ours_s))
    with peer() as ask:
        plain = result(world, todo, peer_rule(world, ask, DEFAULTS, peers_s))
        tuned = [
            (parameters, result(world, todo, peer_rule(world, ask, parameters, peers_s)))
            for parameters in GRID
        ]
    fewest = min(
        tuned, key=lambda each: (each[1].missed, -each[1].saved(now, best, each[1].in_time))
    )
    most = max(
        (each for each in tuned if any(each[1].in_time)),
        key=lambda each: each[1].saved(now, best, each[1].in_time),
    )
    where = "free in 12 zones" if free else "own zone"
    everything = [True] * len(todo)
    yield Figure(
        what=f"{where}, {len(todo)} jobs: at once in {fixed} {sum(now) / 1000:.1f} kg (share 0),"
        f" oracle {sum(best) / 1000:.1f} kg (share 1)",
        ours=ours.told(now, best, everything),
    )
    for name, theirs in (
        ("its defaults", plain),
        (f"fewest late of a grid: {_short(fewest[0])}", fewest[1]),
        (f"most saved of a grid: {_short(most[0])}", most[1]),
    ):
        yield Figure(
            what=f"{where}, the {theirs.in_time.count(True)} that eco4cast ended in time ({name})",
            ours=ours.told(now, best, theirs.in_time),
            peer=theirs.told(now, best, theirs.in_time),
        )
    ours_ms, peers_ms = (1000 * statistics.median(spans) for spans in (ours_s, peers_s))
    yield Figure(
        what=f"CPU of a plan, {'12 places' if free else '1 place'}: ours of 48 h, its of 24 h",
        ours=f"{ours_ms:.1f} ms",
        peer=f"{peers_ms:.1f} ms",
        ratio=f"{peers_ms / ours_ms:.2f}",
    )


def _short(parameters: Mapping[str, int]) -> str:
    limit, delta = parameters["max_emission_value"], parameters["co2_delta_to_move"]
    return f"{'no limit' if limit >= 10**6 else f'{limit} g'}, {delta} g to move"


def seen_figure() -> Figure:
    """Say whether the network has learnt from the months that it forecasts here."""
    manifest = load_forecaster(WEIGHTS).manifest
    end = str(manifest.data.get("end", ""))
    honest = bool(end) and datetime.fromisoformat(end) <= FIRST
    told = "none of these months" if honest else "THESE MONTHS TOO, see WEIGHTS in the docstring"
    return Figure(
        what="the network has learnt from", ours=f"{told}; hours before {end[:10] or '?'}"
    )


def eco4cast_figures() -> list[Figure]:
    """Compare; or say by name what is not here."""
    if not FOLDER.is_dir():
        return [Figure(what="eco4cast's rule beside ours", ours=f"skipped: no {FOLDER.name} here")]
    if not os.environ.get("PEER_PYTHON"):
        return [Figure(what="eco4cast's rule beside ours", ours="skipped: PEER_PYTHON is not set")]
    return [seen_figure(), *compared(free=False), *compared(free=True)]


FIGURES = (eco4cast_figures,)
