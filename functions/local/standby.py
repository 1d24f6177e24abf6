"""Child processes of the embedded cloud, and interpreters that stand by with torch loaded."""

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import functions

PROGRAM = Path(__file__).with_name("standby_program.py")
_ROOT = Path(functions.__file__).parents[1]
NICENESS = 2
"""Standbys and the VMs made of them yield a little to the functions and to the terminal.

Not more: nobody but the superuser can take it back when a VM waits for its interpreter.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a child is to run."""

    env: dict[str, str]
    """Its whole environment."""
    cwd: str
    """Its working folder."""
    log: str
    """File that gets its standard output and error."""
    argv: tuple[str, ...]
    """`-m MODULE ...` or `FILE.py ...`."""


class Child:
    """A process that dies with this one, and leads a process group of its own."""

    def __init__(self, modules: Sequence[str], *, log: Path, niceness: int = NICENESS) -> None:
        """Spawn it; it imports `modules` and waits for its order."""
        self._is_ready = False
        with log.open("ab") as errors:
            self._process = subprocess.Popen(  # noqa: S603 - our own program, no shell
                [sys.executable, "-P", str(PROGRAM), str(niceness), *modules],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=child_environment(),
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Process id, and id of its group."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Exit code, minus the signal if one ended it; `None` while it runs."""
        return self._process.poll()

    def wait_ready(self, timeout_s: float) -> bool:
        """Wait until it has imported everything or has died; `False` if it takes longer."""
        pipe = self._process.stdout
        return pipe is not None and bool(select.select([pipe], [], [], timeout_s)[0])

    @property
    def is_ready(self) -> bool:
        """Whether it has imported everything; never waits."""
        pipe = self._process.stdout
        if not self._is_ready and pipe is not None and self.wait_ready(0):
            # Nothing to read is the end of the pipe: it dies.
            self._is_ready = bool(os.read(pipe.fileno(), 64))
        return self._is_ready

    def start(self, order: Order) -> bool:
        """Give it its order; `False` if it is dead."""
        if self.exit_code is not None or self._process.stdin is None:
            return False
        try:
            self._process.stdin.write(json.dumps(asdict(order)).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return False
        return True

    def terminate(self) -> None:
        """Send SIGTERM to the process alone, as a guest's shutdown does to its service."""
        with suppress(ProcessLookupError):
            self._process.terminate()

    def kill(self) -> None:
        """Kill it with all that it has started."""
        with suppress(ProcessLookupError, PermissionError):  # macOS says EPERM of a zombie's group
            os.killpg(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Kill it, reap it and give back its pipes."""
        self.kill()
        self._process.wait()
        self.kill()  # its children, if it was gone before them
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                with suppress(BrokenPipeError):
                    pipe.close()


class StandbyPool:
    """Interpreters that have imported what VMs need; with size 0 every start is plain."""

    def __init__(self, *, size: int, modules: Sequence[str], log: Path) -> None:
        """Take how many to keep, what they import, and where they complain."""
        self._size = size
        self._modules = tuple(modules)
        self._log = log
        self._idle: deque[Child] = deque()
        self._lock = threading.Lock()
        self._closed = False

    def spawn(self) -> None:
        """Spawn all of them; they import while this process does something else."""
        with self._lock:
            self._refill()

    def fill(self, *, timeout_s: float = 120.0) -> None:
        """Spawn all of them and wait until they have imported; real seconds.

        Raises:
            TimeoutError: they took longer.
        """
        self.spawn()
        with self._lock:
            idle = list(self._idle)
        end_s = time.monotonic() + timeout_s
        if not all(child.wait_ready(max(0.0, end_s - time.monotonic())) for child in idle):
            raise TimeoutError(
                f"standby: expected {', '.join(self._modules)} imported within"
                f" {timeout_s:.0f} s, found interpreters still at it."
                f" Free the processor, or look into {self._log}."
            )

    @property
    def pids(self) -> list[int]:
        """Those that stand by."""
        with self._lock:
            return [child.pid for child in self._idle]

    def launch(self, order: Order) -> Child | None:
        """Run `order` on a standby that has imported everything; `None` if none has yet.

        Ask again then. One that still imports is not given away: a VM that is stopped before
        it has booted would take a half-made interpreter with it, and on a busy machine no VM
        would ever boot. With a pool of none, or if imports fail, the start is plain.
        """
        with self._lock:
            if self._closed:
                raise RuntimeError("standby: expected an open pool, found it closed.")
            for child in [child for child in self._idle if child.exit_code is not None]:
                child.close()
                self._idle.remove(child)
            ready = next((child for child in self._idle if child.is_ready), None)
            if ready is not None:
                self._idle.remove(ready)
            elif self._idle:
                return None
            child = ready or Child((), log=self._log)
            child.start(order)
            self._refill()
            return child

    def close(self) -> None:
        """End all that were not used."""
        with self._lock:
            self._closed = True
            for child in self._idle:
                child.close()
            self._idle.clear()

    def _refill(self) -> None:
        while len(self._idle) < self._size:
            self._idle.append(Child(self._modules, log=self._log))


def child_environment() -> dict[str, str]:
    """Return this process's environment as children need it."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("SMARTSCHEDULER_")
    }
    path = os.pathsep.join(filter(None, [str(_ROOT), inherited.get("PYTHONPATH")]))
    return inherited | {
        "PYTHONPATH": path,
        # Before torch is imported: two VMs with a thread per core each would fight for them.
        "OMP_NUM_THREADS": "1",
        # A proxy cannot reach this machine's loopback.
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        "PYTHONUNBUFFERED": "1",
    }
