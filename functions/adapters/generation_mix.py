"""The port `IntensitySource` without a key: generation by kind, times life-cycle factors.

Covers nine of the thirteen grid zones. Production-based: what a zone makes, not what it uses,
so its numbers are comparable with one another, not with Electricity Maps'.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta

from forecaster.series import IntensityHour
from functions.adapters import energy_charts, uk_carbon_intensity
from functions.adapters.emission_factors import intensity
from functions.adapters.energy_charts import COUNTRIES, Mix
from functions.adapters.patient_get import NoAnswerError, PatientGet, RefusedError
from functions.adapters.uk_carbon_intensity import GRID_ZONE as GREAT_BRITAIN
from functions.errors import IntensityUnavailableError

LOOKBACK = timedelta(hours=168)
"""What the forecaster looks at."""
AT_ONCE = 2
"""Requests to a free service that run at the same time."""
COVERED = (*sorted(COUNTRIES), GREAT_BRITAIN)


class GenerationMix:
    """Recent hourly intensity of what a grid zone generates; safe to call from many threads."""

    def __init__(
        self,
        *,
        energy_charts_url: str,
        uk_url: str,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Take the addresses of `api.energy-charts.info` and `api.carbonintensity.org.uk`."""
        self._energy_charts_url = energy_charts_url.rstrip("/")
        self._uk_url = uk_url.rstrip("/")
        self._get = PatientGet(sleep=sleep)
        self._turn = threading.BoundedSemaphore(AT_ONCE)

    @property
    def name(self) -> str:
        """Source and basis as printed beside numbers."""
        return (
            "generation by kind of energy-charts.info and NESO (CC BY 4.0) x IPCC 2014 and WNA"
            " 2011 factors, life-cycle average, production-based"
        )

    def recent_hours(self, grid_zone: str, now: datetime) -> Sequence[IntensityHour]:
        """Return the recorded of the 168 hours before the one that `now` is in, ascending.

        Raises:
            IntensityUnavailableError: none can be had now, or the zone is not covered.
        """
        before = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        if grid_zone == GREAT_BRITAIN:
            body = self._ask(grid_zone, self._uk(before), {})
            mixes: Iterable[Mix] = uk_carbon_intensity.read_mixes(body, before=before)
        elif grid_zone in COUNTRIES:
            body = self._ask(
                grid_zone,
                f"{self._energy_charts_url}/public_power",
                {
                    "country": COUNTRIES[grid_zone],
                    "start": _time(before - LOOKBACK),
                    "end": _time(before),
                },
            )
            mixes = energy_charts.read_mixes(body, grid_zone, before=before)
        else:
            raise IntensityUnavailableError(
                f"{grid_zone}: expected one of {', '.join(COVERED)}: no keyless source covers it."
                " With a key of Electricity Maps, set SMARTSCHEDULER_INTENSITY_SOURCE to"
                " electricity_maps."
            )
        found = [hour for hour in map(_hour, mixes) if hour and hour.start >= before - LOOKBACK]
        if not found:
            raise IntensityUnavailableError(
                f"{grid_zone}: expected whole hours before {before:%Y-%m-%d %H:%M} UTC, found none"
                " in the answer. The zone may be published late; the next tick asks again."
            )
        return found

    def _uk(self, before: datetime) -> str:
        # The API gives the half hour that ends at `from` too; it is not used.
        return f"{self._uk_url}/generation/{_time(before - LOOKBACK)}/{_time(before)}"

    def _ask(self, grid_zone: str, url: str, parameters: dict[str, str]) -> bytes:
        try:
            with self._turn:
                return self._get.get(url, parameters)
        except NoAnswerError as error:
            raise IntensityUnavailableError(
                f"{grid_zone}: expected an answer of {url}, found {error}. The next tick asks"
                " again."
            ) from error
        except RefusedError as error:
            raise IntensityUnavailableError(
                f"{grid_zone}: expected HTTP 200 from {url}, found {error}. Check whether the"
                " service has moved."
            ) from error


def _hour(mix: Mix) -> IntensityHour | None:
    begin, generation = mix
    value = intensity(generation)
    if value is None:
        return None
    return IntensityHour(start=begin, gco2eq_per_kwh=round(value, 2))


def _time(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%MZ}"
