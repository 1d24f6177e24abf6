"""Lets the product's own threads, waits and pools run on simulated time."""

import importlib
import logging
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, Self

from greenlet import getcurrent

from soak.kernel import Kernel, SimulatedThreading, SimulatedTime

RUNTIME = (
    *("lease", "reporting", "vm_session", "metrics_file", "checkpoint_writer"),
    *("checkpoint_snapshot", "watchdog", "stop", "checkpoint"),
)
"""Modules of `vm_runtime` that wait or start threads."""

SLOWER: dict[str, dict[str, float]] = {
    "vm_runtime.vm_session": {"REPORT_PERIOD_S": 150.0, "_SLOWEST_POLL_S": 10.0},
    "vm_runtime.stop": {"_SLICE_S": 10.0},
    "vm_runtime.watchdog": {"_SLOWEST_LOOK_S": 60.0},
}
"""How often the runtime looks: less often than in truth, as each look costs the simulation."""

SWIFT_FOLDER = Path("/dev/shm")  # noqa: S108 - for `tempfile`, which makes folders of its own
"""Where checkpoints are downloaded to, if it is there: no disk has to turn."""

LOOKBACK = timedelta(hours=24)
"""Hours that the simulated forecaster looks at; it needs no week."""


class _Serial:
    """A pool whose threads run one after the other: they are no part of what is simulated."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def map(self, call: Callable[..., object], *items: Iterable[object]) -> Iterator[object]:
        return iter([call(*each) for each in zip(*items, strict=False)])

    def submit(self, call: Callable[..., object], *args: object, **kwargs: object) -> "_Done":
        return _Done(call, args, kwargs)

    def shutdown(self, **_: object) -> None:
        pass


class _Done:
    def __init__(self, call: Callable[..., object], args: Any, kwargs: Any) -> None:  # noqa: ANN401
        self._result: object = None
        self._error: Exception | None = None
        try:
            self._result = call(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - raised by `result`, as a future does
            self._error = error

    def result(self, timeout: float | None = None) -> object:
        del timeout
        if self._error is not None:
            raise self._error
        return self._result


class _System:
    """Stands for `os` in the watchdog: ends the simulated process, not this one."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def _exit(self, code: int) -> None:
        machine = getcurrent().machine
        machine.on_exit(code)
        self._kernel.park(None)


class _NoFaultHandler:
    @staticmethod
    def dump_traceback_later(*_: object, **__: object) -> None:
        """The simulated process cannot get stuck in C code."""


class _Listener(logging.Handler):
    def __init__(self, on_error: Callable[[logging.LogRecord], None]) -> None:
        super().__init__(logging.ERROR)
        self.emit = on_error


class _Changes:
    """Attributes that were set, to be put back."""

    def __init__(self) -> None:
        self._before: list[tuple[Any, str, object]] = []

    def set(self, owner: Any, name: str, value: object) -> None:  # noqa: ANN401 - a module or class
        self._before.append((owner, name, getattr(owner, name)))
        setattr(owner, name, value)

    def undo(self) -> None:
        for owner, name, value in reversed(self._before):
            setattr(owner, name, value)


@contextmanager
def simulated(kernel: Kernel, *, on_error: Callable[[logging.LogRecord], None]) -> Iterator[None]:
    """Let all that runs inside do so on the time of `kernel`; `on_error` hears errors logged."""
    changes = _Changes()
    with _heard(on_error):
        try:
            _simulate_runtime(changes, kernel)
            _simulate_functions(changes)
            if SWIFT_FOLDER.is_dir():
                changes.set(tempfile, "tempdir", str(SWIFT_FOLDER))
            yield
        finally:
            changes.undo()


def _simulate_runtime(changes: _Changes, kernel: Kernel) -> None:
    threads, clock = SimulatedThreading(kernel), SimulatedTime(kernel)
    for name in RUNTIME:
        module = importlib.import_module(f"vm_runtime.{name}")
        if getattr(module, "threading", None) is threading:
            changes.set(module, "threading", threads)
        if getattr(module, "time", None) is time:
            changes.set(module, "time", clock)
    watchdog = sys.modules["vm_runtime.watchdog"]
    changes.set(watchdog, "os", _System(kernel))
    changes.set(watchdog, "faulthandler", _NoFaultHandler)
    checkpoints = sys.modules["vm_runtime.checkpoint"].Checkpoints
    changes.set(checkpoints.__init__, "__kwdefaults__", {"sleep": clock.sleep})
    for name, values in SLOWER.items():
        for constant, value in values.items():
            changes.set(sys.modules[name], constant, value)


def _simulate_functions(changes: _Changes) -> None:
    for module in _with_pools():
        changes.set(module, "ThreadPoolExecutor", _Serial)
    changes.set(sys.modules["functions.handlers.record"], "LOOKBACK", LOOKBACK)


@cache
def _with_pools() -> list[Any]:
    handlers = [each for each in sys.modules if each.startswith("functions.handlers.")]
    modules = [sys.modules[name] for name in handlers]
    return [each for each in modules if hasattr(each, "ThreadPoolExecutor")]


@contextmanager
def _heard(on_error: Callable[[logging.LogRecord], None]) -> Iterator[None]:
    listener, disabled = _Listener(on_error), logging.root.manager.disable
    loggers = [logging.getLogger(name) for name in ("functions", "vm_runtime")]
    was_open = [logger.propagate for logger in loggers]
    for logger in loggers:
        logger.addHandler(listener)
        logger.propagate = False
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(disabled)
        for logger, propagate in zip(loggers, was_open, strict=True):
            logger.removeHandler(listener)
            logger.propagate = propagate
