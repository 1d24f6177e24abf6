"""The speed of forecasts, beside eco4cast 0.0.8's network on this machine in this run."""

import dataclasses
import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from figure import Figure, median_s
from planning_world import ORIGIN

import forecaster
from forecaster.backtest import run_backtest
from forecaster.climatology.profile import load_climatology
from forecaster.history import load_folder
from forecaster.inference import load_forecaster
from forecaster.series import HOUR, IntensityHistory
from forecaster.simulated import simulate_history
from functions.domain.regions import GRID_ZONES

HERE = Path(__file__).parent
WEIGHTS = Path(forecaster.__file__).parent / "weights"
PEER_THREADS = 2
TURNS = 3
PEER_FORECASTS = 10
STEPS = 12
FILES, YEARS = 14, (2021, 2022, 2023)
NO_PEER = "not installed"
PANDAS = (
    "import sys, time, glob, pandas\n"
    "begin = time.perf_counter()\n"
    "for path in glob.glob(sys.argv[1] + '/*.csv.gz'):\n"
    "    pandas.read_csv(path, parse_dates=['datetime_utc'])\n"
    "print(time.perf_counter() - begin)\n"
)


def forecast_figures() -> Iterator[Figure]:
    """Thirteen zones, model in memory; and a first forecast in a fresh process.

    In turns, and the best of each: what else the machine does then falls on both alike. Ours
    runs in one thread, as deployed; the peer in two.
    """
    memory, fresh = [], []
    theirs: list[dict[str, Any]] = []
    for _ in range(TURNS):
        memory.append(_in_memory_s())
        fresh.append(float(_run([sys.executable, str(HERE / "fresh_forecast.py")])["fresh_s"]))
        theirs += _peer()
    spans = [statistics.median(each["spans_s"]) for each in theirs]
    yield _beside("forecast, 13 zones, 24 h, model in memory", min(memory), spans)
    yield _beside(
        "first forecast, fresh process, above `import torch`",
        min(fresh),
        [each["fresh_s"] for each in theirs],
    )
    yield _size(theirs)


def _in_memory_s() -> float:
    model, histories = load_forecaster(), _simulated(ORIGIN - 200 * HOUR, 200)
    return median_s(
        lambda: model.forecast(histories, ORIGIN, horizon_h=24, source="simulated"), times=30
    )


def _simulated(begin: datetime, hours: int) -> dict[str, IntensityHistory]:
    return simulate_history(load_climatology(), GRID_ZONES, begin, hours, seed=0)


def _beside(what: str, ours_s: float, theirs_s: list[float]) -> Figure:
    if not theirs_s:
        return Figure(what=what, ours=f"{1000 * ours_s:.1f} ms", peer=NO_PEER)
    peer_s = min(theirs_s)
    return Figure(
        what=what,
        ours=f"{1000 * ours_s:.1f} ms",
        peer=f"eco4cast {1000 * peer_s:.0f} ms",
        ratio=f"{peer_s / ours_s:.0f}",
    )


def _size(theirs: list[dict[str, Any]]) -> Figure:
    ours = sum(path.stat().st_size for path in WEIGHTS.iterdir())
    peer = theirs[0]["bytes"] if theirs else 0
    return Figure(
        what="artifact (size)",
        ours=f"{ours / 1e6:.2f} MB",
        peer=f"eco4cast {peer / 1e6:.1f} MB" if peer else NO_PEER,
        ratio=f"{peer / ours:.0f}" if peer else "",
    )


def loading_figure() -> Figure:
    """Fourteen gzipped CSV files of three years each, read and checked; pandas only reads."""
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        _write_files(Path(folder))
        for _ in range(TURNS):
            ours.append(median_s(lambda: load_folder(Path(folder)), times=1))
            found = _run_peer(["-W", "ignore", "-c", PANDAS, folder])
            theirs += [] if found is None else [float(found)]
    ours_s, peer_s = min(ours), min(theirs, default=0.0)
    return Figure(
        what=f"reading {FILES} CSV files of {len(YEARS)} years",
        ours=f"{ours_s:.2f} s",
        peer=f"pandas, unchecked {peer_s:.2f} s" if theirs else NO_PEER,
        ratio=f"{peer_s / ours_s:.2f}" if theirs else "",
    )


def _write_files(folder: Path) -> None:
    begin, end = datetime(YEARS[0], 1, 1, tzinfo=UTC), datetime(YEARS[-1] + 1, 1, 1, tzinfo=UTC)
    zones = load_climatology().grid_zones[:FILES]
    made = simulate_history(load_climatology(), zones, begin, (end - begin) // HOUR, seed=0)
    for zone, history in made.items():
        rows = [
            f"{zone},{begin + i * HOUR:%Y-%m-%dT%H:%M:%SZ},{value:.2f},,,,0,bench"
            for i, value in enumerate(history.gco2eq_per_kwh)
        ]
        header = (
            "zone,datetime_utc,carbon_intensity,carbon_intensity_direct,carbon_free_pct,"
            "renewable_pct,data_estimated,source_id"
        )
        text = "\n".join([header, *rows]) + "\n"
        (folder / f"{zone}.csv.gz").write_bytes(gzip.compress(text.encode(), compresslevel=6))


def backtest_figure() -> Figure:
    """Two months of daily forecasts of thirteen zones, baselines fitted on a year and all."""
    begin = datetime(2023, 1, 1, tzinfo=UTC)
    histories = _simulated(begin, 24 * 500)
    model = load_forecaster()
    first, days = begin + timedelta(days=400), 60

    start = time.perf_counter()
    run_backtest(model, histories, begin=first, end=first + timedelta(days=days))
    span = time.perf_counter() - start
    return Figure(
        what=f"backtest, {days} origins, 13 zones, baselines fitted", ours=f"{span:.2f} s"
    )


def training_figure() -> Figure:
    """One optimizer step of the shipped network's training, thirteen zones, one thread."""
    from forecaster.training import TrainingSettings, train  # noqa: PLC0415 - loads Lightning

    begin = datetime(2022, 1, 1, tzinfo=UTC)
    histories = _simulated(begin, 24 * 365)
    settings = dataclasses.replace(
        TrainingSettings(), begin=begin, end=begin + timedelta(days=365), steps=STEPS
    )
    times: list[float] = []
    train(histories, settings=settings, on_step=lambda _step: times.append(time.perf_counter()))
    spans = [after - before for before, after in pairwise(times)]
    per_step_s = statistics.median(spans)
    return Figure(
        what=f"training, one step of {settings.batch_size}", ours=f"{1000 * per_step_s:.0f} ms"
    )


def _peer() -> list[dict[str, Any]]:
    found = _run_peer(["-W", "ignore", str(HERE / "peer_eco4cast.py"), str(PEER_FORECASTS)])
    return [] if found is None else [json.loads(found)]


def _run_peer(arguments: list[str]) -> str | None:
    """Run the peer's Python; `None` if there is none."""
    python = os.environ.get("PEER_PYTHON", "")
    if not python or not Path(python).exists():
        return None
    return _output([python, *arguments])


def _run(command: list[str]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(_output(command))
    return found


def _output(command: list[str]) -> str:
    environment = os.environ | {"OMP_NUM_THREADS": str(PEER_THREADS)}
    # What the peer's libraries say on the error stream is not ours to show.
    done = subprocess.run(  # noqa: S603 - our own interpreters
        command, capture_output=True, text=True, check=True, env=environment
    )
    return done.stdout.splitlines()[-1]


FIGURES = (forecast_figures, loading_figure, backtest_figure, training_figure)
