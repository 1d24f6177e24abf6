"""The metadata server on loopback: values that change, `wait_for_change`, the header rule."""

import json
import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from vm_runtime.contract.instance import Attribute

_PREFIX = "/computeMetadata/v1/"


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - inherited
        """Say nothing of guests that were killed while they waited."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class FakeMetadataServer:
    """Serves `values`, keyed as `instance/name`; use it as a context manager."""

    def __init__(
        self, values: dict[str, str], *, address: tuple[str, int] = ("127.0.0.1", 0)
    ) -> None:
        """Listen on a free port of loopback, or on `address`."""
        self._values = dict(values)
        self._version = 1
        self._changed = threading.Condition()
        self.fail_next = 0
        """So many requests are answered with 503."""
        self.flavor = "Google"
        """What it says that it is."""
        self.date = ""
        """The time that it tells; empty: the true one."""
        self.requests: list[str] = []
        """Paths asked for."""
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                status, value, etag = server.answer(self.path, self.headers.get("Metadata-Flavor"))
                data = value.encode()
                with suppress(ConnectionError):  # who waited for a change may be gone by now
                    self.send_response_only(status)
                    self.send_header("Metadata-Flavor", server.flavor)
                    self.send_header("Date", server.date or self.date_time_string())
                    self.send_header("ETag", etag)
                    self.send_header("content-length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._http = _Server(address, Handler)
        self._http.daemon_threads = True
        self.host = f"{address[0]}:{self._http.server_address[1]}"

    def value(self, key: str) -> str | None:
        """Return a value, `None` if there is none."""
        with self._changed:
            return self._values.get(key)

    def set(self, key: str, value: str) -> None:
        """Change a value and wake who waits for it."""
        with self._changed:
            self._values[key] = value
            self._version += 1
            self._changed.notify_all()

    def set_attribute(self, key: Attribute, value: str) -> None:
        """Change an attribute of the instance."""
        self.set(f"instance/attributes/{key}", value)

    def answer(self, target: str, flavor: str | None) -> tuple[int, str, str]:
        """Return status, body and etag; waits if asked to."""
        url = urlsplit(target)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        key = url.path.removeprefix(_PREFIX)
        self.requests.append(key)
        if flavor != "Google":
            return 403, "missing header Metadata-Flavor", ""
        if self.fail_next:
            self.fail_next -= 1
            return 503, "try again", ""
        with self._changed:
            if query.get("wait_for_change") == "true":
                self._wait(key, query)
            if key.endswith("/"):
                is_whole = bool(query)  # recursively, as JSON
                return 200, self._below(key) if is_whole else self._keys(key), self._etag(key)
            if key not in self._values:
                return 404, "not found", ""
            return 200, self._values[key], self._etag(key)

    def _keys(self, folder: str) -> str:
        """Return the keys of a folder, a line each."""
        return "\n".join(k.removeprefix(folder) for k in self._values if k.startswith(folder))

    def _below(self, folder: str) -> str:
        """Return a folder's values as `?recursive=true&alt=json` does."""
        return json.dumps(
            {k.removeprefix(folder): v for k, v in self._values.items() if k.startswith(folder)}
        )

    def _wait(self, key: str, query: dict[str, str]) -> None:
        deadline = time.monotonic() + float(query.get("timeout_sec", "60"))
        while query.get("last_etag", self._etag(key)) == self._etag(key):
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return
            self._changed.wait(left_s)

    def _etag(self, key: str) -> str:
        return f"{abs(hash(self._values.get(key))):x}"

    def __enter__(self) -> Self:
        """Start to serve."""
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop to serve."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(5)
