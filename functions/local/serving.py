"""HTTP servers on the loopback, each in a thread, silent."""

import threading
from typing import TYPE_CHECKING, Any

from werkzeug.serving import WSGIRequestHandler, make_server

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

HOST = "127.0.0.1"
_POLL_S = 0.05


class QuietHandler(WSGIRequestHandler):
    """Leaves the terminal to the live view."""

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002, ANN401 - inherited
        """Say nothing."""


class HttpServer:
    """A threaded server on a free port of 127.0.0.1."""

    def __init__(self, application: "WSGIApplication", *, name: str, port: int = 0) -> None:
        """Bind; requests wait until `start`."""
        self._server = make_server(
            HOST, port, application, threaded=True, request_handler=QuietHandler
        )
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_S,), name=name, daemon=True
        )

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`."""
        return f"http://{self.address}"

    @property
    def address(self) -> str:
        """`127.0.0.1:PORT`."""
        return f"{HOST}:{self._server.port}"

    def start(self) -> None:
        """Serve in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and give back the port; requests in flight are left to themselves."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def join(self) -> None:
        """Wait until it is stopped, for a process that does nothing else."""
        self._thread.join()
