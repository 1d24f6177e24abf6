"""Every call of every port goes through here: it takes time, and it may go wrong."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from functions.errors import PermissionDeniedError, UnavailableError
from soak.faults import Fault, How, Kind
from soak.kernel import Machine
from vm_runtime.storage.port import StorageDeniedError, StorageUnavailableError

if TYPE_CHECKING:
    from soak.world import World

T = TypeVar("T")

LOOKS = (
    *("bucket.read", "bucket.list", "bucket.download"),
    *("fleet.list", "fleet.operation", "fleet.disks", "fleet.snapshots"),
)
"""What changes nothing: the way back of its answer takes no time of its own."""

CHANGES = (
    *("fleet.insert", "fleet.stop", "fleet.delete", "fleet.set_interval_end"),
    *("fleet.take_snapshot", "fleet.copy_disk", "fleet.attach"),
    "bucket.write state.json",
)
"""What a function does because of a message."""

LOOKS_THAT_TAKE_TIME = 0.3
"""Share of them; to let others act between all of them would cost more than it finds."""


class Calls:
    """Lets calls take time, and go wrong as the schedule says."""

    def __init__(self, world: "World") -> None:
        """Take the faults of the world's schedule that are about calls."""
        self._world = world
        self._coming = [each for each in world.schedule.faults if each.kind is Kind.CALL][::-1]
        self._armed: list[Fault] = []
        self.disturbed_s = float("-inf")
        """When the control plane was last kept from its work."""

    def make(self, machine: Machine, party: str, what: str, effect: Callable[[], T]) -> T:
        """Call, with latency and faults."""
        world = self._world
        is_look = what.startswith(LOOKS)
        if not is_look or world.dice.random() < LOOKS_THAT_TAKE_TIME:
            world.kernel.sleep(world.latency_s())
        if world.kernel.now_s < machine.cut_off_until_s and what.startswith("bucket."):
            raise _no_answer(what)
        if machine.is_stale and what.startswith(CHANGES):
            world.laws.broken("design 1, an older `seq` is ignored", f"{machine.name}: {what}")
        fault = machine.coming_fault and machine.fault_at(what)
        if fault is None and (self._armed or self._coming):
            fault = self._hit(party, what)
        if fault is not None:
            return self._go_wrong(fault, machine, what, effect)
        result = effect()
        if not is_look:
            world.kernel.sleep(world.latency_s())
        return result

    def _hit(self, party: str, what: str) -> Fault | None:
        now_s = self._world.kernel.now_s
        while self._coming and self._coming[-1].at_s <= now_s:
            self._armed.append(self._coming.pop())
        for fault in self._armed:
            if fault.for_s and now_s > fault.at_s + fault.for_s:
                self._armed.remove(fault)
                return self._hit(party, what)
            if fault.party not in ("", party) or not what.startswith(fault.call):
                continue
            if fault.chance < 1 and self._world.dice.random() > fault.chance:
                continue
            if not fault.for_s:
                self._armed.remove(fault)
            return fault
        return None

    def _go_wrong(self, fault: Fault, machine: Machine, what: str, effect: Callable[[], T]) -> T:
        world, kernel = self._world, self._world.kernel
        world.tell(machine.name, f"{fault.how} {what}")
        if fault.party != "vm" and fault.kind is Kind.CALL:
            self.disturbed_s = kernel.now_s + fault.number
        if fault.how is How.DENIED:
            raise _denied(what)
        if fault.how is How.DIES_BEFORE:
            kernel.die(machine)
        if fault.how is How.STANDS_BEFORE:
            machine.freeze(fault.number)
            kernel.sleep(0)
        if fault.how is How.NOT_DONE:
            raise _no_answer(what)
        result = effect()
        if fault.how is How.DONE:
            raise _no_answer(what)
        if fault.how is How.DIES_AFTER:
            kernel.die(machine)
        if fault.how is How.STANDS_AFTER:
            machine.freeze(fault.number)
            kernel.sleep(0)
        return result


def _no_answer(what: str) -> Exception:
    error = StorageUnavailableError if what.startswith("bucket.") else UnavailableError
    return error(f"503 on {what}")


def _denied(what: str) -> Exception:
    error = StorageDeniedError if what.startswith("bucket.") else PermissionDeniedError
    return error(f"403 on {what}. Grant the right.")
