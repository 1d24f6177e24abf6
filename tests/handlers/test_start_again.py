"""A stopped VM is started again where that is cheaper than a new one, and nothing else changes."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from control_plane import Chaos, World
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_jobs import SHORT, job, steps_of

from functions.domain.lifecycle.parking import DISK_USD_PER_H, longest_gap
from functions.domain.lifecycle.state import Phase, Verb
from functions.domain.lifecycle.vm import VmStatus
from functions.handlers.documents import Documents
from vm_runtime.contract import object_names
from vm_runtime.contract.checkpoint import Latest
from vm_runtime.contract.job import KeepDisk
from vm_runtime.contract.ledger import VmLifetime


def step(world: World) -> int:
    """Return the step of the latest checkpoint."""
    latest = Documents(world.store).peek(Latest, object_names.latest("digits"))
    return latest.step if latest else 0


def lifetimes(world: World) -> list[VmLifetime]:
    """Return what was booked, by incarnation."""
    documents = Documents(world.store)
    names = documents.names(object_names.ledger_folder("digits"))
    return [documents.get(VmLifetime, name) for name in names if name.endswith("-vm.json")]


@pytest.fixture
def world() -> World:
    """A world in which a job trains and has a checkpoint."""
    world = World()
    world.submit(job(**SHORT), steps_of(job(**SHORT)))
    world.run(lambda: step(world) > 0, at_most_h=20)
    return world


def preempt(world: World) -> str:
    """Take the VM away without notice, and return its name."""
    (name,) = world.guests
    world.guests.pop(name)
    world.fleet.power_off(name)
    return name


def test_a_preempted_vm_is_started_again_under_a_new_incarnation(world: World) -> None:
    """Same name and disk; the fencing token grows; each run is booked once, without overlap."""
    name = preempt(world)

    world.run(lambda: bool(world.guests), at_most_h=0.5)

    state = world.state("digits")
    assert (list(world.guests), world.guests[name].incarnation) == ([name], 2)
    assert (state.incarnation, world.fleet.starts) == (2, 1)
    assert state.target is not None
    assert (state.target.restarts, state.target.vm) == (True, name)
    world.run(world.is_over, at_most_h=12)
    assert world.state("digits").phase is Phase.FINISHED
    booked = lifetimes(world)
    assert [each.incarnation for each in booked] == list(range(1, len(booked) + 1))
    assert all(a.terminated_at <= b.created_at for a, b in pairwise(booked))


def test_a_vm_with_the_jobs_data_disk_is_started_with_it() -> None:
    """It has the disk all the time: nothing is attached, copied or lost."""
    world = World()
    keeping = job(**SHORT, keep_disk=KeepDisk(size_gb=100))
    world.submit(keeping, steps_of(keeping))
    world.run(lambda: step(world) > 0, at_most_h=20)
    name = preempt(world)
    before = world.fleet.disks.disk_of(name)

    world.run(lambda: bool(world.guests), at_most_h=0.5)

    assert (list(world.guests), world.fleet.starts) == ([name], 1)
    assert before is not None
    assert world.fleet.disks.disk_of(name) == before
    world.run(world.is_over, at_most_h=12)
    assert world.state("digits").phase is Phase.FINISHED


def test_without_capacity_for_the_start_another_place_takes_over(world: World) -> None:
    """A stopped VM is no reservation: it is deleted, and the job goes on elsewhere."""
    name = preempt(world)
    region = world.fleet.vms[name].region
    world.fleet.faults.stock_outs = {f"{region}-{letter}" for letter in "abcd"}

    world.run(world.is_over, at_most_h=20)

    assert world.fleet.starts == 0
    assert world.state("digits").phase is Phase.FINISHED
    assert len(world.fleet.specs) > 1
    ran = {each.compute_zone.rpartition("-")[0] for each in lifetimes(world)[1:]}
    assert region not in ran


def test_a_vm_that_achieved_nothing_is_not_started_again() -> None:
    """Whatever ails it may be on its disk."""
    world = World()
    world.submit(job(**SHORT), steps_of(job(**SHORT)))
    world.run(lambda: bool(world.guests), at_most_h=20)
    preempt(world)

    world.run(lambda: bool(world.guests), at_most_h=2)

    assert world.fleet.starts == 0
    assert len(world.fleet.specs) == 2


@pytest.mark.parametrize("verb", [Verb.PAUSE, Verb.CANCEL])
def test_a_stopped_vm_that_is_kept_goes_when_its_job_rests(world: World, verb: Verb) -> None:
    """It costs its disk: a job that rests costs nothing but storage."""
    preempt(world)
    world.run(lambda: world.state("digits").sleeper is not None, at_most_h=0.3)

    world.wish("digits", verb)
    world.run(lambda: not world.fleet.vms, at_most_h=0.4)

    assert world.fleet.starts in {0, 1}


def test_a_stopped_vm_that_a_person_deletes_is_replaced(world: World) -> None:
    """What is gone is not waited for."""
    name = preempt(world)
    world.run(lambda: world.state("digits").sleeper is not None, at_most_h=0.3)
    if world.fleet.vms[name].status is VmStatus.TERMINATED:
        world.fleet.delete(world.fleet.vms[name], request_id="by hand")

    world.run(world.is_over, at_most_h=12)

    assert world.state("digits").phase is Phase.FINISHED


def test_the_gap_for_which_a_vm_is_kept_pays_for_itself() -> None:
    """By list prices: its disk costs no more than the machine's time that a start saves."""
    cpu = job(machine_type="e2-standard-8")
    gap = longest_gap(cpu, "europe-west3")

    assert timedelta(minutes=40) < gap < timedelta(minutes=60)
    assert gap.total_seconds() / 3600 * DISK_USD_PER_H == pytest.approx(0.345 * 90 / 3600)
    assert longest_gap(job(machine_type="g2-standard-8"), "europe-west4") > timedelta(hours=2)
    assert longest_gap(replace(cpu, machine_type="x9-unknown-8"), "europe-west3") == timedelta(0)
    slow = replace(cpu, start_overhead_s=360.0)
    assert longest_gap(slow, "europe-west3") == 2 * gap


@settings(max_examples=8)
@given(seed=st.integers(0, 2**32 - 1))
def test_starts_amid_any_faults(seed: int) -> None:
    """Promises 1, 2 and 4 hold in every turn, and the job ends, however often VMs are taken."""
    chaos = Chaos(
        duplicate=0.3, drop=0.2, delay_s=120, shuffle=True, preempt=0.02, crash=0.03, deleted=0.002
    )
    short = job(**SHORT, slot_minutes=15)
    world = World(seed=seed, chaos=chaos)
    world.submit(short, steps_of(short))

    world.run(world.is_over, at_most_h=60)

    assert world.state("digits").phase in {Phase.FINISHED, Phase.FAILED}
    booked = sorted(lifetimes(world), key=lambda each: each.incarnation)
    by_vm = [(each.vm, each.created_at, each.terminated_at) for each in booked]
    for (vm, _, end), (after, start, _) in pairwise(by_vm):
        assert vm != after or end <= start
