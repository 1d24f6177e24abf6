"""The embedded cloud as a whole: starts and stops its parts, and goes on after a power failure."""

import dataclasses
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic import SecretStr

from functions.domain.lifecycle.timing import Timing
from functions.local.bus import Bus
from functions.local.bus_journal import BusJournal
from functions.local.compute import Compute
from functions.local.events import Event, EventKind, EventLog, Listener
from functions.local.faults import FaultBox, Faults
from functions.local.front import front
from functions.local.host import FunctionsHost
from functions.local.machine import Guests
from functions.local.recorded import pack
from functions.local.saved import Options, SavedCloud, load, save
from functions.local.scheduler import Scheduler
from functions.local.serving import HttpServer
from functions.local.standby import StandbyPool
from functions.local.vm_states import after_power_failure
from functions.local.world import World
from functions.settings import PREFIX
from vm_runtime.contract.clock import CLOCK_VARIABLE, ScaledClock
from vm_runtime.storage.files import FileBlobStore

_SAVE_EVERY_S = 1.0
_HISTORY = "history.npz"
_START_TIMEOUT_S = 120.0
"""Real seconds for interpreters to import and functions to answer."""


class EmbeddedCloud:
    """Bus, scheduler, compute service and functions host in one folder; see `saved.Options`.

    It runs as threads of this process and as child processes, none of which outlives it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        speed: float,
        start_at: datetime,
        timing: Timing,
        **options: Any,  # noqa: ANN401 - checked by Options, which documents them
    ) -> None:
        """Prepare a new cloud in `folder`; nothing happens before `start`.

        Args:
            folder: gets bucket, logs and journals.
            speed: simulated seconds per real second.
            start_at: simulated time to begin at.
            timing: patience of the control plane.
            **options: further fields of `saved.Options`.

        Raises:
            ValueError: an option is unknown or out of range.
        """
        self.folder = folder.absolute()
        self.options = Options(speed=speed, start_at=start_at, timing=timing, **options)
        self.store = FileBlobStore(self.folder / "bucket")
        self._saved = SavedCloud(options=self.options, saved_at=start_at)
        self._faults = FaultBox(self.options.faults, seed=self.options.seed)
        self._parts: _Parts | None = None
        self._stopping = threading.Event()
        self._saver = threading.Thread(target=self._keep_saving, name="saver", daemon=True)

    @classmethod
    def resume(cls, folder: Path, **changes: Any) -> Self:  # noqa: ANN401 - as __init__
        """Return the cloud that was in `folder`, to go on from its last saved time.

        Args:
            folder: its folder.
            **changes: options that are to be other than before.

        Raises:
            FileNotFoundError: there was none.
            DocumentError: it was of another version.
        """
        saved = load(folder)
        options = dataclasses.replace(saved.options, **changes)
        names = [field.name for field in dataclasses.fields(options)]
        cloud = cls(folder, **{name: getattr(options, name) for name in names})
        cloud.go_on_from(saved)
        return cloud

    def go_on_from(self, saved: SavedCloud) -> None:
        """Begin where another cloud ended, instead of anew; before `start`."""
        self._saved = saved

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop."""
        self.stop()

    def start(self) -> None:
        """Start everything; the clock starts once all interpreters have imported.

        Raises:
            RuntimeError: the functions do not answer, with what they said.
            TimeoutError: the interpreters take too long to import.
            HistoryFileError: the recorded hours cannot be read.
        """
        (self.folder / "vms").mkdir(parents=True, exist_ok=True)
        (self.folder / "bucket").mkdir(exist_ok=True)
        host = FunctionsHost(
            source=self.options.source,
            folder=self.folder,
            preload=self.options.preload_functions,
        )
        pool = StandbyPool(
            size=self.options.standbys,
            modules=self.options.preload,
            log=self.folder / "standby.log",
        )
        try:
            pool.spawn()
            if self.options.history:
                pack(self.options.history, self.folder / _HISTORY)
            host.wait_imported(_START_TIMEOUT_S)
            pool.fill(timeout_s=_START_TIMEOUT_S)
            self._start_parts(host, pool)
        except BaseException:
            self.stop()
            host.stop()
            pool.close()
            raise

    def stop(self) -> None:
        """Power failure: everything ends now, VMs included; what is on disk stays."""
        self._stopping.set()
        if self._saver.is_alive():
            self._saver.join()
        parts, self._parts = self._parts, None
        if parts is None:
            return
        parts.scheduler.interrupt()
        parts.bus.interrupt()
        self._save(parts)
        parts.front.stop()
        parts.host.stop()
        parts.compute.stop()
        parts.scheduler.stop()
        parts.bus.stop()
        parts.pool.close()
        parts.log.say(EventKind.CLOUD, "cloud", "stopped")

    @property
    def clock(self) -> ScaledClock:
        """The simulated clock."""
        return self._running.clock

    @property
    def environment(self) -> dict[str, str]:
        """Variables of the functions, and of a command line that talks to this cloud."""
        return self._running.environment

    @property
    def url(self) -> str:
        """Address of the API that the local adapters call."""
        return self._running.front.url

    @property
    def key(self) -> SecretStr:
        """What each call of the API, and of a function, must show."""
        return self._running.key

    @property
    def functions_url(self) -> str:
        """Each function is at `functions_url/NAME`."""
        return self._running.host.url

    @property
    def bus(self) -> Bus:
        """The topic."""
        return self._running.bus

    @property
    def compute(self) -> Compute:
        """The compute service: preempt, kill."""
        return self._running.compute

    @property
    def scheduler(self) -> Scheduler:
        """The scheduler."""
        return self._running.scheduler

    @property
    def faults(self) -> Faults:
        """The faults in force."""
        return self._faults.present

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._faults.present = faults

    def kill_functions(self) -> None:
        """Kill the functions' process as `kill -9` does; it is started again."""
        self._running.host.kill()

    def events(self, since: datetime | None = None) -> list[Event]:
        """Return what happened since this start, or since a simulated time."""
        return self._running.log.since(since)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` for each further event; returns how to end that.

        It is called in the thread where it happened: it must be quick and call nothing here.
        """
        return self._running.log.subscribe(listener)

    @property
    def _running(self) -> "_Parts":
        if self._parts is None:
            raise RuntimeError("embedded cloud: expected it to run, found it stopped. Call start.")
        return self._parts

    def _start_parts(self, host: FunctionsHost, pool: StandbyPool) -> None:
        options, saved = self.options, self._saved
        clock = ScaledClock(
            real_anchor_s=time.time(),
            simulated_anchor_s=saved.saved_at.timestamp(),
            speed=options.speed,
        )
        log = EventLog(self.folder / "events.jsonl", clock)
        world = World(clock=clock, log=log, faults=self._faults)
        compute = Compute(
            world=world,
            guests=Guests(
                pool=pool,
                folder=self.folder / "vms",
                command=options.vm_command,
                environment={CLOCK_VARIABLE: clock.to_json()},
            ),
            delays=options.delays,
            on_change=self._save,
        )
        vms = [after_power_failure(record, saved.saved_at) for record in saved.vms]
        compute.restore(vms, saved.operations, saved.requests)
        compute.disk_store.restore(saved.disks)
        bus = Bus(
            journal=BusJournal(self.folder / "bus.jsonl"),
            functions_url=host.url,
            world=world,
            retry=options.retry,
        )
        scheduler = Scheduler(
            world=world,
            publish=bus.publish,
            functions_url=host.url,
            forecast_every_s=options.forecast_every_s,
            heartbeat_s=options.heartbeat_s,
        )
        if saved.boundary is not None:
            scheduler.aim_boundary(saved.boundary)
        api = front(bus=bus, compute=compute, scheduler=scheduler, key=world.key)
        server = HttpServer(api, name="front")
        self._parts = _Parts(
            clock=clock,
            log=log,
            compute=compute,
            bus=bus,
            scheduler=scheduler,
            front=server,
            host=host,
            pool=pool,
            environment=self._environment(server.url, clock, world.key),
            key=world.key,
        )
        self._start_all(self._parts)

    def _environment(self, front_url: str, clock: ScaledClock, key: SecretStr) -> dict[str, str]:
        options = self.options
        values: dict[str, object] = {
            "BUCKET": self.store.url,
            "CLOUD": front_url,
            "HISTORY": str(self.folder / _HISTORY) if options.history else "",
            "LOCAL_KEY": key.get_secret_value(),
            "SEED": options.seed,
        }
        timing = dataclasses.asdict(options.timing)
        values |= {name.upper(): value for name, value in timing.items()}
        named = {PREFIX + name: str(value) for name, value in values.items()}
        return named | {CLOCK_VARIABLE: clock.to_json()}

    def _start_all(self, parts: "_Parts") -> None:
        parts.front.start()
        parts.host.start(parts.environment, parts.log, timeout_s=_START_TIMEOUT_S)
        parts.log.say(
            EventKind.CLOUD, "cloud", f"started at {self.options.speed:g} times real time"
        )
        parts.compute.start()
        parts.compute.save()
        parts.bus.start()
        parts.scheduler.start()
        self._saver.start()

    def _keep_saving(self) -> None:
        while not self._stopping.wait(_SAVE_EVERY_S):
            # By way of compute, whose lock comes first everywhere.
            self._running.compute.save()

    def _save(self, parts: "_Parts | None" = None) -> None:
        parts = parts or self._parts
        if parts is None:
            return
        vms, operations, requests = parts.compute.saved()
        self._saved = SavedCloud(
            options=dataclasses.replace(self.options, faults=self.faults),
            saved_at=parts.clock.now(),
            boundary=parts.scheduler.boundary,
            vms=vms,
            operations=operations,
            disks=parts.compute.disk_store.saved(),
            requests=requests,
        )
        save(self.folder, self._saved)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """What runs between start and stop."""

    clock: ScaledClock
    log: EventLog
    compute: Compute
    bus: Bus
    scheduler: Scheduler
    front: HttpServer
    host: FunctionsHost
    pool: StandbyPool
    environment: dict[str, str]
    key: SecretStr
