"""The process of the functions, kept alive: Cloud Run would start another one, too."""

import socket
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import requests

from functions.local.events import EventKind, EventLog
from functions.local.serving import HOST
from functions.local.standby import Child, Order, child_environment

_TURN_S = 0.05
_LONGEST_WAIT_S = 5.0
_TAIL = 1500


class FunctionsHost:
    """Starts, watches and restarts `functions_host`."""

    def __init__(self, *, source: Path, folder: Path, preload: Sequence[str]) -> None:
        """Spawn its interpreter, which imports `preload`; `folder` gets `functions.log`."""
        self._source = source.absolute()
        self._folder = folder
        self._log_file = folder / "functions.log"
        self._port = _free_port()
        self._child = Child(preload, log=folder / "standby.log", niceness=0)
        self._environment: dict[str, str] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="functions-host", daemon=True)
        self._log: EventLog | None = None
        self.restarts = 0

    @property
    def url(self) -> str:
        """Each function is at `url/NAME`."""
        return f"http://{HOST}:{self._port}"

    def wait_imported(self, timeout_s: float) -> None:
        """Wait until its interpreter has imported ahead; real seconds."""
        self._child.wait_ready(timeout_s)

    def start(self, environment: Mapping[str, str], log: EventLog, *, timeout_s: float) -> None:
        """Run the functions and wait until they answer.

        Raises:
            RuntimeError: they do not, within `timeout_s` real seconds.
        """
        self._environment = dict(environment)
        self._log = log
        self._child.start(self._order())
        end_s = time.monotonic() + timeout_s
        while not self._is_up():
            if self._child.exit_code is not None or time.monotonic() > end_s:
                raise RuntimeError(
                    f"functions: expected {self._source} to serve within {timeout_s:.0f} s, found"
                    f" exit code {self._child.exit_code} and in {self._log_file}: {self._tail()}"
                )
            time.sleep(_TURN_S)
        self._thread.start()

    def kill(self) -> None:
        """Kill the process as `kill -9` does; it is started again."""
        self._child.kill()

    def stop(self) -> None:
        """Kill it for good."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        self._child.close()

    def _order(self) -> Order:
        return Order(
            env=child_environment() | self._environment,
            cwd=str(self._folder),
            log=str(self._log_file),
            argv=(
                "-m",
                "functions.local.functions_host",
                "--port",
                str(self._port),
                "--source",
                str(self._source),
            ),
        )

    def _watch(self) -> None:
        wait_s = _TURN_S
        begun_s = time.monotonic()
        while not self._stopping.wait(_TURN_S):
            if self._child.exit_code is None:
                continue
            if self._log:
                text = f"ended with {self._child.exit_code}; started again"
                self._log.say(EventKind.FAULT, "functions", text)
            # A host that dies at once again is given ever more time; one that ran is not.
            is_early = time.monotonic() - begun_s < _LONGEST_WAIT_S
            wait_s = min(_LONGEST_WAIT_S, wait_s * 2) if is_early else _TURN_S
            self._child.close()
            self.restarts += 1
            self._child = Child((), log=self._folder / "standby.log", niceness=0)
            self._child.start(self._order())
            begun_s = time.monotonic()
            self._stopping.wait(wait_s)

    def _is_up(self) -> bool:
        try:
            with requests.Session() as session:
                session.trust_env = False
                return session.get(self.url, timeout=1.0).ok
        except requests.RequestException:
            return False

    def _tail(self) -> str:
        if not self._log_file.exists():
            return "nothing"
        return self._log_file.read_text(encoding="utf-8", errors="replace")[-_TAIL:]


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
