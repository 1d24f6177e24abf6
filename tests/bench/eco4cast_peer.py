"""Runs in eco4cast's own environment: its IntervalGenerator behind lines of JSON.

Reads {"parameters": {...}, "forecast": {zone: 24 values}, "current": zone} a line, and answers
{"intervals": [[zone, first hour, end hour], ...], "seconds": CPU time of the rule alone}.
"""

import json
import sys
import time
import warnings
from datetime import datetime, timedelta, timezone

import numpy as np

warnings.simplefilter("ignore")  # its last interval may be empty: a mean of nothing
from eco4cast.master_machine.interval_predictor import IntervalGenerator  # noqa: E402
from eco4cast.master_machine.utils import code_names  # noqa: E402


def this_hour() -> datetime:
    """Return the hour that its intervals begin with."""
    return datetime.now(timezone.utc).replace(minute=0, second=0, microsecond=0)  # noqa: UP017


def answer(asked: dict) -> dict:
    """Return its intervals as hours from the forecast's begin; it tells them from now on."""
    forecast = {zone: np.array(values) for zone, values in asked["forecast"].items()}
    while True:
        before = this_hour()
        begin = time.process_time()
        # Zones without a forecast would count as 0 g: it has to be told which to look at.
        generator = IntervalGenerator(include_zones=list(forecast), **asked["parameters"])
        found, _ = generator.generate_intervals(forecast, code_names.index(asked["current"]))
        seconds = time.process_time() - begin
        if this_hour() == before:
            break
    hour = timedelta(hours=1)
    intervals = [
        [zone, (start - before) // hour, (end - before) // hour]
        for zone, parts in found
        for start, end, _ in parts
    ]
    return {"intervals": intervals, "seconds": seconds}


for line in sys.stdin:
    sys.stdout.write(json.dumps(answer(json.loads(line))) + "\n")
    sys.stdout.flush()
