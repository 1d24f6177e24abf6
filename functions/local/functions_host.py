"""Runs the four functions in one process, each under the real Functions Framework.

    python -m functions.local.functions_host --port P --source functions/main.py

The framework executes the source once per function, so module globals are not shared.
"""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

import functions_framework
from werkzeug import Request, Response
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from functions.local.serving import HttpServer

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

SIGNATURES = {
    "forecast": "http",
    "stop_vm": "cloudevent",
    "move_vm": "cloudevent",
    "start_vm": "cloudevent",
}
"""Entry points of the source, and how each is called."""


def mount(source: Path) -> "WSGIApplication":
    """Return one application with each function below its name; the root says that it is up."""
    # With it the framework would set up the root logger itself, and INFO would be lost.
    os.environ.pop("LOG_EXECUTION_ID", None)
    mounts = {
        f"/{name}": functions_framework.create_app(  # type: ignore[no-untyped-call] # not theirs
            target=name, source=str(source), signature_type=signature
        )
        for name, signature in SIGNATURES.items()
    }
    return DispatcherMiddleware(_up, mounts)


@Request.application
def _up(request: Request) -> Response:
    return Response("up") if request.path == "/" else Response("Not found", 404)


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--source", type=Path, required=True)
    arguments = parser.parse_args()
    server = HttpServer(mount(arguments.source), name="functions", port=arguments.port)
    server.start()
    server.join()


if __name__ == "__main__":
    main()
