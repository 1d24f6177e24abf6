"""A server in the form of Electricity Maps' API that takes its time for each answer."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from werkzeug import Request, Response

from functions.domain.regions import GRID_ZONES
from functions.local.serving import HttpServer

_ALLOWED = ["carbon-intensity/history"]
_HOURS = range(-30, 48)


@dataclass
class SlowApi:
    """`/zones`, and `history` with a wave of hours around `now`."""

    now: datetime
    answer_s: float
    calls: list[str] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[str]:
        """Serve; gives the address."""
        server = HttpServer(Request.application(self._answer), name="slow-api")
        server.start()
        try:
            yield server.url
        finally:
            server.stop()

    def _answer(self, request: Request) -> Response:
        self.calls.append(request.path)
        time.sleep(self.answer_s)
        if request.path == "/zones":
            body: object = {zone: {"access": _ALLOWED} for zone in GRID_ZONES}
        else:
            body = self._history(request.args["zone"])
        return Response(json.dumps(body), mimetype="application/json")

    def _history(self, grid_zone: str) -> object:
        level = 100 + 40 * GRID_ZONES.index(grid_zone)
        rows = [
            {
                "zone": grid_zone,
                "datetime": (self.now + timedelta(hours=hour)).isoformat(),
                "carbonIntensity": level + hour % 24,
                "emissionFactorType": "lifecycle",
                "isEstimated": False,
            }
            for hour in _HOURS
        ]
        return {"zone": grid_zone, "temporalGranularity": "hourly", "history": rows}
