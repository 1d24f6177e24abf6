"""Shares of the oracle's saving, as docs/simulation.md defines them, and the time of a replay.

`HISTORY=DIR` names another folder of recorded hours, `WEIGHTS=DIR` a forecaster that has not seen
the span; `JOBS=N` another number of jobs (500 free, a tenth of it in each zone). Each row
is replayed by the minute, as the product plans, and by whole hours, where starts and moves cost
energy but no time.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from figure import Figure

SHARED = Path(__file__).parents[3] / "shared" / "data" / "carbon-intensity"
FOLDER = Path(os.environ.get("HISTORY") or SHARED)
BEGIN = os.environ.get("FROM") or "2024-01-01"
JOBS = int(os.environ.get("JOBS") or 500)
BARS = {("own", 1): 0.80, ("eu", 1): 0.80, ("all", 1): 0.91}
BARS |= {("own", 6): 0.76, ("eu", 6): 0.63, ("all", 6): 0.84}


def _replay(study: str, every_h: int, *options: str) -> tuple[dict[str, Any], float]:
    weights = ["--weights", os.environ["WEIGHTS"]] if os.environ.get("WEIGHTS") else []
    count = JOBS if study != "own" else JOBS // 10
    begin = time.perf_counter()
    out = subprocess.run(  # noqa: S603 - our own command
        [
            *(sys.executable, "-c", "from functions.cli import app; app()", "simulate"),
            *("--history", str(FOLDER), "--study", study, "--count", str(count)),
            *("--from", BEGIN, "--every", f"{every_h}h", "--json", *weights, *options),
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return json.loads(out), time.perf_counter() - begin


def share_figures() -> Iterator[Figure]:
    """Own zone, free in the EU, free everywhere; forecasts every hour and every six."""
    if not FOLDER.is_dir():
        yield Figure(what="share of the oracle's saving", ours=f"no recorded hours in {FOLDER}")
        return
    for (study, every_h), bar in BARS.items():
        for options in ((), ("--whole-hours",)):
            found, span_s = _replay(study, every_h, *options)
            plan = next(each for each in found["ways"] if each["way"].startswith("this plan"))
            share = (
                found["mean_share_of_oracle_over_homes"]
                if study == "own"
                else plan["share_of_oracle_beyond_fixed"]
            )
            pooled = f", {plan['share_of_oracle']:.3f} of all as one" if study == "own" else ""
            how = "by whole hours" if options else "by the minute"
            ran = f"{plan['missed']} missed, {found['jobs']} jobs, {span_s:.0f} s"
            yield Figure(
                what=f"share of oracle's saving, {study}, forecast every {every_h} h, {how}",
                ours=f"{share:.3f}{pooled} ({ran})",
                peer=f"bar {bar:.2f}; 60 s",
            )


FIGURES = (share_figures,)
