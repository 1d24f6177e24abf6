"""The whole control plane in a simulated world: promises 1, 2, 3, 4 and 6 under faults."""

from datetime import timedelta
from functools import cache

import pytest
from control_plane import Chaos, World
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_jobs import REGIONS, SHORT, job, steps_of
from simulated_clock import START

from functions.domain.lifecycle.state import Phase
from functions.domain.lifecycle.vm import VmStatus
from functions.handlers.documents import Documents
from vm_runtime.contract import object_names
from vm_runtime.contract.checkpoint import Latest
from vm_runtime.contract.job import Job


def finish(world: World, *jobs: Job, at_most_h: float = 60) -> None:
    """Submit the jobs, run until nothing is left, and check that all have finished."""
    for each in jobs:
        world.submit(each, steps_of(each))
    world.run(world.is_over, at_most_h=at_most_h)
    for each in jobs:
        state = world.state(each.job_id)
        latest = Documents(world.store).get(Latest, object_names.latest(each.job_id))
        assert (state.phase, latest.finished) == (Phase.FINISHED, True)
        assert latest.step == steps_of(each)


def test_a_job_finishes_by_its_deadline_and_leaves_no_vm() -> None:
    """Without faults: done in time, moved at least once, nothing left."""
    world = World()

    finish(world, job(), at_most_h=30)

    places = {spec.compute_zone for spec in world.fleet.specs.values()}
    assert len(places) > 1


def test_every_message_doubled_and_shuffled() -> None:
    """At-least-once delivery in any order does no harm."""
    world = World(seed=1, chaos=Chaos(duplicate=1.0, shuffle=True, delay_s=90))

    finish(world, job())


def test_half_of_all_messages_are_lost() -> None:
    """The heartbeat brings a job on even if every other message is lost."""
    finish(World(seed=2, chaos=Chaos(drop=0.5)), job())


def test_vms_are_killed_without_notice() -> None:
    """A preempted VM is replaced; only steps since its last checkpoint are done again."""
    world = World(seed=3, chaos=Chaos(preempt=0.01))

    finish(world, job())

    assert len(world.fleet.specs) > 3


def test_a_stock_out_moves_the_job_to_another_place() -> None:
    """No capacity in the planned region: the next zone, then the next best place."""
    first = World()
    finish(first, job())
    best = next(iter(first.fleet.specs.values())).compute_zone
    world = World()
    region = best.rpartition("-")[0]
    world.fleet.faults.stock_outs = {f"{region}-{letter}" for letter in "abcd"}

    finish(world, job())

    assert not [s for s in world.fleet.specs.values() if s.compute_zone.startswith(region)]


def test_no_capacity_anywhere_for_hours_then_the_job_goes_on() -> None:
    """A world without capacity is waited out; nobody gives up."""
    world = World()
    everywhere = {f"{region}-{letter}" for region in REGIONS for letter in "abcd"}
    world.fleet.faults.stock_outs = everywhere
    world.submit(job(), steps_of(job()))
    world.run(lambda: world.clock.now() > START + timedelta(hours=8), at_most_h=9)
    assert not world.fleet.vms

    world.fleet.faults.stock_outs = set()
    world.run(world.is_over, at_most_h=40)

    assert world.state("digits").phase is Phase.FINISHED


def test_two_jobs_at_once_do_not_disturb_each_other() -> None:
    """Each job has its own VMs, lease and end."""
    world = World(seed=4, chaos=Chaos(preempt=0.003, duplicate=0.3))

    finish(world, job("first"), job("second", allowed_regions=REGIONS[:2]))


def test_a_job_that_cannot_be_read_does_not_stop_another() -> None:
    """A hand-edited document is named in the log; the other job runs on."""
    world = World()
    world.submit(job("broken"), steps_of(job()))
    world.store.write(object_names.job("broken"), b'{"schema_version": 99}')
    world.submit(job("sound"), steps_of(job()))

    world.run(lambda: world.state("sound").phase is Phase.FINISHED, at_most_h=40)


def test_the_control_plane_goes_away_and_no_vm_burns_on() -> None:
    """Promise 4: without any function, VMs end with their interval."""
    world = World()
    world.submit(job(), steps_of(job()))
    world.run(lambda: any(g.may_train for g in world.guests.values()), at_most_h=30)
    world.is_control_plane_down = True

    world.run(
        lambda: all(vm.status is VmStatus.TERMINATED for vm in world.fleet.vms.values()),
        at_most_h=30,
    )


def test_a_hung_guest_is_stopped_by_force() -> None:
    """A VM that neither trains nor ends is powered off; the job goes on elsewhere."""
    world = World()
    world.submit(job(), steps_of(job()))
    world.run(lambda: any(g.may_train for g in world.guests.values()), at_most_h=30)
    next(iter(world.guests.values())).is_stalled = True

    world.run(world.is_over, at_most_h=60)

    assert world.state("digits").phase is Phase.FINISHED


def test_a_script_that_never_achieves_anything_fails_with_a_message() -> None:
    """After so many fruitless VMs the job is given up, and says what to do."""
    world = World(chaos=Chaos(preempt=1.0))
    world.submit(job(), steps_of(job()))

    world.run(world.is_over, at_most_h=60)

    state = world.state("digits")
    assert state.phase is Phase.FAILED
    assert "serial console" in state.message


@cache
def effects_of_a_whole_job() -> int:
    """Count what the functions write and call from submission to the end."""
    world = World()
    finish(world, job(**SHORT))
    return world.effects


@pytest.mark.parametrize("part", range(4))
def test_a_function_dies_at_any_effect(part: int) -> None:
    """Promise 3: a crash before or after any single call of the whole saga is mended."""
    total = effects_of_a_whole_job()
    for number in range(1 + part, total + 1, 4):
        world = World(seed=number, chaos=Chaos(crash_at=number))
        finish(world, job(**SHORT))
        assert world.crashes == 1


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32 - 1))
def test_any_mixture_of_faults(seed: int) -> None:
    """Promises 1 to 4 hold under doubled, lost, late messages, crashes and preemptions."""
    chaos = Chaos(duplicate=0.3, drop=0.2, delay_s=120, shuffle=True, preempt=0.002, crash=0.03)

    jobs = job(**SHORT), job("second", **SHORT)
    finish(World(seed=seed, chaos=chaos), *jobs, at_most_h=60)
