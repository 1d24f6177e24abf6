"""Writes the forecasts of a backtest as CSV, for programs that score them their own way."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from forecaster.backtest import Trial

COLUMNS = "origin_utc,grid_zone,lead_time_h,p10,p50,p90"
"""`lead_time_h` 1 is the hour that starts at the origin; values are gCO2eq/kWh."""


def write_forecasts(path: Path, trial: Trial) -> int:
    """Write all forecasts, gzipped if the name ends in `.gz`, whole or not at all.

    Returns:
        How many rows.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = list(_lines(trial))
    data = ("\n".join([COLUMNS, *lines]) + "\n").encode()
    part = path.with_name(f"{path.name}.part")
    # Without a time in it the same forecasts give the same bytes.
    part.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    part.replace(path)
    return len(lines)


def _lines(trial: Trial) -> Iterator[str]:
    for index, origin in enumerate(trial.origins):
        begin = f"{origin:%Y-%m-%dT%H:%M:%SZ}"
        for zone in trial.zones:
            values = zone.quantiles[index]
            if np.isnan(values).any():
                continue
            for hour, (low, mid, high) in enumerate(values.T, start=1):
                yield f"{begin},{zone.grid_zone},{hour},{low:.3f},{mid:.3f},{high:.3f}"
