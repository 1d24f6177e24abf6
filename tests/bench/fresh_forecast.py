"""Times a first forecast in a fresh process; prints one line of JSON.

The span begins when `import torch` is done: what it costs beyond that is ours.
"""

import json
import time

import numpy as np
import torch

ZONES = ["BR-CS", "CA-ON", "CH", "DE", "PL", "BE", "IT-NO", "CA-QC", "ES", "GB", "FI", "FR", "NL"]


def main() -> None:
    """Import, load and forecast thirteen zones for 24 h from a week each."""
    begin = time.perf_counter()
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415 - timed

    from forecaster.inference import load_forecaster  # noqa: PLC0415
    from forecaster.series import IntensityHistory  # noqa: PLC0415

    torch.set_num_threads(1)  # As `functions.adapters.tcn` does.
    origin = datetime(2024, 6, 1, tzinfo=UTC)
    wave = 300 + 80 * np.sin(2 * np.pi * np.arange(168) / 24)
    histories = {
        zone: IntensityHistory(
            grid_zone=zone, start=origin - timedelta(hours=168), gco2eq_per_kwh=wave
        )
        for zone in ZONES
    }
    forecaster = load_forecaster()
    found = forecaster.forecast(histories, origin, horizon_h=24, source="bench")
    fresh_s = time.perf_counter() - begin
    assert len(found.zones) == len(ZONES)
    print(json.dumps({"fresh_s": fresh_s}))  # noqa: T201


main()
