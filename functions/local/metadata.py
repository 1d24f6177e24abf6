"""The metadata server of one VM: what Compute Engine tells a guest about itself."""

import hashlib
import json
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from werkzeug import Request, Response

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

PREFIX = "/computeMetadata/v1/"
ATTRIBUTES = "instance/attributes/"
PREEMPTED = "instance/preempted"
_FLAVOR = {"Metadata-Flavor": "Google"}
_NO_TIMEOUT_S = 3600.0


class Metadata:
    """Values by path, and a way to wait for their change."""

    def __init__(self, values: Mapping[str, str]) -> None:
        """Take values by path, such as `instance/name`."""
        self._values = dict(values)
        self._changed = threading.Condition()
        self._closed = False

    def set(self, path: str, value: str) -> None:
        """Change a value and wake all who wait for it."""
        with self._changed:
            self._values[path] = value
            self._changed.notify_all()

    def close(self) -> None:
        """Send away all who wait."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def read(self, path: str) -> dict[str, str]:
        """Return the value at `path`, or all values below it if it ends with a slash."""
        with self._changed:
            return self._read(path)

    def wait(self, path: str, *, last_etag: str | None, timeout_s: float) -> dict[str, str]:
        """Return the values once they differ from `last_etag` (`None`: from now) or time is up."""
        end_s = time.monotonic() + timeout_s
        with self._changed:
            known = last_etag or etag(self._read(path))
            while etag(self._read(path)) == known and not self._closed:
                if not self._changed.wait(max(0.0, end_s - time.monotonic())):
                    break
            return self._read(path)

    def _read(self, path: str) -> dict[str, str]:
        if not path.endswith("/"):
            return {path: self._values[path]} if path in self._values else {}
        return {name: value for name, value in self._values.items() if name.startswith(path)}


def etag(values: Mapping[str, str]) -> str:
    """Return a mark that changes when the values do."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def application(metadata: Metadata) -> "WSGIApplication":
    """Return the server's WSGI application."""

    @Request.application
    def serve(request: Request) -> Response:
        if request.headers.get("Metadata-Flavor") != "Google":
            return Response("Missing Metadata-Flavor:Google header.", 403, _FLAVOR)
        path = request.path.removeprefix(PREFIX)
        if request.args.get("wait_for_change") == "true":
            values = metadata.wait(
                path,
                last_etag=request.args.get("last_etag"),
                timeout_s=float(request.args.get("timeout_sec") or _NO_TIMEOUT_S),
            )
        else:
            values = metadata.read(path)
        if not values and path != ATTRIBUTES:
            return Response("Not found", 404, _FLAVOR)
        headers = _FLAVOR | {"ETag": etag(values)}
        return Response(_body(request, path, values), 200, headers, mimetype="application/text")

    return serve


def _body(request: Request, path: str, values: Mapping[str, str]) -> str:
    if not path.endswith("/"):
        return values[path]
    below = {name.removeprefix(path): value for name, value in values.items()}
    return json.dumps(below) if request.args.get("recursive") == "true" else "\n".join(below)
