"""Simulated time and simulated threads: one runs at a time, and only waiting lets time go by.

Tasks are greenlets. A machine is what tasks run on: it may stand still, or die, at any moment at
which one of its tasks waits; what died never runs another line.
"""

import heapq
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from greenlet import GreenletExit, getcurrent, greenlet

START = datetime(2024, 3, 5, 0, 0, tzinfo=UTC)
"""Simulated second 0."""


class KilledError(GreenletExit):
    """Raised in what is left of a dead machine once the simulation is over."""


class Machine:
    """A computer with a clock of its own."""

    def __init__(self, kernel: "Kernel", name: str, *, ahead_s: float = 0.0) -> None:
        """Switch it on; its clock is `ahead_s` ahead of the true time."""
        self.kernel, self.name = kernel, name
        self.is_up = True
        self.began_s = kernel.now_s
        self.on_exit: Callable[[int], None] = lambda _code: None
        self.on_death: Callable[[], None] = lambda: None
        self.frozen_until_s = 0.0
        self.cut_off_until_s = 0.0
        self.is_stale = False
        """Whether it runs because of a message that a newer plan has overtaken."""
        self.coming_fault: Any = None
        """A fault that hits this machine alone, at the first such call once it ends."""
        self.is_ending: Callable[[], bool] = lambda: False
        self.tasks: list[Task] = []
        self._ahead_s = ahead_s
        self._shown_s, self._shown = 0.0, START
        kernel.machines[self] = None

    def now(self) -> datetime:
        """Return what this machine's clock shows."""
        shown_s = self.kernel.now_s + self._ahead_s
        if shown_s != self._shown_s:
            self._shown_s, self._shown = shown_s, START + timedelta(seconds=shown_s)
        return self._shown

    def wait_s(self, duration_s: float) -> float:
        """One second is one second."""
        return duration_s

    def monotonic(self) -> float:
        """Return seconds that never step back."""
        return self.kernel.now_s

    def step_clock(self, ahead_s: float) -> None:
        """Set the clock, as NTP may."""
        self._ahead_s = ahead_s

    def fault_at(self, what: str) -> Any:  # noqa: ANN401 - the kernel does not know faults
        """Return the fault that waits for this call, once."""
        fault = self.coming_fault
        if fault is None or not what.startswith(fault.call) or not self.is_ending():
            return None
        self.coming_fault = None
        return fault

    def freeze(self, duration_s: float) -> None:
        """Stand still, all tasks at once, and go on as if nothing had been."""
        self.frozen_until_s = max(self.frozen_until_s, self.kernel.now_s + duration_s)

    def kill(self) -> None:
        """Lose power: no task of it runs another line."""
        self.is_up = False


class Task(greenlet):
    """A thread of a machine."""

    def __init__(self, machine: Machine, run: Callable[[], object]) -> None:
        """Start at once, at the present time."""
        super().__init__(run, machine.kernel.hub)
        self.machine = machine
        self.token: int | None = None
        machine.tasks.append(self)


class Call:
    """Something short to be done later, by nobody's thread: it must not wait."""

    __slots__ = ("machine", "run", "token")

    def __init__(self, machine: Machine, run: Callable[[], object]) -> None:
        """Wait to be done, unless `machine` is dead by then."""
        self.machine, self.run = machine, run
        self.token: int | None = None

    def cancel(self) -> None:
        """Let it not be done."""
        self.token = None


class Kernel:
    """The event loop."""

    def __init__(self) -> None:
        """Stand at second 0; whoever makes it is the hub."""
        self.now_s = 0.0
        self.hub = getcurrent()
        self.machines: dict[Machine, None] = {}
        self.events = 0
        self._heap: list[tuple[float, int, Task | Call, int | None]] = []
        self._count = 0
        self._until_s = 0.0
        self._stopped = False

    def spawn(self, machine: Machine, run: Callable[[], object], *, after_s: float = 0.0) -> Task:
        """Start a task."""
        task = Task(machine, run)
        self._begin(task, after_s)
        return task

    def call_later(self, machine: Machine, run: Callable[[], object], after_s: float) -> Call:
        """Do something later that takes no time: cheaper than a task."""
        call = Call(machine, run)
        self._begin(call, after_s)
        return call

    def forget(self, machine: Machine) -> None:
        """Drop a machine whose tasks have all ended."""
        machine.kill()
        self.machines.pop(machine, None)

    def sleep(self, duration_s: float) -> None:
        """Let time go by for the calling task."""
        self.park(duration_s)

    def park(self, timeout_s: float | None) -> None:
        """Wait until woken, at most so long."""
        task = getcurrent()
        if self._stopped and not task.machine.is_up:
            raise KilledError
        self._count = token = self._count + 1
        task.token = token
        if timeout_s is not None:
            heapq.heappush(self._heap, (self.now_s + max(timeout_s, 0.0), token, task, token))
        following = self._next()
        if following is not task:  # no `or`: a greenlet that has not begun is false
            (self.hub if following is None else following).switch()
        if self._stopped and not task.machine.is_up:
            raise KilledError

    def wake(self, task: Task) -> None:
        """Let a waiting task go on now."""
        if task.token is not None:
            self._push(self.now_s, task)

    def die(self, machine: Machine) -> None:
        """Kill the machine that the calling task runs on."""
        machine.on_death()
        machine.kill()
        self.park(None)

    def run(self, *, until_s: float) -> None:
        """Let time go by until somebody calls `stop`, nothing is left to do, or `until_s`.

        What a task raises is raised here.
        """
        self._until_s = until_s
        while (task := self._next()) is not None:
            task.switch()

    def _next(self) -> Task | None:
        """Let time go by to the next task that goes on; who parks switches straight to it."""
        heap = self._heap
        while heap and not self._stopped:
            due_s, _, task, token = heapq.heappop(heap)
            machine = task.machine
            if task.token != token or not machine.is_up:
                continue
            if machine.frozen_until_s > due_s:
                self._count += 1
                heapq.heappush(heap, (machine.frozen_until_s, self._count, task, token))
                continue
            if due_s > self._until_s:
                break
            self.now_s = due_s
            self.events += 1
            task.token = None
            if type(task) is Task:
                return task
            task.run()
        return None

    def stop(self) -> None:
        """End the simulation."""
        self._stopped = True

    def close(self) -> None:
        """Unwind what is left: it can do nothing more."""
        self._stopped = True
        for machine in list(self.machines):
            machine.kill()
        for machine in list(self.machines):
            for task in machine.tasks:
                if not task.dead:
                    with suppress(Exception):
                        task.throw(KilledError)
        self.machines.clear()
        self._heap.clear()

    def _begin(self, task: Task | Call, after_s: float) -> None:
        self._count += 1
        task.token = self._count
        self._push(self.now_s + after_s, task)

    def _push(self, due_s: float, task: Task | Call) -> None:
        self._count += 1
        heapq.heappush(self._heap, (due_s, self._count, task, task.token))


class SimulatedThreading:
    """Stands for the module `threading` in what runs on a kernel."""

    def __init__(self, kernel: Kernel) -> None:
        """Make threads of `kernel`."""
        self._kernel = kernel

    def Lock(self) -> "_Lock":  # noqa: N802 - threading's own name
        """Return a lock that lets time go by while it is waited for."""
        return _Lock(self._kernel)

    def Event(self) -> "_Event":  # noqa: N802 - threading's own name
        """Return an event."""
        return _Event(self._kernel)

    def Thread(self, **about: Any) -> "_Thread":  # noqa: N802, ANN401 - threading's own
        """Return a thread."""
        return _Thread(self._kernel, **about)

    def get_ident(self) -> int:
        """Return a number of the calling thread."""
        return id(getcurrent())


class _Lock:
    def __init__(self, kernel: Kernel) -> None:
        self._kernel, self._is_taken, self._waiting = kernel, False, []

    def __enter__(self) -> None:
        while self._is_taken:
            self._waiting.append(getcurrent())
            self._kernel.park(None)
        self._is_taken = True

    def __exit__(self, *_: object) -> None:
        self._is_taken = False
        if self._waiting:
            self._kernel.wake(self._waiting.pop(0))


class _Event:
    def __init__(self, kernel: Kernel) -> None:
        self._kernel, self._is_set, self._waiting = kernel, False, []

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True
        for task in self._waiting:
            self._kernel.wake(task)
        self._waiting = []

    def clear(self) -> None:
        self._is_set = False

    def wait(self, timeout: float | None = None) -> bool:
        if not self._is_set:
            task = getcurrent()
            self._waiting.append(task)
            self._kernel.park(timeout)
            if task in self._waiting:
                self._waiting.remove(task)
        return self._is_set


class _Thread:
    def __init__(self, kernel: Kernel, *, target: Callable[..., object], **about: Any) -> None:  # noqa: ANN401 - as threading
        self._kernel, self._target = kernel, target
        self._args, self._kwargs = about.get("args", ()), about.get("kwargs") or {}
        self._task: Task | None = None
        self._ended = _Event(kernel)

    def start(self) -> None:
        self._task = self._kernel.spawn(getcurrent().machine, self._run)

    def is_alive(self) -> bool:
        return self._task is not None and not self._ended.is_set()

    def join(self, timeout: float | None = None) -> None:
        if self.is_alive():
            self._ended.wait(timeout)

    def _run(self) -> None:
        self._target(*self._args, **self._kwargs)
        self._ended.set()


class SimulatedTime:
    """Stands for the module `time` in what runs on a kernel."""

    def __init__(self, kernel: Kernel) -> None:
        """Tell the time of `kernel`."""
        self._kernel = kernel

    def monotonic(self) -> float:
        """Return seconds that never step back."""
        return self._kernel.now_s

    perf_counter = monotonic

    def thread_time(self) -> float:
        """Return the time of a core: as if half of all waiting were work."""
        return self._kernel.now_s / 2

    def sleep(self, duration_s: float) -> None:
        """Let time go by."""
        self._kernel.sleep(duration_s)
