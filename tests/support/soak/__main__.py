"""Runs schedules on all cores: `python -m soak --schedules 2000 --seed 0`."""

import argparse
import os
import sys
from collections import Counter

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

from soak.batch import live_all
from soak.schedule import draw
from soak.shrink import shrink
from soak.world import Result, live

LINES = 60
"""Of the end of a story, if its schedule did not shrink."""


def main() -> int:
    """Run, show, and return 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--schedules", type=int, default=2000, help="how many, one seed each")
    parser.add_argument("--seed", type=int, default=0, help="of the first one")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    wanted = parser.parse_args()
    seeds = range(wanted.seed, wanted.seed + wanted.schedules)
    console = Console(soft_wrap=True, highlight=False)
    broken = _run(seeds, wanted.jobs, console)
    if wanted.schedules == 1 and not broken:
        console.print("\n".join(live(draw(wanted.seed)).story), markup=False)
    if broken:
        tell(min(broken, key=lambda each: each.seed), console)
    first = f", the first at seed {min(each.seed for each in broken)}" if broken else ""
    console.print(f"soak: {wanted.schedules} schedules, {len(broken)} violations{first}")
    return 1 if broken else 0


def _run(seeds: range, jobs: int, console: Console) -> list[Result]:
    """Return the results that broke a promise."""
    broken: list[Result] = []
    phases: Counter[str] = Counter()
    vms, hours = 0, 0.0
    columns = (*Progress.get_default_columns()[:3], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("schedules", total=len(seeds))
        for results in live_all(seeds, jobs):
            progress.advance(bar, len(results))
            for result in results:
                phases.update(result.phases)
                vms, hours = vms + result.vms, hours + result.hours
                if result.violation:
                    broken.append(result)
                    progress.console.print(f"seed {result.seed}: {result.violation}", markup=False)
    ended = ", ".join(f"{number} {phase}" for phase, number in sorted(phases.items()))
    console.print(f"jobs: {ended}; {vms} VMs; {hours:.0f} simulated hours")
    return broken


def tell(result: Result, console: Console) -> None:
    """Print a small counter-example as a story."""
    schedule, small = shrink(draw(result.seed), result)
    console.print(f"\nseed {result.seed} breaks {small.violation}", markup=False)
    console.print(f"with these {len(schedule.faults)} of its faults:")
    for fault in schedule.faults:
        console.print(f"  {fault}", markup=False)
    console.print("What happened:")
    for line in small.story[-LINES:]:
        console.print(f"  {line}", markup=False)
    console.print(f"Again: make soak SCHEDULES=1 SEED={result.seed}\n")


if __name__ == "__main__":
    sys.exit(main())
