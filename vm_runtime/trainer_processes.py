"""Starts and ends the processes that train together on one machine.

The first one is the user's script as it was started. It runs the script again for each further
device; there, `fit()` follows the first one and then ends the process, so that what comes after
`fit()` in the script happens once.
"""

import json
import logging
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed
from torch._C._distributed_c10d import TCPStore

from vm_runtime.data import ALONE, Share
from vm_runtime.trainer_group import Group
from vm_runtime.trainer_settings import TrainingSettings

_log = logging.getLogger(__name__)

VARIABLE = "SMARTSCHEDULER_FOLLOWER"
"""Set in the processes that follow the first one: what they are told, as JSON."""
_HOST = "127.0.0.1"
_JOIN_S = 30.0
_PARENT_LOOK_S = 0.5
_GONE_S = 3.0
_JOIN_LOOK_S = 0.05
_WAIT = timedelta(hours=6)
"""How long a process waits for another one: a long validation, a checkpoint, a debugger."""


class FollowerError(RuntimeError):
    """The processes of a training could not be started, or one of them is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """What a follower is told."""

    rank: int
    size: int
    port: int
    parent: int
    path: list[str]
    module: str | None
    script: str


@contextmanager
def train_together(settings: TrainingSettings) -> Iterator[Group]:
    """Give the group that the settings ask for, its processes running for as long.

    Raises:
        FollowerError: they could not be started, or one of them is gone.
    """
    if settings.devices == 1:
        yield Group(settings, ALONE)
        return
    order = _order()
    if order is None:
        yield from _lead(settings)
    else:
        store = TCPStore(_HOST, order.port, order.size, is_master=False)
        store.set(_here(order.rank), "")
        _join(store, order.rank, order.size)
        yield Group(settings, Share(rank=order.rank, size=order.size))


def is_follower() -> bool:
    """Whether this process was started by the first one of a group."""
    return VARIABLE in os.environ


def _lead(settings: TrainingSettings) -> Iterator[Group]:
    if distributed.is_initialized():
        message = (
            "expected one fit() with several devices in a script, found a second, or a process"
            " group of the script's own; leave the processes to devices=..."
        )
        raise FollowerError(message)
    store = TCPStore(_HOST, 0, settings.devices, is_master=True, wait_for_workers=False)
    followers = [start(rank, settings.devices, store.port) for rank in range(1, settings.devices)]
    try:
        _wait_for(followers, store)
        _join(store, 0, settings.devices)
        group = Group(settings, Share(rank=0, size=settings.devices))
        yield group
    except BaseException as error:
        gone = _gone(followers) if isinstance(error, RuntimeError) else []
        _end(followers, patience_s=0.0)
        if gone:
            message = (
                f"expected {settings.devices} processes to train together, found that"
                f" {', '.join(gone)} ended: see its messages above; the last checkpoint is kept"
            )
            raise FollowerError(message) from error
        raise
    else:
        _end(followers, patience_s=_JOIN_S if group.has_begun else 0.0)
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()


def _wait_for(followers: list[subprocess.Popen[bytes]], store: TCPStore) -> None:
    """Wait until all have come as far as `fit()`: one that fails before that never will."""
    for rank, follower in enumerate(followers, start=1):
        while not store.check([_here(rank)]):
            if follower.poll() is not None:
                message = "expected another process to come as far as fit(), found that it ended"
                raise RuntimeError(message)
            time.sleep(_JOIN_LOOK_S)


def _here(rank: int) -> str:
    return f"process {rank} is here"


def _join(store: TCPStore, rank: int, size: int) -> None:
    backend = "nccl" if torch.cuda.is_available() and torch.cuda.device_count() >= size else "gloo"
    distributed.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=_WAIT)


def start(rank: int, size: int, port: int) -> subprocess.Popen[bytes]:
    """Run the script again as process `rank`."""
    main = sys.modules["__main__"]
    script, spec = getattr(main, "__file__", None), getattr(main, "__spec__", None)
    if script is None:
        message = (
            "expected a script that can be run again for each device, found an interactive"
            " session; put the training into a file, or set devices=1"
        )
        raise FollowerError(message)
    order = {
        "rank": rank,
        "size": size,
        "port": port,
        "parent": os.getpid(),
        "path": sys.path,
        "module": None if spec is None else spec.name,
        "script": os.path.abspath(script),  # noqa: PTH100  as Python writes it itself
    }
    return subprocess.Popen(  # noqa: S603  this program itself
        [sys.executable, "-m", "vm_runtime.trainer_processes", *sys.argv[1:]],
        env={**os.environ, VARIABLE: json.dumps(order)},
        stdout=subprocess.DEVNULL,  # what the script says is said once
    )


def _gone(followers: list[subprocess.Popen[bytes]]) -> list[str]:
    """Return the processes that ended; one that closes its connections may take a moment."""
    deadline = time.monotonic() + _GONE_S
    while time.monotonic() < deadline:
        gone = [f"{f.pid} (exit code {f.poll()})" for f in followers if f.poll() is not None]
        if gone:
            return gone
        time.sleep(_GONE_S / 20)
    return []


def _end(followers: list[subprocess.Popen[bytes]], *, patience_s: float) -> None:
    deadline = time.monotonic() + patience_s
    for follower in followers:
        try:
            follower.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            follower.kill()
            follower.wait()


def _order() -> _Order | None:
    text = os.environ.get(VARIABLE)
    return None if text is None else _Order(**json.loads(text))


def _leave_with(parent: int) -> None:
    """End this process soon after the first one is gone, however it went."""

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(_PARENT_LOOK_S)
        os._exit(1)

    threading.Thread(target=look, name="parent watch", daemon=True).start()


def main() -> None:
    """Run the script as a follower."""
    order = _order()
    if order is None:
        sys.exit(f"expected {VARIABLE} in the environment: this is not for people to start")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # the first process decides when to stop
    _leave_with(order.parent)
    sys.path[:] = order.path
    sys.argv[0] = order.script
    if order.module is not None:
        runpy.run_module(order.module, run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(order.script, run_name="__main__")


if __name__ == "__main__":
    main()
