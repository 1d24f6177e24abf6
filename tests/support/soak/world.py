"""One schedule, lived through from its first submission until all is over."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

from functions.domain.lifecycle.state import Phase, Verb
from soak.bucket import Bucket
from soak.bus import Bus
from soak.calls import Calls
from soak.compute import ComputeEngine, Instance
from soak.disks import Disks
from soak.faults import WAITS_S, Fault, Kind, clock
from soak.grid import Grid
from soak.guest import Guest
from soak.kernel import START, Kernel, Machine, SimulatedThreading
from soak.laws import LawError, Laws
from soak.schedule import Schedule
from soak.shims import simulated

PATIENCE_S = 12 * 3600.0
"""After the last fault and the last deadline, all must be over within it."""

_CONTROL = {
    Kind.FUNCTIONS_DOWN,
    Kind.HEARTBEAT_DOWN,
    Kind.MESSAGES,
    Kind.SLOW_OPERATIONS,
}
"""What keeps the control plane from its work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a schedule ended."""

    seed: int
    violation: str = ""
    phases: tuple[str, ...] = ()
    vms: int = 0
    hours: float = 0.0
    events: int = 0
    story: tuple[str, ...] = field(default=(), repr=False)


class World:
    """Everything there is."""

    def __init__(self, schedule: Schedule) -> None:
        """Be empty."""
        self.schedule = schedule
        self.dice = random.Random(schedule.seed)
        self.kernel = Kernel()
        self.threading = SimulatedThreading(self.kernel)
        self.laws = Laws(self)
        self.bucket = Bucket()
        self.bucket.on_change = self.laws.changed
        self.compute = ComputeEngine(self)
        self.disks = Disks(self)
        self.keeps_disks = any(each.job.keep_disk for each in schedule.submissions)
        self.calls = Calls(self)
        self.bus = Bus(self)
        self.grid = Grid(self)
        self.submissions = {each.job.job_id: each for each in schedule.submissions}
        self.gone: set[str] = set()
        self.guests: list[Guest] = []
        self.story: list[tuple[float, str, str]] = []
        self._windows = [each for each in schedule.faults if each.for_s]

    def live(self) -> Result:
        """Live through the schedule."""
        fate = Machine(self.kernel, "fate")
        try:
            for submission in self.schedule.submissions:
                self._at(fate, submission.at_s, lambda each=submission: self.bus.submit(each))
            for fault in self.schedule.faults:
                self._at(fate, fault.at_s, lambda each=fault: self._strike(each))
            self.kernel.spawn(fate, self._look)
            self.bus.start()
            self.kernel.run(until_s=self._end_s())
            if not self.laws.violation:
                self._judge()
        except LawError as error:
            self.laws.violation = self.laws.violation or str(error)
        finally:
            self.kernel.close()
        return Result(
            seed=self.schedule.seed,
            violation=self.laws.violation,
            phases=tuple(str(state.phase) for state in self.laws.states.values()),
            vms=len(self.guests),
            hours=self.kernel.now_s / 3600,
            events=self.kernel.events,
            story=tuple(f"{clock(at_s)} {who}: {what}" for at_s, who, what in self.story),
        )

    def latency_s(self) -> float:
        """Return how long half a call takes."""
        return 0.02 + 0.3 * self.dice.random()

    def tell(self, who: str, what: str) -> None:
        """Add a line to the story."""
        self.story.append((self.kernel.now_s, who, what))

    def time_of(self, text: str) -> datetime:
        """Return a time from metadata."""
        return datetime.fromisoformat(text)

    def seconds_of(self, at: datetime) -> float:
        """Return a time in simulated seconds."""
        return (at - START).total_seconds()

    def active(self, kind: Kind) -> list[Fault]:
        """Return the faults of a kind that are on now."""
        now_s = self.kernel.now_s
        return [
            each
            for each in self._windows
            if each.kind is kind and each.at_s <= now_s < each.at_s + each.for_s
        ]

    def is_on(self, kind: Kind) -> bool:
        """Whether a fault of a kind is on now."""
        return bool(self.active(kind))

    def open_window(self, fault: Fault) -> None:
        """Let something be on for a while that nobody drew beforehand."""
        self._windows.append(fault)

    def slow_s(self) -> float:
        """Return how much longer operations take now."""
        return sum(each.number for each in self.active(Kind.SLOW_OPERATIONS))

    def disturbed_s(self) -> float:
        """Return when the control plane was last kept from its work."""
        now_s = self.kernel.now_s
        ends = [
            min(each.at_s + each.for_s + each.number, now_s)
            for each in self._windows
            if each.at_s <= now_s
            and (each.kind in _CONTROL or (each.kind is Kind.CALL and each.party != "vm"))
        ]
        return max([self.calls.disturbed_s, *ends])

    def guests_of(self, job_id: str) -> Iterator[Guest]:
        """Yield the guests of a job."""
        return (each for each in self.guests if each.job_id == job_id)

    def _at(self, machine: Machine, at_s: float, run: Callable[[], object]) -> None:
        self.kernel.spawn(machine, run, after_s=at_s)

    def _end_s(self) -> float:
        deadlines = [self.seconds_of(each.job.deadline) for each in self.schedule.submissions]
        return max(self.schedule.quiet_s, *deadlines) + PATIENCE_S

    def _look(self) -> None:
        """Look at all promises each minute, and end the world once all is over."""
        while True:
            self.kernel.sleep(60.0)
            self.laws.looked_at()
            if self._is_over():
                self.kernel.stop()
                return

    def _is_over(self) -> bool:
        states = self.laws.states
        return (
            len(states) == len(self.submissions)
            and all(state.phase.is_final for state in states.values())
            and not any(each.is_managed for each in self.compute.instances.values())
            and not self._disks_left()
        )

    def _disks_left(self) -> list[str]:
        """Return what is left of disks and snapshots; a job that failed keeps its disk."""
        left = list(self.disks.shots)
        seen: set[str] = set()
        for disk in self.disks.by_key.values():
            state = self.laws.states[disk.job_id]
            user = self.compute.instances.get((disk.spec.compute_zone, disk.user))
            if user is not None and not user.is_managed:
                continue  # Nobody may take it from a VM that is not ours.
            if state.phase is not Phase.FAILED or disk.job_id in seen:
                left.append(disk.spec.name)
            seen.add(disk.job_id)
        return left

    def _judge(self) -> None:
        if self._is_over():
            self.laws.ended()
            return
        phases = {job_id: str(state.phase) for job_id, state in self.laws.states.items()}
        left = [each.name for each in self.compute.instances.values() if each.is_managed]
        hours = PATIENCE_S / 3600
        left += self._disks_left() if self.laws.states else []
        told = f"{hours:.0f} h after the last fault and deadline: {phases}, left: {left}"
        self.laws.broken("promise 3", told)

    def _strike(self, fault: Fault) -> None:
        if fault.kind is not Kind.CALL:
            self.tell("fate", str(fault).split(" ", 2)[2])
        strike = _STRIKES.get(fault.kind)
        if strike is not None:
            strike(self, fault)

    def wait_for_vm(self, until_s: float) -> Instance | None:
        """Wait for a VM that runs, and return it; `None` if there is none until then."""
        while True:
            up = [each for each in self.compute.instances.values() if each.is_up and each.guest]
            if up:
                return self.dice.choice(up)
            if self.kernel.now_s > until_s:
                return None
            self.kernel.sleep(self.dice.uniform(10, 600))


def _to_vm(do: Callable[[World, Instance, Fault], object]) -> Callable[[World, Fault], None]:
    def strike(world: World, fault: Fault) -> None:
        instance = world.wait_for_vm(fault.at_s + WAITS_S)
        if instance is not None:
            world.tell(instance.name, f"is hit: {fault.kind}")
            do(world, instance, fault)

    return strike


def _preempt(world: World, instance: Instance, _: Fault) -> None:
    instance.guest.hear_of_preemption()
    world.compute.power_off(instance, "preempted", notice_s=30.0)


def _hang_alone(world: World, instance: Instance, fault: Fault) -> None:
    """Half of these VMs hang as a whole: only `max_run_duration` can end them."""
    if world.dice.random() < 0.5:
        instance.guest.hang()
    else:
        instance.guest.script_hangs = True
    world.open_window(
        replace(fault, kind=Kind.FUNCTIONS_DOWN, at_s=world.kernel.now_s + fault.number, number=0)
    )


def _take_name(world: World, _: Fault) -> None:
    for state in world.laws.states.values():
        name = f"ss-{state.job_id}-{state.incarnation + 1}"
        if not any(each.name == name for each in world.compute.instances.values()):
            world.compute.taken.add(name)


def _remove_label(world: World, instance: Instance, _: Fault) -> None:
    del world, _
    instance.labels.pop("managed-by", None)


def _delete_disk(world: World, _: Fault) -> None:
    """Compute Engine refuses to delete one that a VM has."""
    free = [each for each in world.disks.by_key.values() if not each.user]
    if free:
        disk = world.dice.choice(free)
        world.laws.excused.add(disk.job_id)
        world.disks.remove(disk, "is deleted by a person")
        world.disks.forget_lost(disk.job_id)


def _delete_snapshot(world: World, _: Fault) -> None:
    for name in list(world.disks.shots)[:1]:
        job_id = world.disks.shots[name].job_id
        world.laws.excused.add(job_id)
        world.disks.remove_snapshot(name, "is deleted by a person")
        world.disks.forget_lost(job_id)


def _some_job(world: World) -> str:
    return world.dice.choice(world.schedule.submissions).job.job_id


def _pause(world: World, fault: Fault) -> None:
    job_id = _some_job(world)
    world.bus.wish(job_id, Verb.PAUSE)
    world.kernel.sleep(fault.for_s)
    world.bus.wish(job_id, Verb.RESUME)


def _retry(world: World, fault: Fault) -> None:
    """Wait for a job that failed; its own trouble may be over by then."""
    while world.kernel.now_s < fault.at_s + fault.for_s:
        world.kernel.sleep(120.0)
        for state in world.laws.states.values():
            if state.phase is Phase.FAILED:
                world.bus.wish(state.job_id, Verb.RETRY)
                return


_STRIKES: dict[Kind, Callable[[World, Fault], object]] = {
    Kind.PREEMPT: _to_vm(_preempt),
    Kind.HOST_ERROR: _to_vm(lambda world, vm, _: world.compute.power_off(vm, "host error")),
    Kind.SCRIPT_HANG: _to_vm(lambda _, vm, __: setattr(vm.guest, "script_hangs", True)),
    Kind.SCRIPT_FAILS: _to_vm(lambda _, vm, __: setattr(vm.guest, "script_fails", True)),
    Kind.HUNG_AND_ALONE: _to_vm(_hang_alone),
    Kind.KERNEL_HANG: _to_vm(lambda _, vm, __: vm.guest.hang()),
    Kind.VM_FREEZE: _to_vm(lambda _, vm, fault: vm.guest.freeze(fault.for_s)),
    Kind.CLOCK_STEP: _to_vm(lambda _, vm, fault: vm.guest.process.step_clock(fault.number)),
    Kind.VM_DELETED: _to_vm(lambda world, vm, _: world.compute.remove(vm, "deleted by hand")),
    Kind.LABEL_REMOVED: _to_vm(_remove_label),
    Kind.FREEZE_AT_END: _to_vm(lambda _, vm, fault: vm.guest.freeze_at_end(fault)),
    Kind.FREEZE_AT_CALL: _to_vm(lambda _, vm, fault: vm.guest.freeze_at_call(fault)),
    Kind.CUT_OFF: _to_vm(lambda _, vm, fault: vm.guest.cut_off(fault.for_s)),
    Kind.TICK_AGAIN: lambda world, _: world.bus.tick_now(),
    Kind.PAUSED: _pause,
    Kind.CANCELLED: lambda world, _: world.bus.wish(_some_job(world), Verb.CANCEL),
    Kind.RETRIED: _retry,
    Kind.NAME_TAKEN: _take_name,
    Kind.DISK_DELETED: _delete_disk,
    Kind.SNAPSHOT_DELETED: _delete_snapshot,
    Kind.SUBMITTED_TWICE: lambda world, _: world.bus.submit(world.schedule.submissions[0]),
}


def live(schedule: Schedule) -> Result:
    """Live through a schedule on simulated time."""
    world = World(schedule)
    with simulated(world.kernel, on_error=world.laws.unforeseen):
        return world.live()
