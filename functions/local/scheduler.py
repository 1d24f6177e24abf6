"""Cloud Scheduler's part: ticks on the simulated clock that reach the functions over HTTP."""

import math
import threading
from collections.abc import Callable
from datetime import UTC, datetime

import requests

from functions.local.caller import authorization
from functions.local.events import EventKind
from functions.local.world import World
from functions.wire import WakeUp, WakeUpKind, encode_wake_up
from vm_runtime.contract.clock import Clock

GRANULARITY_S = 60
"""Cloud Scheduler fires at full minutes."""
_OK = range(200, 300)
_FORECAST_TIMEOUT_S = 300.0
"""Real seconds."""


def next_full(now: datetime, every_s: int) -> datetime:
    """Return the first time after `now` that is a multiple of `every_s` since 1970.

    What lies between a late `now` and that time is skipped, not queued.
    """
    return datetime.fromtimestamp((now.timestamp() // every_s + 1) * every_s, UTC)


def rounded_up(at: datetime) -> datetime:
    """Return `at`, rounded up to the scheduler's granularity."""
    return datetime.fromtimestamp(math.ceil(at.timestamp() / GRANULARITY_S) * GRANULARITY_S, UTC)


class Alarm:
    """A time to fire at, that may be moved from another thread."""

    def __init__(self, clock: Clock, at: datetime | None) -> None:
        """Fire at `at` first; `None`: not before it is aimed."""
        self._clock = clock
        self._changed = threading.Condition()
        self._stopping = False
        self.at = at

    def aim(self, at: datetime | None, *, instead_of: datetime | None = None) -> None:
        """Fire at `at` instead; with `instead_of` only if that is what it is aimed at."""
        with self._changed:
            if instead_of in {None, self.at}:
                self.at = at
                self._changed.notify_all()

    def stop(self) -> None:
        """Never fire again."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def wait(self) -> datetime | None:
        """Block until it fires; returns the time aimed at, `None` when stopped."""
        with self._changed:
            while not self._stopping:
                if self.at is None:
                    self._changed.wait()
                    continue
                left_s = (self.at - self._clock.now()).total_seconds()
                if left_s <= 0:
                    fired, self.at = self.at, None
                    return fired
                self._changed.wait(self._clock.wait_s(left_s))
            return None


class Scheduler:
    """The jobs `forecast`, `heartbeat` and `boundary`, each in a thread: none overlaps itself."""

    def __init__(
        self,
        *,
        world: World,
        publish: Callable[[bytes], object],
        functions_url: str,
        forecast_every_s: int,
        heartbeat_s: int,
    ) -> None:
        """Prepare: `forecast` fires at once, `boundary` once it is aimed; simulated seconds."""
        self._clock = clock = world.clock
        self._log = world.log
        self._faults = world.faults
        self._shown = authorization(world.key)
        self._publish = publish
        self._url = functions_url
        self._forecast_every_s = forecast_every_s
        now = clock.now()
        self._forecast = Alarm(clock, now)
        self._heartbeat = Alarm(clock, next_full(now, heartbeat_s))
        self._heartbeat_s = heartbeat_s
        self._boundary = Alarm(clock, None)
        self._aiming = threading.Lock()
        self._later: list[datetime] = []
        """What the boundary job is aimed at after it has fired, ascending."""
        self._threads = [
            threading.Thread(target=run, name=f"scheduler-{run.__name__}", daemon=True)
            for run in (self._run_forecast, self._run_heartbeat, self._run_boundary)
        ]

    @property
    def boundary(self) -> datetime | None:
        """When the boundary job fires next."""
        return self._boundary.at

    def start(self) -> None:
        """Start to tick."""
        for thread in self._threads:
            thread.start()

    def interrupt(self) -> None:
        """Begin no further tick."""
        for alarm in (self._forecast, self._heartbeat, self._boundary):
            alarm.stop()

    def stop(self) -> None:
        """Stop to tick; waits for a tick under way."""
        self.interrupt()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def aim_boundary(self, at: datetime, *more: datetime) -> None:
        """Wake all functions at each time, rounded up; replaces what was aimed at before."""
        first, *later = sorted({rounded_up(time) for time in (at, *more)})
        with self._aiming:
            self._later = later
            self._boundary.aim(first)

    def tick_now(self) -> None:
        """Trigger `forecast` now; one that runs is not overlapped, but followed."""
        self._forecast.aim(self._clock.now())

    def _run_forecast(self) -> None:
        while at := self._forecast.wait():
            # Set before the call, so that `tick_now` during it is not forgotten.
            planned = next_full(self._clock.now(), self._forecast_every_s)
            self._forecast.aim(planned)
            for _ in range(self._times()):
                self._tick_forecast(at)
            later = next_full(self._clock.now(), self._forecast_every_s)
            self._forecast.aim(later, instead_of=planned)

    def _run_heartbeat(self) -> None:
        while self._heartbeat.wait():
            self._wake(WakeUpKind.HEARTBEAT)
            self._heartbeat.aim(next_full(self._clock.now(), self._heartbeat_s))

    def _run_boundary(self) -> None:
        while self._boundary.wait():
            self._wake(WakeUpKind.BOUNDARY)
            with self._aiming:
                if self._later and self._boundary.at is None:
                    self._boundary.aim(self._later.pop(0))

    def _times(self) -> int:
        if not self._faults.hits(self._faults.present.double_ticks):
            return 1
        self._log.say(EventKind.FAULT, "scheduler", "tick sent twice")
        return 2

    def _wake(self, kind: WakeUpKind) -> None:
        for _ in range(self._times()):
            self._publish(encode_wake_up(WakeUp(kind=kind, sent_at=self._clock.now())))

    def _tick_forecast(self, at: datetime) -> None:
        headers = self._shown | {
            "User-Agent": "Google-Cloud-Scheduler",
            "X-CloudScheduler": "true",
            "X-CloudScheduler-JobName": "forecast",
            "X-CloudScheduler-ScheduleTime": at.isoformat(),
        }
        try:
            with requests.Session() as session:
                session.trust_env = False
                answer = session.post(
                    f"{self._url}/forecast", headers=headers, timeout=_FORECAST_TIMEOUT_S
                )
        except requests.RequestException as error:
            self._log.say(EventKind.FUNCTION_ERROR, "forecast", f"{type(error).__name__}: {error}")
            return
        if answer.status_code in _OK:
            self._log.say(EventKind.TICK, "forecast", f"tick of {at:%Y-%m-%d %H:%M}")
        else:
            text = f"HTTP {answer.status_code}: {answer.text.strip()[:300]}"
            self._log.say(EventKind.FUNCTION_ERROR, "forecast", text)
