"""The API of Electricity Maps on loopback, for any hours of a simulated time."""

import json
from datetime import UTC, datetime, timedelta

from werkzeug import Request, Response

from functions.domain.regions import GRID_ZONES
from functions.local.serving import HttpServer
from vm_runtime.contract.clock import Clock

KEY = "em-k3y-of-nobody"
_ACCESS = ["carbon-intensity/history", "carbon-intensity/past-range"]


class ElectricityMapsServer:
    """Says for each zone what `gco2eq_per_kwh` says, for each hour since it was changed."""

    def __init__(self, clock: Clock) -> None:
        """Begin with 400 g everywhere."""
        self._clock = clock
        self._since: dict[str, list[tuple[datetime, float]]] = {}
        self.server = HttpServer(Request.application(self._answer), name="electricity-maps")

    def set(self, zone: str, gco2eq_per_kwh: float) -> None:
        """Let a zone be so from the present hour on; the first time, also before."""
        hour = self._clock.now().replace(minute=0, second=0, microsecond=0)
        told = self._since.setdefault(zone, [])
        told.append((hour if told else datetime(2000, 1, 1, tzinfo=UTC), gco2eq_per_kwh))

    def _answer(self, request: Request) -> Response:
        if request.headers.get("auth-token") != KEY:
            return Response('{"error": "Invalid auth-token"}', 401)
        if request.path.endswith("/zones"):
            return _json({zone: {"access": _ACCESS} for zone in GRID_ZONES})
        zone = request.args["zone"]
        now = self._clock.now().replace(minute=0, second=0, microsecond=0)
        start, end = now - timedelta(hours=24), now
        if request.path.endswith("/past-range"):
            start, end = (_time(request.args[name]) for name in ("start", "end"))
        hours = range(int((end - start) / timedelta(hours=1)) + 1)
        rows = [self._row(zone, start + timedelta(hours=hour)) for hour in hours]
        return _json({"zone": zone, "data": rows})

    def _row(self, zone: str, hour: datetime) -> dict[str, object]:
        known = [value for since, value in self._since.get(zone, []) if since <= hour]
        return {"datetime": hour.isoformat(), "carbonIntensity": (known or [400.0])[-1]}


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _json(value: object) -> Response:
    return Response(json.dumps(value), mimetype="application/json")
