"""A simulated world around the real handlers: clock, bus, fleet, guests, grid, and chaos.

Everything random comes from one seed, so that a failing run can be played again.
"""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache, cached_property

from fake_fleet import FakeFleet
from memory_blobs import MemoryBlobStore
from simulated_clock import SimulatedClock, SkewedClock
from simulated_guest import Guest

from forecaster.series import Forecast, IntensityHistory, IntensityHour, Method, ZoneForecast
from functions.domain.lifecycle.actions import Owner
from functions.domain.lifecycle.state import JobState, Phase, Verb
from functions.domain.lifecycle.timing import Timing
from functions.domain.lifecycle.vm import Vm, VmStatus
from functions.domain.regions import GRID_ZONES
from functions.errors import TransientError, UnavailableError
from functions.handlers.documents import Documents
from functions.handlers.reconcile import reconcile
from functions.handlers.submit import submit
from functions.handlers.tick import tick
from functions.handlers.wishes import Granted, wish
from functions.ports import Ports
from functions.wire import WakeUp, WakeUpKind
from vm_runtime.contract import object_names
from vm_runtime.contract.checkpoint import Latest
from vm_runtime.contract.instance import Attribute
from vm_runtime.contract.job import Job
from vm_runtime.storage.port import StorageUnavailableError

TURN_S = 60.0
LONGEST_OVERRUN = timedelta(minutes=15)
"""Promise 4."""


class CrashError(BaseException):
    """A function died here; nothing catches it but the bus."""


class LawError(BaseException):
    """The control plane broke a law of the design; nothing but the test catches it."""


@dataclass
class Chaos:
    """What goes wrong, with which probability."""

    duplicate: float = 0.0
    drop: float = 0.0
    delay_s: float = 0.0
    shuffle: bool = False
    preempt: float = 0.0
    """Chance per running VM and turn to be killed without notice."""
    crash: float = 0.0
    """Chance per effect of a function to die just before or just after it."""
    crash_at: int | None = None
    """Die at exactly this effect (counted over the whole run), once."""
    unavailable: float = 0.0
    """Chance per call of a function that the service does not answer, done or not."""
    outage: float = 0.0
    """Chance per turn that the control plane goes away for up to three hours."""
    deleted: float = 0.0
    """Chance per VM and turn that a person deletes it."""
    refused: float = 0.0
    """Chance per insert that its operation fails for an unknown reason."""
    stale: float = 0.0
    """Chance per message that a copy of it comes again hours or days later."""
    skew_s: float = 0.0
    """How far the VMs' clocks may be off, seconds either way."""


class Grid:
    """Intensity of thirteen zones: waves whose crests move around the clock."""

    name = "simulated waves"

    def __init__(self, clock: SimulatedClock) -> None:
        """Be deterministic in time."""
        self._clock = clock
        self.silent: set[str] = set()

    @staticmethod
    def value(grid_zone: str, start: datetime) -> float:
        """Return gCO2eq/kWh of an hour."""
        number = GRID_ZONES.index(grid_zone)
        hours = start.timestamp() / 3600
        return 200 + 150 * math.sin(2 * math.pi * (hours / 8 + number / 5))

    def recent_hours(self, grid_zone: str, now: datetime) -> Sequence[IntensityHour]:
        """Return the last 24 hours."""
        if grid_zone in self.silent:
            return []
        starts = [now - timedelta(hours=24 - number) for number in range(24)]
        return [_hour(start, self.value(grid_zone, start)) for start in starts]

    def forecast(
        self,
        histories: Mapping[str, IntensityHistory],
        origin: datetime,
        *,
        horizon_h: int,
        source: str,
    ) -> Forecast:
        """Forecast the waves with an error that changes with the origin."""
        zones = tuple(_zone_forecast(grid_zone, origin, horizon_h) for grid_zone in histories)
        return Forecast(origin=origin, zones=zones, model_version="waves", source=source)


# Many worlds live through the same hours: what is a pure function of them is made once.
@cache
def _hour(start: datetime, gco2eq_per_kwh: float) -> IntensityHour:
    return IntensityHour(start=start, gco2eq_per_kwh=gco2eq_per_kwh)


@cache
def _zone_forecast(grid_zone: str, origin: datetime, horizon_h: int) -> ZoneForecast:
    draw = random.Random(f"{grid_zone}{origin}")
    hours = [origin + timedelta(hours=lead) for lead in range(horizon_h)]
    p50 = tuple(Grid.value(grid_zone, hour) * draw.uniform(0.9, 1.1) for hour in hours)
    return ZoneForecast(
        grid_zone=grid_zone,
        p10=tuple(0.8 * value for value in p50),
        p50=p50,
        p90=tuple(1.2 * value for value in p50),
        method=Method.TCN,
        history_h=24,
    )


@dataclass(eq=False)
class _Delivery:
    due: datetime
    owner: Owner
    message: WakeUp
    attempts: int = 0


@dataclass
class World:
    """The control plane, its VMs, and everything that can go wrong."""

    seed: int = 0
    chaos: Chaos = field(default_factory=Chaos)
    timing: Timing = field(default_factory=Timing)

    def __post_init__(self) -> None:
        """Start with an empty bucket and no VM."""
        self.random = random.Random(self.seed)
        self.clock = SimulatedClock()
        self.store = MemoryBlobStore()
        self.fleet = FakeFleet(self.clock)
        self.fleet.on_power_off = self._drop_guest
        self.grid = Grid(self.clock)
        self.guests: dict[str, Guest] = {}
        self.steps_total: dict[str, int] = {}
        self.backlog: list[_Delivery] = []
        self.boundary: datetime | None = None
        self.boundaries: list[datetime] = []
        self.effects = 0
        self.crashes = 0
        self.is_control_plane_down = False
        self.latest_steps: dict[str, int] = {}
        self.next_tick = self.next_heartbeat = self.clock.now()
        self.history: list[str] = []
        self.outage_until = self.clock.now()
        self._fragile = Fragile(self)

    @cached_property
    def ports(self) -> Ports:
        """The world as the handlers see it."""
        fragile = self._fragile
        return Ports(
            store=fragile.wrap(self.store, ("write", "delete"), ("read", "list")),
            fleet=fragile.wrap(
                self.fleet,
                ("insert", "start", "stop", "delete", "set_interval_end"),
                ("list", "operation"),
            ),
            disks=fragile.wrap(
                self.fleet.disks,
                ("take_snapshot", "copy_disk", "attach", "delete_disk", "delete_snapshot"),
                ("disks", "snapshots"),
            ),
            publisher=fragile.wrap(self, ("publish",)),
            alarm=fragile.wrap(self, (), ("aim_boundary",)),
            intensity=self.grid,
            forecaster=self.grid,
            clock=self.clock,
        )

    def submit(self, job: Job, steps_total: int) -> None:
        """Submit a job; its script takes `steps_total` steps."""
        self.steps_total[job.job_id] = steps_total
        submit(self.store, self, job, {job.script: b""})

    def wish(self, job_id: str, verb: Verb, *, deadline: datetime | None = None) -> Granted:
        """Let a person ask for something; the command writes the state, and no message."""
        return wish(self.store, job_id, verb, self.clock.now(), deadline=deadline)

    def publish(self, message: WakeUp) -> None:
        """Queue a delivery to each function, as chaos wills."""
        for owner in Owner:
            if self.random.random() < self.chaos.drop:
                continue
            copies = 2 if self.random.random() < self.chaos.duplicate else 1
            for _ in range(copies):
                late = timedelta(seconds=self.random.uniform(0, self.chaos.delay_s))
                self.backlog.append(_Delivery(self.clock.now() + late, owner, message))
            if self.chaos.stale and self.random.random() < self.chaos.stale:
                late = timedelta(hours=self.random.uniform(1, 48))
                self.backlog.append(_Delivery(self.clock.now() + late, owner, message))

    def aim_boundary(self, at: datetime, *later: datetime) -> None:
        """Set the alarm."""
        self.boundary, self.boundaries = at, list(later)

    def tick_now(self) -> None:
        """Tick at the next turn."""
        self.next_tick = self.clock.now()

    def run(self, until: Callable[[], bool], *, at_most_h: float) -> None:
        """Let time go by until the condition holds; fail if it takes too long."""
        end = self.clock.now() + timedelta(hours=at_most_h)
        while not until():
            assert self.clock.now() < end, f"seed {self.seed}: not done after {at_most_h} h\n" + (
                "\n".join(self.history[-40:])
            )
            self.turn()

    def turn(self) -> None:
        """Let `TURN_S` go by."""
        self.clock.advance(TURN_S)
        self.fleet.settle()
        self._run_guests()
        self._make_trouble()
        if not self.is_control_plane_down and self.clock.now() >= self.outage_until:
            self._run_schedule()
            self._deliver()
        self._check_promises()

    def state(self, job_id: str) -> JobState:
        """Return the job's state."""
        return Documents(self.store).get(JobState, object_names.state(job_id))

    def is_over(self) -> bool:
        """Whether every job is in a final phase and nothing that costs is left."""
        if self.fleet.vms or self._disks_left():
            return False
        return all(self.state(each).phase.is_final for each in self.steps_total)

    def _disks_left(self) -> bool:
        disks = self.fleet.disks
        failed = {job for job in self.steps_total if self.state(job).phase is Phase.FAILED}
        return bool(disks.shots) or any(
            disk.job_id not in failed for disk in disks.by_name.values()
        )

    def _run_guests(self) -> None:
        for name, vm in list(self.fleet.vms.items()):
            if vm.status is not VmStatus.RUNNING:
                continue
            if name not in self.guests:
                if not self._has_its_disk(vm):
                    continue
                total = self.steps_total[vm.job_id]
                skew_s = self.random.uniform(-self.chaos.skew_s, self.chaos.skew_s)
                clock = SkewedClock(self.clock, skew_s) if skew_s else self.clock
                self.guests[name] = Guest(self.store, clock, self.fleet.specs[name], total)
            guest = self.guests[name]
            is_gone = self.random.random() < self.chaos.preempt
            goes_on = not is_gone and guest.turn(vm, TURN_S)
            self._use_disk(guest)
            if not goes_on:
                self._drop_guest(name)
                self.fleet.power_off(name)

    def _has_its_disk(self, vm: Vm) -> bool:
        """As startup.sh: wait for the data disk until the interval is over."""
        wants = Attribute.DATA_DISK in self.fleet.specs[vm.name].metadata
        if not wants or self.fleet.disks.disk_of(vm.name) is not None:
            return True
        if self.clock.now() >= vm.interval_end:
            self.fleet.power_off(vm.name)
        return False

    def _use_disk(self, guest: Guest) -> None:
        """Write to the data disk, and see that it holds what the checkpoint builds on."""
        disk = self.fleet.disks.disk_of(guest.spec.name)
        if disk is None or not guest.has_begun:
            return
        written = self.fleet.disks.written
        if written[disk.disk_id] < guest.first_step:
            raise LawError(
                f"seed {self.seed}: {disk.name} has step {written[disk.disk_id]}, the checkpoint"
                f" {guest.first_step}: what {guest.spec.name} needs is lost"
            )
        written[disk.disk_id] = max(written[disk.disk_id], guest.step)

    def _make_trouble(self) -> None:
        chaos = self.chaos
        if chaos.outage and self.random.random() < chaos.outage:
            self.outage_until = self.clock.now() + timedelta(hours=self.random.uniform(0, 3))
        if chaos.refused:
            self.fleet.faults.refused = self.random.random() < chaos.refused
        for vm in list(self.fleet.vms.values()) if chaos.deleted else ():
            if self.random.random() < chaos.deleted:
                self.fleet.delete(vm, request_id="by hand")

    def _drop_guest(self, name: str) -> None:
        self.guests.pop(name, None)

    def _run_schedule(self) -> None:
        now = self.clock.now()
        if now >= self.next_tick:
            self.next_tick = now.replace(minute=0, second=0) + timedelta(hours=1)
            self._run_function("forecast", lambda: tick(self.ports, self.timing))
        if now >= self.next_heartbeat:
            self.next_heartbeat = now + timedelta(minutes=5)
            self.publish(WakeUp(kind=WakeUpKind.HEARTBEAT, sent_at=now))
        if self.boundary is not None and now >= self.boundary:
            self.boundary = self.boundaries.pop(0) if self.boundaries else None
            self.publish(WakeUp(kind=WakeUpKind.BOUNDARY, sent_at=now))

    def _deliver(self) -> None:
        for _ in range(30):  # a chain of wake-ups within one turn; the rest comes in the next
            due = [each for each in self.backlog if each.due <= self.clock.now()]
            if not due:
                return
            self.backlog = [each for each in self.backlog if each not in due]
            if self.chaos.shuffle:
                self.random.shuffle(due)
            for delivery in due:
                self._deliver_one(delivery)

    def _deliver_one(self, delivery: _Delivery) -> None:
        owner, message = delivery.owner, delivery.message
        done = self._run_function(owner, lambda: reconcile(self.ports, self.timing, owner, message))
        if not done and delivery.attempts < 10:
            delivery.attempts += 1
            delivery.due = self.clock.now() + timedelta(seconds=10 * delivery.attempts)
            self.backlog.append(delivery)

    def _run_function(self, name: str, call: Callable[[], object]) -> bool:
        try:
            call()
        except (CrashError, TransientError) as error:
            self.crashes += isinstance(error, CrashError)
            self.history.append(f"{self.clock.now()} {name}: {error!r}")
            return False
        return True

    def _check_promises(self) -> None:
        now = self.clock.now()
        for job_id in self.steps_total:
            training = [
                name
                for name, guest in self.guests.items()
                if guest.job_id == job_id and guest.may_train
            ]
            assert len(training) <= 1, f"promise 1, seed {self.seed}: {training} train at once"
            latest = Documents(self.store).peek(Latest, object_names.latest(job_id))
            step = latest.step if latest else 0
            assert step >= self.latest_steps.get(job_id, 0), f"promise 2, seed {self.seed}"
            self.latest_steps[job_id] = step
        for vm in self.fleet.vms.values():
            overrun = now - vm.interval_end
            is_up = vm.is_alive and overrun > LONGEST_OVERRUN
            assert not is_up, f"promise 4, seed {self.seed}: {vm.name} is up {overrun} too long"


class Fragile:
    """Wraps ports so that a function can die just before or just after any effect."""

    def __init__(self, world: World) -> None:
        """Count effects in `world`."""
        self._world = world

    def wrap(self, port: object, effects: tuple[str, ...], looks: tuple[str, ...] = ()) -> object:
        """Return `port` with fragile `effects` and `looks`; everything else passes through."""
        fragile = self

        class Wrapped:
            def __getattr__(self, name: str) -> object:
                real = getattr(port, name)
                if name in effects:
                    return fragile.effect(name, real)
                return fragile.look(real) if name in looks else real

        return Wrapped()

    def look(self, call: Callable[..., object]) -> Callable[..., object]:
        """Return `call` with a chance to find the service away."""

        def run(*args: object, **kwargs: object) -> object:
            if not _is_of_threads(args) and self._is_away():
                raise _away(call)
            return call(*args, **kwargs)

        return run

    def _is_away(self) -> bool:
        world = self._world
        return world.chaos.unavailable > 0 and world.random.random() < world.chaos.unavailable

    def effect(self, name: str, call: Callable[..., object]) -> Callable[..., object]:
        """Return `call` with a chance to die at it."""

        def run(*args: object, **kwargs: object) -> object:
            world = self._world
            is_shared = str(args[0]).startswith("intensity/") or "/state.json" in str(args[0])
            if name == "write" and is_shared and kwargs.get("if_generation") is None:
                raise LawError(f"{args[0]}: written without compare-and-swap")
            if _is_of_threads(args):
                return call(*args, **kwargs)
            world.effects += 1
            dies = world.effects == world.chaos.crash_at
            dies = dies or world.random.random() < world.chaos.crash
            is_away = self._is_away()
            if is_away and world.random.random() < 0.5:
                raise _away(call)
            if dies and world.random.random() < 0.5:
                raise CrashError(f"before {name}")
            result = call(*args, **kwargs)
            if dies:
                raise CrashError(f"after {name}")
            if is_away:
                raise _away(call)
            return result

        return run


def _away(call: Callable[..., object]) -> Exception:
    """Return what the port of `call` says if its service does not answer."""
    is_store = isinstance(getattr(call, "__self__", None), MemoryBlobStore)
    error = StorageUnavailableError if is_store else UnavailableError
    return error(f"503 on {getattr(call, '__name__', call)}")


def _is_of_threads(args: tuple[object, ...]) -> bool:
    """Whether several threads do this at once: a draw there could not be played again."""
    return bool(args) and str(args[0]).startswith("intensity/")
