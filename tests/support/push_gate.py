"""What stands before each function in the cloud: signs deliveries as the caller, and forwards them.

The emulator of Pub/Sub sends no token, so this does what Pub/Sub and Cloud Scheduler do.
"""

import threading
from collections import Counter
from datetime import UTC, datetime

import requests
from token_signer import TokenSigner
from werkzeug import Request, Response

from functions.local.serving import HttpServer

SERVICES = {
    name: f"smartscheduler-{name.replace('_', '-')}"
    for name in ("forecast", "stop_vm", "move_vm", "start_vm")
}
"""Names of the Cloud Run services by function."""


_PATIENCE_S = 290.0
"""Pub/Sub's time-out; a function that loads torch on a busy machine takes a minute."""


class PushGate:
    """Takes `/NAME/...` and posts it to the function NAME, with a token for it."""

    def __init__(self, signer: TokenSigner, functions: dict[str, str]) -> None:
        """Take who signs and each function's address."""
        self._signer = signer
        self._functions = functions
        self._changed = threading.Lock()
        self.refuse: Counter[str] = Counter()
        """How many deliveries of each function are answered with 503 and go no further."""
        self.answers: Counter[tuple[str, int]] = Counter()
        """How often each function answered with each status."""
        self.server = HttpServer(Request.application(self._take), name="gate")

    def tick(self, at: datetime | None = None) -> requests.Response:
        """Trigger `forecast` as Cloud Scheduler does."""
        headers = {
            "X-CloudScheduler": "true",
            "X-CloudScheduler-JobName": "forecast",
            "X-CloudScheduler-ScheduleTime": (at or datetime.now(UTC)).isoformat(),
        }
        return self._post("forecast", "/", b"", headers)

    def _take(self, request: Request) -> Response:
        name, _, rest = request.path.lstrip("/").partition("/")
        with self._changed:
            is_refused = self.refuse[name] > 0
            self.refuse[name] -= is_refused
        if is_refused:
            return Response("no instance available", 503)
        query = request.query_string.decode()
        headers = {"Content-Type": request.headers.get("Content-Type", "application/json")}
        answer = self._post(name, f"/{rest}?{query}", request.get_data(), headers)
        return Response(answer.content, answer.status_code)

    def _post(
        self, name: str, path: str, body: bytes, headers: dict[str, str]
    ) -> requests.Response:
        token = self._signer.sign(SERVICES[name])
        with requests.Session() as session:
            session.trust_env = False
            answer = session.post(
                self._functions[name] + path,
                data=body,
                headers={**headers, "Authorization": f"Bearer {token}"},
                timeout=_PATIENCE_S,
            )
        with self._changed:
            self.answers[name, answer.status_code] += 1
        return answer
