"""How often Compute Engine is called for one complete move: counted, and stated in the guide."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from compute_control import HANDOVER, THERE, TIMING, Control, planned
from compute_harness import connected
from manual_clock import START

from functions.domain.lifecycle.vm import VmStatus
from functions.handlers.documents import Documents
from functions.wire import WakeUpKind
from vm_runtime.contract import object_names
from vm_runtime.contract.checkpoint import Latest
from vm_runtime.contract.job import KeepDisk

GUIDE = Path(__file__).parents[2] / "docs/operations.md"
VERBS = {
    "aggregated_list": "instances.aggregatedList",
    "insert": "instances.insert",
    "get_template": "instanceTemplates.get",
    "get_operation": "zoneOperations.get",
    "set_metadata": "instances.setMetadata",
    "get": "instances.get",
    "stop": "instances.stop",
    "delete": "instances.delete",
    "start": "instances.start",
    "attach_disk": "instances.attachDisk",
    "aggregated_list_disks": "disks.aggregatedList",
    "create_snapshot": "disks.createSnapshot",
    "insert_disk": "disks.insert",
    "get_disk": "disks.get",
    "delete_disk": "disks.delete",
    "list_snapshots": "snapshots.list",
    "get_snapshot": "snapshots.get",
    "delete_snapshot": "snapshots.delete",
}
"""Method of our server, and the API's."""


@contextmanager
def training(keep_disk: KeepDisk | None = None) -> Iterator[Control]:
    """A job that trains in Frankfurt, shortly before its move to Paris."""
    with connected() as cloud:
        control = Control(cloud)
        planned(control.store, keep_disk=keep_disk)
        control.wake(WakeUpKind.PLAN)
        control.at(START + timedelta(minutes=5))
        control.report(1)
        control.wake(WakeUpKind.HEARTBEAT)
        control.cloud.model.calls.clear()
        control.wakes.clear()
        yield control


def stated(column: int) -> dict[str, int]:
    """Return a column of the guide's table of calls."""
    table = GUIDE.read_text().split("| call | move |")[1].split("\n\n")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    found = {row[0].strip("`"): row[column] for row in rows if row[0].startswith("`")}
    return {call: int(times) for call, times in found.items() if times}


def counted(control: Control) -> dict[str, int]:
    """Return the calls that were made, as the API names them."""
    calls = control.cloud.model.calls
    return {VERBS[verb]: times for verb, times in calls.items() if times}


def hand_over(control: Control) -> None:
    """Let a target be made ahead of its interval, and the source end with its own."""
    lead = timedelta(seconds=TIMING.boot_lead_s)

    control.at(HANDOVER - lead)
    control.report(1)
    control.wake(WakeUpKind.BOUNDARY)
    control.at(HANDOVER - timedelta(seconds=30))
    control.report(1)
    control.at(HANDOVER)
    control.wake(WakeUpKind.BOUNDARY)
    control.cloud.model.power_off("ss-digits-1")  # its guest ends with the interval


def test_one_complete_move_takes_the_calls_that_the_guide_states() -> None:
    """From the wake-up ahead of the target's interval to the deletion of the source."""
    with training() as control:
        hand_over(control)
        control.at(HANDOVER + timedelta(minutes=5))
        control.report(2)
        control.wake(WakeUpKind.HEARTBEAT)
        control.at(HANDOVER + timedelta(minutes=10))

        assert counted(control) == stated(1)
        (vm,) = control.cloud.fleet.list()
        assert (vm.name, vm.compute_zone, vm.status) == ("ss-digits-2", THERE, VmStatus.RUNNING)


def test_one_move_with_a_data_disk_takes_the_calls_that_the_guide_states() -> None:
    """To the deletion of the source, of its disk, and of the snapshot between the two."""
    with training(KeepDisk(size_gb=100)) as control:
        hand_over(control)
        for minutes in range(5, 45, 5):
            control.at(HANDOVER + timedelta(minutes=minutes))
            if control.cloud.disks.disks()[-1].users:
                control.report(2)
            control.cloud.model.calls["aggregated_list_disks"] -= 1  # that was us
            control.wake(WakeUpKind.HEARTBEAT)
            if is_settled(control):
                break

        assert counted(control) == stated(2)
        (vm,) = control.cloud.fleet.list()
        disks = [disk for disk in control.cloud.disks.disks() if disk.is_data]
        assert [(disk.compute_zone, disk.users) for disk in disks] == [(THERE, (vm.name,))]


def test_one_start_of_a_stopped_vm_takes_the_calls_that_the_guide_states() -> None:
    """From the message after it was preempted to its next run."""
    with training() as control:
        documents = Documents(control.store)
        saved = Latest(checkpoint_id=None, step=10, incarnation=1, updated_at=START)
        documents.write(object_names.latest("digits"), saved)
        control.cloud.model.preempt("ss-digits-1")
        control.at(START + timedelta(minutes=10))
        control.wake(WakeUpKind.HEARTBEAT)

        assert counted(control) == stated(3)
        fleet = control.cloud.fleet
        control.cloud.wait_until(lambda: fleet.list()[0].status is VmStatus.RUNNING)
        assert [(vm.name, vm.incarnation) for vm in fleet.list()] == [("ss-digits-1", 2)]


def is_settled(control: Control) -> bool:
    """Whether nothing of the move is left but the job in its new place."""
    shelf, machines = control.cloud.model.shelf, control.cloud.model.instances()
    data = [disk for (_, name), disk in shelf.disks.items() if name.endswith("-data")]
    return len(machines) == len(data) == 1 and not shelf.snapshots
