"""`make bench`: speed, printed beside its peers; nothing here can fail a test."""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch
from control_plane import World
from planning_world import ORIGIN, forecast_of, job_of
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sample_jobs import job, steps_of

from forecaster.climatology.profile import load_climatology
from forecaster.inference import load_forecaster
from forecaster.simulated import simulate_history
from functions.domain.lifecycle.timing import Timing
from functions.domain.plan.planner import make_plan
from functions.domain.regions import GRID_ZONES, REGIONS
from functions.handlers.tick import tick
from vm_runtime.examples import digits
from vm_runtime.storage.files import FileBlobStore
from vm_runtime.trainer import IntervalTrainer

EPOCHS = 3
BATCH = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the table."""

    what: str
    ours: str
    peer: str = ""
    ratio: str = ""


def median_s(call: Callable[[], object], *, times: int) -> float:
    """Return the median duration of a call, seconds, after one that does not count."""
    call()
    spans = []
    for _ in range(times):
        begin = time.perf_counter()
        call()
        spans.append(time.perf_counter() - begin)
    return statistics.median(spans)


def forecast_figure() -> Figure:
    """Thirteen zones, model in memory, one thread."""
    forecaster = load_forecaster()
    begin = ORIGIN - timedelta(hours=200)
    histories = simulate_history(load_climatology(), GRID_ZONES, begin, 200, seed=0)
    span = median_s(
        lambda: forecaster.forecast(histories, ORIGIN, horizon_h=24, source="simulated"), times=30
    )
    return Figure(what="forecast, 13 zones, 24 h, one thread", ours=f"{1000 * span:.1f} ms")


def plan_figure() -> Figure:
    """The exact optimum of one job over 48 h and all places."""
    some = job_of(
        allowed_regions=tuple(REGIONS), work_h=12.0, deadline=ORIGIN + timedelta(hours=48)
    )
    curves = {
        zone: [100 + 50 * ((hour + 3 * index) % 24) / 24 for hour in range(48)]
        for index, zone in enumerate(GRID_ZONES)
    }
    forecast = forecast_of(curves)
    span = median_s(
        lambda: make_plan(some, forecast, now=ORIGIN, work_left_h=12.0, running_in=None), times=10
    )
    return Figure(what="plan, 13 places, 48 h, 12 h of work", ours=f"{1000 * span:.0f} ms")


def tick_figure() -> Figure:
    """From tick to plan published, source and bucket in memory."""
    world = World()
    world.submit(job(), steps_of(job()))

    def one() -> None:
        world.clock.advance(3600)
        tick(world.ports, Timing())

    return Figure(
        what="tick to plan published, in memory", ours=f"{1000 * median_s(one, times=5):.0f} ms"
    )


def trainer_figure() -> Figure:
    """Our loop beside the same loop in plain PyTorch: small CNN, no job, one thread."""
    data, steps = digits.Digits(train=True), 0

    def plain() -> int:
        torch.manual_seed(digits.SEED)
        model = digits.network()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        loader = torch.utils.data.DataLoader(data, batch_size=BATCH, shuffle=True)
        for _ in range(EPOCHS):
            for inputs, targets in loader:
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(model(inputs), targets).backward()
                optimizer.step()
        return EPOCHS * len(loader)

    def ours() -> None:
        torch.manual_seed(digits.SEED)
        model = digits.network()
        IntervalTrainer(
            model=model,
            train_dataset=data,
            loss_fn=torch.nn.functional.cross_entropy,
            optimizer=torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9),
            epochs=EPOCHS,
            batch_size=BATCH,
            seed=digits.SEED,
            show_progress=False,
        ).fit()

    steps = plain()
    # In turns, and the best of each: what else the machine does then falls on both alike.
    turns = [(median_s(plain, times=1), median_s(ours, times=1)) for _ in range(4)]
    theirs_s, ours_s = (min(column) for column in zip(*turns, strict=True))
    return Figure(
        what="training, small CNN on digits",
        ours=f"{steps / ours_s:.0f} steps/s",
        peer=f"plain PyTorch {steps / theirs_s:.0f} steps/s",
        ratio=f"{theirs_s / ours_s:.2f}",
    )


def store_figure() -> Figure:
    """Compare-and-swap of a small object, synced to disk."""
    with tempfile.TemporaryDirectory() as folder:
        store = FileBlobStore(Path(folder))
        generation = store.write("state.json", b"0")

        def swap() -> None:
            nonlocal generation
            generation = store.write("state.json", b"1", if_generation=generation)

        span = median_s(swap, times=200)
    return Figure(what="compare-and-swap, file store", ours=f"{1000 * span:.2f} ms")


def figures() -> Iterator[Figure]:
    """Measure one after the other, with a bar."""
    torch.set_num_threads(1)
    all_of_them = (forecast_figure, plan_figure, tick_figure, trainer_figure, store_figure)
    for measure in track(all_of_them, description="measuring"):
        yield measure()


def main() -> None:
    """Print the table."""
    table = Table("what", "ours", "peer", "peer's time / ours", title="SmartScheduler, medians")
    for figure in figures():
        table.add_row(figure.what, figure.ours, figure.peer, figure.ratio)
    Console().print(table)


if __name__ == "__main__":
    main()
