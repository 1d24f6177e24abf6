"""This machine as the one place where its job can run: the ports of the control plane on it."""

import json
import os
import time
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from functions.adapters.tcn import TcnForecaster
from functions.cli.local.folder import Folder, Saved
from functions.cli.local.wanted import Wanted
from functions.domain.lifecycle.timing import Timing
from functions.domain.lifecycle.vm import VmStatus
from functions.local.compute import Compute
from functions.local.direct_fleet import DirectFleet
from functions.local.events import EventLog
from functions.local.faults import FaultBox, Faults
from functions.local.machine import Guests
from functions.local.no_disks import NoDisks
from functions.local.saved import HEAVY
from functions.local.standby import StandbyPool
from functions.local.vm_states import Delays, after_power_failure
from functions.local.world import World
from functions.ports import IntensitySource, Ports
from functions.wire import WakeUp
from vm_runtime.contract.clock import CLOCK_VARIABLE, Clock, ScaledClock, SystemClock
from vm_runtime.storage.files import FileBlobStore

_ROOT = Path(__file__).parents[3]
_ORIGINAL = "SMARTSCHEDULER_ORIGINAL_ENVIRONMENT"
"""What `vm_runtime.own_machine` reads; it is not known here."""
_CHANGED = ("PYTHONPATH", "NO_PROXY", "no_proxy", "PYTHONUNBUFFERED")
_LOOPBACK = "127.0.0.1,localhost"
_SAVED_EVERY_S = 2.0
_STOP_LOOK_S = 0.05
_IMPORT_S = 300.0
_LIGHT = ("vm_runtime.vm_session", "requests")
"""What the runtime imports before it starts a command; named, not known."""
_LAST_WORDS_S = 15.0
"""Real seconds beyond the grace for the runtime's own last checkpoint and report."""


def timing_of(speed: float, grace_s: float) -> Timing:
    """Return how patient the control plane is here: no VM boots, but a process must get its time.

    Args:
        speed: of the clock.
        grace_s: real seconds that a stop may take.
    """
    usual = Timing()

    def at_least(usual_s: float, real_s: float) -> float:
        return max(usual_s, real_s * speed)

    return replace(
        usual,
        boot_lead_s=at_least(15.0, 1.5),
        lease_ttl_s=at_least(usual.lease_ttl_s, 15.0),
        shutdown_grace_s=at_least(usual.shutdown_grace_s, grace_s + 60.0),
        force_stop_after_s=at_least(usual.force_stop_after_s, grace_s + 30.0),
        silence_s=at_least(usual.silence_s, 90.0),
        operation_timeout_s=at_least(usual.operation_timeout_s, 60.0),
        retry_after_s=at_least(10.0, 1.0),
        max_fruitless_vms=20,
    )


@dataclass(slots=True)
class Wishes:
    """What handlers ask of topic and scheduler: here one loop does both."""

    boundary: datetime | None = None
    """When to look at the job at the latest."""
    wants_tick: bool = False
    """Whether to forecast and plan at once."""
    wants_look: bool = False
    """Whether to look again at once."""

    def publish(self, message: WakeUp) -> None:  # noqa: ARG002 - as the port has it
        """Look again; the message itself says nothing that is not in the bucket."""
        self.wants_look = True

    def aim_boundary(self, at: datetime, *later: datetime) -> None:  # noqa: ARG002 - looked at twice a second
        """Look then."""
        self.boundary = at

    def tick_now(self) -> None:
        """Plan soon."""
        self.wants_tick = True


@dataclass(slots=True)
class OneMachine:
    """The process that trains, and all that the handlers may touch."""

    folder: Folder
    wanted: Wanted
    source: IntensitySource
    before: Saved | None
    wishes: Wishes = field(default_factory=Wishes)
    forecaster: TcnForecaster = field(default_factory=TcnForecaster)
    _compute: Compute | None = None
    _pool: StandbyPool | None = None
    _clock: Clock | None = None
    _saved_s: float = 0.0

    @property
    def clock(self) -> Clock:
        """The clock that training and plan go by."""
        if self._clock is None:
            raise RuntimeError("local: expected the machine to be started. Call start().")
        return self._clock

    @property
    def timing(self) -> Timing:
        """How patient the control plane is."""
        return timing_of(self.wanted.speed, self.wanted.grace_s)

    @property
    def ports(self) -> Ports:
        """Everything that the handlers may touch."""
        if self._compute is None:
            raise RuntimeError("local: expected the machine to be started. Call start().")
        return Ports(
            store=FileBlobStore(self.folder.bucket),
            fleet=DirectFleet(self._compute),
            disks=NoDisks(),
            publisher=self.wishes,
            alarm=self.wishes,
            intensity=self.source,
            forecaster=self.forecaster,
            clock=self.clock,
        )

    def start(self) -> None:
        """Take up what an earlier run left; time begins to pass."""
        for folder in (self.folder.bucket, self.folder.vms):
            folder.mkdir(parents=True, exist_ok=True)
        pool = self._make_pool()
        self._clock = self._make_clock()
        world = World(
            clock=self._clock,
            log=EventLog(self.folder.path / "events.jsonl", self._clock),
            faults=FaultBox(Faults(), seed=0),
        )
        compute = Compute(
            world=world,
            guests=self._guests(pool),
            delays=Delays(provisioning_s=0, staging_s=0, stopping_s=0),
        )
        if self.before is not None:
            at = self.before.saved_at
            vms = [after_power_failure(record, at) for record in self.before.vms]
            compute.restore(vms, self.before.operations, self.before.requests)
        compute.start()
        self._pool, self._compute = pool, compute

    def save(self, *, at_once: bool = False) -> None:
        """Write how things are, now and then: a power failure costs no more than seconds."""
        if self._compute is None or (
            not at_once and time.monotonic() - self._saved_s < _SAVED_EVERY_S
        ):
            return
        self._saved_s = time.monotonic()
        vms, operations, requests = self._compute.saved()
        self.folder.save(
            Saved(
                wanted=self.wanted,
                saved_at=self.clock.now(),
                vms=vms,
                operations=operations,
                requests=requests,
            )
        )

    def stop_training(self) -> None:
        """Let the process that trains checkpoint and end; after its grace it is killed."""
        if self._compute is None:
            return
        for record in self._compute.list():
            if record.status is not VmStatus.TERMINATED:
                request_id = f"stop-{record.name}-{time.time()}"
                DirectFleet(self._compute).stop(record.vm(), request_id=request_id)
        end_s = time.monotonic() + self.wanted.grace_s + 2 * _LAST_WORDS_S
        while self.is_training and time.monotonic() < end_s:
            time.sleep(_STOP_LOOK_S)

    @property
    def is_training(self) -> bool:
        """Whether a process has not ended."""
        records = self._compute.list() if self._compute else []
        return any(record.status is not VmStatus.TERMINATED for record in records)

    def close(self) -> None:
        """Kill what is left, and keep how things are."""
        self.save(at_once=True)
        if self._compute:
            self._compute.stop()
        if self._pool:
            self._pool.close()
        self._compute = None

    def _make_pool(self) -> StandbyPool:
        """Return where interpreters come from; on a fast clock they have imported all ahead."""
        is_fast, is_script = self.wanted.speed > 1, self.wanted.script is not None
        pool = StandbyPool(
            size=1 if is_fast else 0,
            modules=HEAVY if is_script else _LIGHT,
            log=self.folder.path / "standby.log",
        )
        if is_fast:
            pool.spawn()
            self.forecaster.load()
            pool.fill(timeout_s=_IMPORT_S)
        return pool

    def _make_clock(self) -> Clock:
        begin = self.before.saved_at if self.before else self.wanted.at
        if self.wanted.history is None or begin is None:
            return SystemClock()
        return ScaledClock(
            real_anchor_s=time.time(),
            simulated_anchor_s=begin.timestamp(),
            speed=self.wanted.speed,
        )

    def _guests(self, pool: StandbyPool) -> Guests:
        wanted = self.wanted
        command = ["-m", "vm_runtime.own_machine", "--folder", str(wanted.work_folder)]
        command += ["--script", str(wanted.script)] if wanted.script else []
        command += ["--grace-s", str(wanted.grace_s), "--", *wanted.args]
        clock = self.clock
        return Guests(
            pool=pool,
            folder=self.folder.vms,
            command=tuple(command),
            environment={CLOCK_VARIABLE: clock.to_json()} if isinstance(clock, ScaledClock) else {},
            base=_environment() | {_ORIGINAL: _original()},
            notice_s=(wanted.grace_s + _LAST_WORDS_S) * wanted.speed,
        )


def _original() -> str:
    """Return what a wrapped command shall find again."""
    return json.dumps({name: os.environ.get(name) for name in _CHANGED})


def _environment() -> dict[str, str]:
    """Return this process's environment, without our own settings: among them is a key."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("SMARTSCHEDULER_")
    }
    path = os.pathsep.join(filter(None, [inherited.get("PYTHONPATH"), str(_ROOT)]))
    proxies = {
        name: ",".join(filter(None, [inherited.get(name), _LOOPBACK]))
        for name in ("NO_PROXY", "no_proxy")
    }
    return inherited | proxies | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
