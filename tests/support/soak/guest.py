"""A VM's software: the real session, lease, checkpoints and watchdog around a training of numbers.

Two machines stand for one VM: the operating system with its power-off timer, and the process of
the runtime, which may end or hang while the system goes on.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from soak.bucket import BucketView
from soak.disks import StoredDisk
from soak.faults import Fault, Kind
from soak.kernel import KilledError, Machine, Task
from vm_runtime.contract import object_names
from vm_runtime.contract.codec import decode
from vm_runtime.contract.instance import Attribute, Label
from vm_runtime.contract.job import Job
from vm_runtime.lease import LeaseKeeper
from vm_runtime.place import Place
from vm_runtime.post_mortem import _has_told
from vm_runtime.reporting import ProgressFile
from vm_runtime.script import ExitCode, outcome
from vm_runtime.session import LeaseLostError, StopReason
from vm_runtime.stop import StopFlag
from vm_runtime.stop_sources import on_interval_end, on_preempted
from vm_runtime.storage.port import StorageError
from vm_runtime.trainer_position import Event
from vm_runtime.trainer_session import SessionRun
from vm_runtime.vm_session import VmSession
from vm_runtime.watchdog import Watchdog

if TYPE_CHECKING:
    from soak.compute import Instance
    from soak.world import World

CHECKPOINT_EVERY_S = 600.0
_TIMER_S = 60.0
_DISK_POLL_S = 15.0


@dataclass
class _Position:
    step: int


class Loop:
    """A training whose state is the number of its steps."""

    def __init__(self, guest: "Guest", *, steps_total: int, step_s: float) -> None:
        """Be at the beginning."""
        self._guest, self._step_s = guest, step_s
        self.steps_total = steps_total
        self.position = _Position(0)
        self.metrics: dict[str, float] = {}
        self.models: dict[str, object] = {}
        self.may_stop = True

    @property
    def done(self) -> bool:
        """Whether all steps are done."""
        return self.position.step >= self.steps_total

    def begin(self, state: dict[str, object] | None) -> None:
        """Go to where `state` was taken."""
        self.position = _Position(state["position"]["step"] if state else 0)
        self._guest.world.laws.resumed(self._guest, self.position.step)

    def agree(self, reason: StopReason | None) -> StopReason | None:
        """Stop if there is a reason."""
        return reason

    def state_dict(self) -> dict[str, object]:
        """Return all that the rest depends on."""
        return {"position": {"step": self.position.step}}

    def call(self, hook: str, *args: object) -> None:
        """Have no callbacks."""

    def advance(self) -> Event:
        """Do an optimizer step."""
        guest = self._guest
        guest.world.laws.trains(guest)
        if guest.script_hangs:
            guest.world.kernel.park(None)
        if guest.script_fails:
            raise ArithmeticError("the script raised")
        guest.world.kernel.sleep(self._step_s)
        if guest.disk is not None:
            guest.world.disks.write(guest.disk, guest.name)
        self.position.step += 1
        return Event.STEP


class Guest:
    """What runs on one VM."""

    def __init__(self, world: "World", instance: "Instance") -> None:
        """Boot."""
        self.world, self.instance, self.name = world, instance, instance.name
        ahead_s = world.dice.uniform(-30, 30)
        self.system = Machine(world.kernel, f"{self.name} (system)", ahead_s=ahead_s)
        self.process = Machine(world.kernel, self.name, ahead_s=ahead_s)
        self.process.on_exit = self._on_exit
        # systemd sees the runtime die, and goes on to power the VM off.
        self.process.on_death = lambda: self._on_exit(ExitCode.FAILED)
        self.system.on_death = lambda: world.compute.power_off(instance, "its system dies")
        self.job_id = instance.labels[Label.JOB]
        self.incarnation = int(instance.metadata[Attribute.INCARNATION])
        self.lease: LeaseKeeper | None = None
        self.disk: StoredDisk | None = None
        self.is_hung = self.script_hangs = self.script_fails = False
        self._stop: StopFlag | None = None
        self._listeners: dict[str, Callable[[str], None]] = {}
        self._spawn(self.system, self._power_off_when_over)
        self._spawn(self.system, self._boot)

    def believes(self) -> bool:
        """Whether it takes itself for the one that trains, and could act on it."""
        machine = self.process
        if not machine.is_up or self.lease is None:
            return False
        return self.lease.held_surely(machine.now())

    def hear_of_end(self, value: str) -> None:
        """Get a new interval end from the metadata server, a moment later."""
        self._tell("interval-end", value)

    def freeze_at_end(self, fault: Fault) -> None:
        """Stand still at some call, once its interval is over."""
        self.process.coming_fault = fault
        self.process.is_ending = self._is_ending

    def freeze_at_call(self, fault: Fault) -> None:
        """Stand still at some call, whenever it comes."""
        self.process.coming_fault = fault
        self.process.is_ending = lambda: True

    def _is_ending(self) -> bool:
        end = self._stop.interval_end if self._stop else None
        return end is not None and self.process.now() >= end

    def cut_off(self, duration_s: float) -> None:
        """Let the bucket be out of reach."""
        for machine in (self.system, self.process):
            machine.cut_off_until_s = self.world.kernel.now_s + duration_s

    def hear_of_shutdown(self) -> None:
        """Get SIGTERM."""
        if self._stop is not None and not self.is_hung:
            self._stop.raise_flag(StopReason.SIGNAL)

    def hear_of_preemption(self) -> None:
        """Get Compute Engine's notice."""
        self._tell("preempted", "TRUE")

    def unplug(self) -> None:
        """Lose power."""
        self.system.kill()
        self.process.kill()

    def hang(self) -> None:
        """Let the kernel hang for ever: the VM stays up, nothing runs."""
        self.is_hung = True
        self.freeze(float("inf"))

    def freeze(self, duration_s: float) -> None:
        """Let the whole VM stand still."""
        self.system.freeze(duration_s)
        self.process.freeze(duration_s)

    def _spawn(self, machine: Machine, run: Callable[[], object]) -> Task:
        return self.world.kernel.spawn(machine, run)

    def _tell(self, what: str, value: str) -> None:
        def hear() -> None:
            self.world.kernel.sleep(self.world.dice.uniform(0.1, 3))
            listener = self._listeners.get(what)
            if listener is not None:
                listener(value)

        if self.process.is_up:
            self._spawn(self.process, hear)

    def _power_off_when_over(self) -> None:
        """What `startup.sh` sets up before anything else."""
        grace_s = float(self.instance.metadata[Attribute.SHUTDOWN_GRACE_S])
        while True:
            self.world.kernel.sleep(_TIMER_S)
            late_s = (self.system.now() - self.instance.interval_end).total_seconds()
            if late_s >= grace_s:
                self._power_off("the guest's timer")

    def _boot(self) -> None:
        world = self.world
        world.kernel.sleep(world.dice.uniform(15, 90))
        if world.is_on(Kind.BAD_BOOT):
            world.tell(self.name, "cannot install the runtime")
            if world.dice.random() < 0.5:
                self._after_trainer(ExitCode.FAILED)
                self._power_off("no runtime")
            return
        if Attribute.DATA_DISK in self.instance.metadata:
            self._wait_for_disk()
        self._spawn(self.process, self._run)

    def _wait_for_disk(self) -> None:
        """Do what `startup.sh` does."""
        while (disk := self.world.disks.of(self.name)) is None:
            if self.system.now() >= self.instance.interval_end:
                self._power_off("its data disk did not come")
            self.world.kernel.sleep(_DISK_POLL_S)
        self.world.laws.mounts(self, disk.content)
        self.disk = disk

    def _run(self) -> None:
        try:
            code = self._run_on_vm()
        except KilledError:
            raise
        except Exception as error:  # noqa: BLE001 - the process dies of it
            self.world.tell(self.name, f"the runtime dies: {error}")
            code = ExitCode.FAILED
        self._exit(code)

    def _run_on_vm(self) -> ExitCode:
        """Do what `vm_runtime.launch.run_on_vm` does."""
        metadata, clock = self.instance.metadata, self.process
        stop = self._stop = StopFlag(clock, interval_end=self.instance.interval_end)
        self._listeners["interval-end"] = on_interval_end(stop, clock)
        self._listeners["preempted"] = on_preempted(stop)
        watchdog = Watchdog(
            stop=stop, clock=clock, grace_s=float(metadata[Attribute.SHUTDOWN_GRACE_S])
        )
        watchdog.start()
        store = BucketView(self.world, clock, "vm")
        name = object_names.job(self.job_id)
        job = decode(Job, store.read(name).data, name=name)
        ttl_s = float(metadata[Attribute.LEASE_TTL_S])
        self.lease = LeaseKeeper(
            store=store,
            clock=clock,
            job_id=self.job_id,
            holder=f"{self.name}-{self.world.dice.getrandbits(32):08x}",
            incarnation=self.incarnation,
            ttl_s=ttl_s,
            monotonic=clock.monotonic,
        )
        place = Place(
            vm=self.name,
            compute_zone=self.instance.spec.compute_zone,
            incarnation=self.incarnation,
            started_at=clock.now(),
            interval_start=self.world.time_of(metadata[Attribute.INTERVAL_START]),
        )
        session = VmSession(
            job=job,
            place=place,
            store=store,
            clock=clock,
            stop=stop,
            lease=self.lease,
            poll_s=ttl_s / 20,
        )
        session.start()
        watchdog.guard(session)
        return self._train(session)

    def _train(self, session: VmSession) -> ExitCode:
        """Do what the user's script and `vm_runtime.script.run_script` do."""
        submission = self.world.submissions[self.job_id]
        loop = Loop(self, steps_total=submission.steps, step_s=submission.step_s)
        training = SessionRun(
            session, loop, checkpoint_every_s=CHECKPOINT_EVERY_S, in_background=True
        )
        try:
            training.run(loop, lambda: None)
        except LeaseLostError as error:
            self.world.tell(self.name, f"leaves: {error}")
            session.leave(str(error))
        except KilledError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever the user's script raises
            self.world.tell(self.name, f"the script fails: {error}")
            if not session.has_ended:
                session.fail(f"train.py failed: {error}. Mend it.")
        return outcome(session)

    def _exit(self, code: int) -> None:
        """End the process from within."""
        self.process.on_exit(code)
        self.world.kernel.park(None)

    def _on_exit(self, code: int) -> None:
        self.process.kill()
        self._spawn(self.system, lambda: self._end(code))

    def _end(self, code: int) -> None:
        self._after_trainer(code)
        self._power_off(f"the runtime ended with {ExitCode(code).name}")

    def _after_trainer(self, code: int) -> None:
        """Do what `vm_runtime.post_mortem` does: report a death without a word."""
        if code != ExitCode.FAILED:
            return
        file = ProgressFile(BucketView(self.world, self.system, "vm"), self.job_id)
        try:
            last = file.read()
            if last is not None and _has_told(last, self.incarnation, {}):
                return
            file.write_failure(
                job_id=self.job_id,
                vm=self.name,
                incarnation=self.incarnation,
                now=self.system.now(),
                message="it ended before it could report. Look at the log of the VM.",
            )
        except (StorageError, LeaseLostError) as error:
            self.world.tell(self.name, f"no post mortem: {error}")

    def _power_off(self, why: str) -> None:
        self.world.kernel.sleep(self.world.dice.uniform(0.5, 5))
        self.world.compute.power_off(self.instance, why)
        self.system.kill()
        self.world.kernel.park(None)
