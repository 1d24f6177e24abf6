"""Ticks as often as told in a process of its own; prints when each plan was published, as JSON.

The ports are those of the embedded cloud that the environment names, with the real adapter of
Electricity Maps in front of the address that the first argument is.
"""

import json
import resource
import sys
import time
from dataclasses import replace
from datetime import datetime, timedelta


def main() -> None:
    """`tick_program.py API TICKS`: an hour of the deployment's clock between two ticks."""
    from pydantic import SecretStr  # noqa: PLC0415 - what it needs is timed with it

    from functions import bootstrap  # noqa: PLC0415
    from functions.adapters.electricity_maps import ElectricityMaps  # noqa: PLC0415
    from functions.domain.lifecycle.timing import Timing  # noqa: PLC0415
    from functions.handlers.tick import tick  # noqa: PLC0415

    class Hourly:
        """The cloud's clock, an hour further at each tick."""

        hours = 0

        def now(self) -> datetime:
            """Return the time."""
            return real.now() + timedelta(hours=self.hours)

        def wait_s(self, duration_s: float) -> float:
            """Wait as the cloud's clock does."""
            return real.wait_s(duration_s)

    ports = bootstrap.ports()
    real, clock = ports.clock, Hourly()
    source = ElectricityMaps(base_url=sys.argv[1], key=SecretStr("any"))
    ports = replace(ports, clock=clock, intensity=source)
    spans = []
    for number in range(int(sys.argv[2])):
        clock.hours = number
        before_s = time.perf_counter()
        result = tick(ports, Timing())
        spans.append(time.perf_counter() - before_s)
        if number == 0:
            first_s, first_cpu_s = time.time(), time.process_time()
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = {"first_s": first_s, "first_cpu_s": first_cpu_s, "spans_s": spans}
    found |= {"peak_kib": peak_kib, "planned": result.planned, "failed": result.failed}
    print(json.dumps(found))  # noqa: T201


main()
