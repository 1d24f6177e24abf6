"""Pub/Sub, Cloud Scheduler and Cloud Functions: who is woken when, and what is delivered again."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from functions.domain.lifecycle.actions import Owner
from functions.domain.lifecycle.state import Verb
from functions.errors import PermanentError, TransientError
from functions.handlers.reconcile import reconcile
from functions.handlers.submit import submit
from functions.handlers.tick import tick
from functions.handlers.wishes import wish
from functions.ports import Ports
from functions.wire import WakeUp, WakeUpKind, decode_wake_up, encode_wake_up
from soak.bucket import BucketView
from soak.compute import FleetView
from soak.faults import Kind
from soak.kernel import START, Machine
from soak.schedule import GRID_ZONES
from vm_runtime.storage.port import StorageUnavailableError

if TYPE_CHECKING:
    from soak.schedule import Submission
    from soak.world import World

HEARTBEAT_S = 300.0
TIMEOUTS_S = {"forecast": 540.0}
"""Longest run of a function (infra/functions.tf); the others get 300 s."""
_HEARTBEAT = encode_wake_up(WakeUp(kind=WakeUpKind.HEARTBEAT))
_BOUNDARY = encode_wake_up(WakeUp(kind=WakeUpKind.BOUNDARY))
ATTEMPTS = 10
"""Then a message goes to the dead letters (infra/topic.tf)."""


class Bus:
    """Wakes functions."""

    def __init__(self, world: "World") -> None:
        """Wake nobody yet."""
        self._world = world
        self._runs = 0
        self.boundaries_s: list[float] = []
        self._tick_asked = False
        self.machine = Machine(world.kernel, "Pub/Sub")

    def start(self) -> None:
        """Begin the regular rounds."""
        for round_of in (self._ticks, self._heartbeats, self._boundaries):
            self._spawn(round_of)

    def publish(self, data: bytes) -> None:
        """Deliver to each function, as the faults that are on will have it."""
        world = self._world
        windows = world.active(Kind.MESSAGES)
        for owner in Owner:
            late_s = world.dice.uniform(0.02, 0.5)
            if any(world.dice.random() < window.chance for window in windows):
                continue
            self._deliver(owner, data, late_s)
            for window in windows:
                late_s = world.dice.uniform(0, window.number)
                self._deliver(owner, data, late_s)

    def tick_now(self) -> None:
        """Trigger `forecast`."""
        self._tick()

    def submit(self, submission: "Submission") -> None:
        """Let a person submit a job, again and again until it is in."""
        job = submission.job
        self._ask(lambda store, alarm, _: submit(store, alarm, job, {job.script: b""}))

    def wish(self, job_id: str, verb: Verb) -> None:
        """Let a person ask for something, again and again until the bucket answers."""
        self._world.tell("person", f"{verb} {job_id}")
        self._ask(lambda store, _, now: wish(store, job_id, verb, now()))

    def _ask(self, ask: Callable[..., object]) -> None:
        machine = Machine(self._world.kernel, "person", ahead_s=self._world.dice.uniform(-30, 30))
        store = BucketView(self._world, machine, "person")
        alarm = _AlarmView(self._world, machine, "person")

        def try_to() -> None:
            while True:
                try:
                    ask(store, alarm, machine.now)
                except PermanentError as error:
                    self._world.tell("person", f"is refused: {error}")
                except (TransientError, StorageUnavailableError):
                    self._world.kernel.sleep(60.0)
                    continue
                return

        self._world.kernel.spawn(machine, try_to)

    def run(
        self,
        name: str,
        call: Callable[[Ports], object],
        then: Callable[[bool], object],
        message: WakeUp | None = None,
    ) -> None:
        """Run a function to its end, and then tell whether it succeeded."""
        world, kernel = self._world, self._world.kernel
        if world.is_on(Kind.FUNCTIONS_DOWN):
            then(False)  # noqa: FBT003 - as told below
            return
        self._runs += 1
        ahead_s = world.dice.uniform(-30, 30)
        machine = Machine(kernel, f"{name} #{self._runs}", ahead_s=ahead_s)
        machine.is_stale = self._is_stale(message)

        def end(*, succeeded: bool) -> None:
            watch.cancel()
            machine.kill()
            then(succeeded)

        def run() -> None:
            succeeded = _succeeds(world, machine, name, call)
            kernel.forget(machine)
            end(succeeded=succeeded)

        watch = kernel.call_later(
            self.machine, lambda: end(succeeded=False), TIMEOUTS_S.get(name, 300.0)
        )
        if world.dice.random() < 0.5:  # else it is missed only when its time is over
            machine.on_death = lambda: end(succeeded=False)
        kernel.spawn(machine, run)

    def _is_stale(self, message: WakeUp | None) -> bool:
        if message is None or message.seq is None:
            return False
        state = self._world.laws.states.get(message.job_id or "")
        return state is not None and message.seq < state.seq

    def _spawn(self, run: Callable[[], object]) -> None:
        self._world.kernel.spawn(self.machine, run)

    def _deliver(self, owner: Owner, data: bytes, late_s: float) -> None:
        timing = self._world.schedule.timing

        message = _decoded(data)
        pauses_s = iter([min(600.0, 10.0 * 2**attempt) for attempt in range(ATTEMPTS - 1)])

        def deliver() -> None:
            self.run(owner, lambda ports: reconcile(ports, timing, owner, message), then, message)

        def then(succeeded: bool) -> None:  # noqa: FBT001 - told by `run`
            pause_s = None if succeeded else next(pauses_s, None)
            if pause_s is not None:
                self._later(deliver, pause_s)

        self._later(deliver, late_s)

    def _later(self, run: Callable[[], object], after_s: float) -> None:
        self._world.kernel.call_later(self.machine, run, after_s)

    def _ticks(self) -> None:
        while True:
            self._tick()
            self._world.kernel.sleep(3600.0 - self._world.kernel.now_s % 3600.0)

    def _tick(self) -> None:
        pauses_s = iter((30.0, 60.0, 120.0))  # infra/schedule.tf

        def run() -> None:
            self.run("forecast", self._do_tick, then)

        def then(succeeded: bool) -> None:  # noqa: FBT001 - told by `run`
            pause_s = None if succeeded else next(pauses_s, None)
            if pause_s is not None:
                self._later(run, pause_s)

        self._later(run, 0.0)

    def _do_tick(self, ports: Ports) -> None:
        tick(ports, self._world.schedule.timing, GRID_ZONES)

    def _heartbeats(self) -> None:
        while True:
            if not self._world.is_on(Kind.HEARTBEAT_DOWN):
                self.publish(_HEARTBEAT)
            self._world.kernel.sleep(HEARTBEAT_S)

    def _boundaries(self) -> None:
        while True:
            self._world.kernel.sleep(60.0 - self._world.kernel.now_s % 60.0)
            now_s = self._world.kernel.now_s
            left = [each for each in self.boundaries_s if each > now_s]
            if len(left) < len(self.boundaries_s):
                self.boundaries_s = left
                if not self._world.is_on(Kind.HEARTBEAT_DOWN):
                    self.publish(_BOUNDARY)


_decoded = lru_cache(maxsize=256)(decode_wake_up)
"""One message goes to three functions, and to each again and again."""


def _succeeds(world: "World", machine: Machine, name: str, call: Callable[[Ports], object]) -> bool:
    try:
        call(_ports(world, machine, name))
    except TransientError as error:
        world.tell(machine.name, f"will be woken again: {error}")
        return False
    except PermanentError as error:
        world.tell(machine.name, f"gives up: {error}")
        return True
    except Exception as error:  # noqa: BLE001 - whatever it is, it should not be
        world.laws.broken("no unforeseen errors", f"{name} raised {error!r}")
    return True


def _ports(world: "World", machine: Machine, name: str) -> Ports:
    return Ports(
        store=BucketView(world, machine, name),
        fleet=(fleet := FleetView(world, machine, name)),
        disks=fleet,
        publisher=_Publisher(world, machine, name),
        alarm=_AlarmView(world, machine, name),
        intensity=world.grid,
        forecaster=world.grid,
        clock=machine,
    )


class _Publisher:
    def __init__(self, world: "World", machine: Machine, party: str) -> None:
        self._world, self._machine, self._party = world, machine, party

    def publish(self, message: WakeUp) -> None:
        data = encode_wake_up(message)
        self._world.calls.make(
            self._machine, self._party, "publish", lambda: self._world.bus.publish(data)
        )


class _AlarmView:
    def __init__(self, world: "World", machine: Machine, party: str) -> None:
        self._world, self._machine, self._party = world, machine, party

    def aim_boundary(self, at: datetime, *later: datetime) -> None:
        def aim() -> None:
            ends = [-(-(each - START) // timedelta(minutes=1)) for each in (at, *later)]
            self._world.bus.boundaries_s = [60.0 * minutes for minutes in ends]

        self._world.calls.make(self._machine, self._party, "alarm", aim)

    def tick_now(self) -> None:
        self._world.calls.make(self._machine, self._party, "alarm", self._world.bus.tick_now)
