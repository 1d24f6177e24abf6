"""Parts of an embedded cloud with stand-ins for the rest."""

import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from functions.local.compute import Compute
from functions.local.events import EventKind, EventLog
from functions.local.faults import FaultBox, Faults
from functions.local.machine import Guests
from functions.local.standby import StandbyPool
from functions.local.vm_states import Delays
from functions.local.world import World
from vm_runtime.contract.clock import ScaledClock

PROGRAMS = Path(__file__).with_name("local_programs")
START = datetime(2024, 3, 5, tzinfo=UTC)


def make_world(folder: Path, faults: Faults | None = None, *, speed: float = 600.0) -> World:
    """Return a world whose clock starts at `START` now."""
    now_s = datetime.now(UTC).timestamp()
    clock = ScaledClock(real_anchor_s=now_s, simulated_anchor_s=START.timestamp(), speed=speed)
    return World(
        clock=clock,
        log=EventLog(folder / "events.jsonl", clock),
        faults=FaultBox(faults or Faults(), seed=1),
    )


@dataclass
class Machines:
    """Makes compute services whose guests are fake, and ends them."""

    folder: Path
    made: list[tuple[Compute, StandbyPool]] = field(default_factory=list)

    def make(self, world: World, *, delays: Delays | None = None) -> Compute:
        """Return a running one."""
        pool = StandbyPool(size=0, modules=(), log=self.folder / "standby.log")
        guests = Guests(
            pool=pool,
            folder=self.folder,
            command=(str(PROGRAMS / "fake_vm.py"),),
            environment={"SEEN": "yes"},
        )
        compute = Compute(world=world, guests=guests, delays=delays or Delays())
        self.made.append((compute, pool))
        compute.start()
        return compute

    def close(self) -> None:
        """End all."""
        for compute, pool in self.made:
            compute.stop()
            pool.close()


def said(world: World, kind: EventKind) -> list[str]:
    """Return what the journal has of one kind."""
    events = world.log.since()
    return [f"{event.subject} {event.text}" for event in events if event.kind is kind]


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; a zombie does not."""
    status = Path(f"/proc/{pid}/stat")
    if Path("/proc/self").exists():
        try:
            return status.read_text().rpartition(")")[2].split()[0] != "Z"
        except (FileNotFoundError, ProcessLookupError):
            return False
    found = subprocess.run(  # noqa: S603 - a number
        ["ps", "-o", "stat=", "-p", str(pid)],  # noqa: S607 - of the machine
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return bool(found) and not found.startswith("Z")
