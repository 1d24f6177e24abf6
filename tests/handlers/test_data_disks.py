"""Jobs with `keep_disk` in the simulated world: what the script wrote is never lost, nor left.

The world itself holds the law: a guest whose disk has less than its checkpoint is a `LawError`.
"""

import os
import random
from dataclasses import replace
from datetime import timedelta

import pytest
from control_plane import Chaos, World
from sample_jobs import REGIONS, SHORT, job, steps_of

from functions.domain.lifecycle.actions import Owner
from functions.domain.lifecycle.state import Phase
from functions.domain.lifecycle.timing import Timing
from functions.domain.lifecycle.vm import VmStatus
from functions.handlers.disk_stock import DiskStock
from functions.handlers.orphans import remove_orphans
from functions.handlers.reconcile import reconcile
from functions.wire import WakeUp, WakeUpKind
from vm_runtime.contract import object_names
from vm_runtime.contract.job import KeepDisk

KEEP = KeepDisk(size_gb=100)
STRIDE = int(os.environ.get("SMARTSCHEDULER_CRASH_STRIDE", "75"))
"""Every so manieth effect of each part; 3 tries all of them."""


def started(seed: int = 0, chaos: Chaos | None = None, **changes: object) -> World:
    """Return a world with one job that keeps its disk."""
    world = World(seed=seed, chaos=chaos or Chaos())
    one = job(keep_disk=KEEP, **changes)
    world.submit(one, steps_of(one))
    return world


def finish(world: World, at_most_h: float = 90) -> None:
    """Run until nothing is left that costs, and check that the job has finished."""
    world.run(world.is_over, at_most_h=at_most_h)
    assert world.state("digits").phase is Phase.FINISHED, world.state("digits").message


def test_the_disk_goes_where_the_job_goes_and_is_deleted_with_it() -> None:
    """Several places, one disk in each after the other, and at the end no disk and no snapshot."""
    world = started()

    finish(world)

    places = {spec.compute_zone for spec in world.fleet.specs.values()}
    assert len(places) > 1
    assert world.state("digits").disks_named >= len(places)
    assert not world.fleet.disks.by_name
    assert not world.fleet.disks.shots


def test_in_one_region_the_disk_is_attached_again_and_never_copied() -> None:
    """A VM in the disk's compute zone is made with it."""
    world = started(allowed_regions=REGIONS[:1])

    finish(world)

    assert len(world.fleet.specs) > 1
    assert world.state("digits").disks_named == 1


@pytest.mark.parametrize("fault", ["stock_outs", "quota", "snapshots_fail", "slow"])
def test_a_copy_that_cannot_be_made_leaves_the_disk_and_the_job_goes_on(fault: str) -> None:
    """The VM there is sent away, the place is blocked, and the job goes on where its disk is."""
    world = started()
    world.run(lambda: bool(world.latest_steps.get("digits")), at_most_h=30)
    faults = world.fleet.disks.faults
    disk = world.state("digits").disk
    assert disk is not None
    region = disk.compute_zone.rpartition("-")[0]
    others = [name for name in REGIONS if name != region]
    match fault:
        case "stock_outs":
            faults.stock_outs = {f"{name}-{letter}" for name in others for letter in "abcd"}
        case "quota":
            faults.quota = set(others)
        case "snapshots_fail":
            faults.snapshots_fail = True
        case _:
            faults.slow_s = 1e6

    finish(world)

    assert world.state("digits").disk == disk or fault == "slow"


def test_a_missing_right_ends_the_job_and_keeps_its_disk() -> None:
    """It says what is wrong; the disk stays for a retry."""
    world = started()
    world.fleet.disks.faults.denied = True

    world.run(lambda: world.state("digits").phase is Phase.FAILED, at_most_h=60)
    world.run(world.is_over, at_most_h=10)

    assert "data disk: denied" in world.state("digits").message
    assert len(world.fleet.disks.by_name) == 1


def test_a_deleted_disk_ends_the_job_in_words() -> None:
    """What was on it is lost: nobody goes on as if nothing was."""
    world = started()
    world.run(lambda: world.state("digits").disk is not None, at_most_h=30)
    world.run(lambda: bool(world.guests), at_most_h=30)
    world.run(lambda: not world.fleet.vms, at_most_h=30)
    world.fleet.disks.by_name.clear()

    world.run(lambda: world.state("digits").phase.is_final, at_most_h=60)

    assert "somebody deleted it" in world.state("digits").message
    assert world.state("digits").disk is None


def test_a_disk_that_a_strangers_vm_has_ends_the_job_in_words() -> None:
    """It never comes by itself: VM after VM would wait for it, each until its interval's end."""
    world = started()
    world.run(lambda: world.state("digits").disk is not None, at_most_h=30)
    world.run(lambda: bool(world.guests), at_most_h=30)
    world.run(lambda: not world.fleet.vms, at_most_h=30)
    (disk,) = world.fleet.disks.by_name.values()
    world.fleet.disks.by_name[disk.name] = replace(disk, users=("rescue",))

    world.run(lambda: world.state("digits").phase is Phase.FAILED, at_most_h=60)

    assert "is attached to rescue" in world.state("digits").message
    assert len(world.fleet.specs) <= 3


def test_a_machine_that_takes_no_disk_ends_the_job_in_words() -> None:
    """A refusal for good is no reason to try for ever."""
    world = started()
    world.fleet.disks.faults.unfit = {f"ss-digits-{number}" for number in range(2, 50)}

    world.run(lambda: world.state("digits").phase is Phase.FAILED, at_most_h=60)

    assert "persistent disks" in world.state("digits").message


@pytest.mark.parametrize("part", range(3))
def test_a_function_dies_at_any_effect(part: int) -> None:
    """Die once just before or after effects of a run with moves: nothing is lost or left."""
    calm = started()
    finish(calm)
    assert calm.state("digits").disks_named > 1
    for effect in range(1 + part, calm.effects + 1, STRIDE):
        finish(started(seed=effect, chaos=Chaos(crash_at=effect)))


@pytest.mark.parametrize("seed", range(6))
def test_any_mixture_of_faults(seed: int) -> None:
    """Messages, functions, VMs, disks and a person: all of it at once."""
    draw = random.Random(seed)
    chaos = Chaos(
        duplicate=0.2,
        drop=0.1,
        delay_s=300,
        shuffle=True,
        preempt=0.003,
        crash=0.1,
        unavailable=0.05,
        stale=0.02,
        deleted=0.001,
    )
    world = started(seed=seed, chaos=chaos, **SHORT)
    faults = world.fleet.disks.faults

    def is_over() -> bool:
        if draw.random() < 0.02:
            faults.quota = set(draw.sample(REGIONS, draw.choice([0, 2])))
            faults.snapshots_fail = draw.random() < 0.2
            faults.slow_s = draw.choice([0, 0, 9000])
        return world.is_over()

    world.run(is_over, at_most_h=120)
    assert world.state("digits").phase is Phase.FINISHED


def test_what_a_deleted_job_leaves_is_removed_and_nothing_of_others() -> None:
    """VM, disk and snapshot without a job go once they are old; another job's stay."""
    world = started()
    other = job("other", keep_disk=KEEP)
    world.submit(other, steps_of(other))
    world.run(lambda: len(world.guests) == 2, at_most_h=30)
    for info in list(world.store.list(object_names.job_folder("digits"))):
        world.store.delete(info.name)
    world.steps_total.pop("digits")
    world.latest_steps.pop("digits", None)
    kept = {disk.name for disk in world.fleet.disks.disks() if disk.job_id == "other"}

    def is_clear() -> bool:
        vms = [vm for vm in world.fleet.vms.values() if vm.job_id == "digits"]
        return not vms and {disk.job_id for disk in world.fleet.disks.disks()} == {"other"}

    world.guests = {k: v for k, v in world.guests.items() if v.job_id != "digits"}
    for _ in range(60):
        world.clock.advance(60)
        wake_up = WakeUp(kind=WakeUpKind.HEARTBEAT, sent_at=world.clock.now())
        reconcile(world.ports, Timing(), Owner.STOP_VM, wake_up)
    assert is_clear()
    assert kept <= {disk.name for disk in world.fleet.disks.disks()}


def test_what_is_young_is_no_orphan() -> None:
    """A VM and a disk without a job are left until they are old: a submission may be under way."""
    world = started()
    world.run(lambda: bool(world.fleet.vms), at_most_h=30)
    stock = DiskStock(world.ports.disks)
    stock.look()
    vms = world.fleet.list()

    remove_orphans(world.ports, Timing(orphan_after_s=1e9), "digits", vms, stock)
    assert all(vm.status is not VmStatus.STOPPING for vm in world.fleet.list())
    world.clock.advance(timedelta(hours=2).total_seconds())
    remove_orphans(world.ports, Timing(orphan_after_s=60), "digits", vms, stock)
    assert all(not vm.is_alive for vm in world.fleet.list())
