"""One look of one function: whose step, against which state, in which order of effects."""

from dataclasses import replace
from datetime import timedelta

import pytest
from control_plane import World
from memory_blobs import MemoryBlobStore
from sample_jobs import SHORT, job, steps_of

from functions.domain.lifecycle.actions import Owner
from functions.domain.lifecycle.decide import decide
from functions.domain.lifecycle.timing import Timing
from functions.domain.lifecycle.vm import VmStatus
from functions.errors import StaleStateError, TransientError, UnavailableError
from functions.handlers.disk_stock import DiskStock
from functions.handlers.documents import Documents
from functions.handlers.observe import Sighting, observe
from functions.handlers.perform import perform, stop_overdue_vms
from functions.handlers.reconcile import reconcile
from functions.handlers.tick import tick
from functions.wire import WakeUp, WakeUpKind
from vm_runtime.contract import object_names
from vm_runtime.contract.ledger import VmLifetime
from vm_runtime.storage.port import Blob, PreconditionFailedError, StorageUnavailableError


@pytest.fixture
def world() -> World:
    """A world in which start_vm has to reserve a VM now."""
    world = World()
    world.submit(job(**SHORT), steps_of(job(**SHORT)))
    tick(world.ports, Timing())
    world.run(lambda: bool(world.fleet.specs), at_most_h=10)
    world.fleet.vms.clear()
    state = replace(world.state("digits"), target=None)
    Documents(world.store).write(object_names.state("digits"), state)
    return world


def wake(world: World, owner: Owner, seq: int | None = None) -> None:
    """Let a function look at the job."""
    now = world.clock.now()
    message = WakeUp(kind=WakeUpKind.AGAIN, sent_at=now, job_id="digits", seq=seq)
    reconcile(world.ports, Timing(), owner, message)


def has_target(world: World) -> bool:
    """Whether a VM is reserved."""
    return world.state("digits").target is not None


def test_only_the_owner_of_a_step_takes_it(world: World) -> None:
    """The other two ignore it."""
    for owner in (Owner.STOP_VM, Owner.MOVE_VM):
        wake(world, owner)
        assert not has_target(world)

    wake(world, Owner.START_VM)

    assert has_target(world)


def test_a_message_about_an_older_plan_is_ignored(world: World) -> None:
    """`seq` tells; the present one is acted on."""
    seq = world.state("digits").seq

    wake(world, Owner.START_VM, seq - 1)
    assert not has_target(world)
    wake(world, Owner.START_VM, seq)
    assert has_target(world)


def test_two_functions_that_saw_the_same_state_do_not_both_reserve(world: World) -> None:
    """The second one loses the compare-and-swap and looks again."""
    sighting = observe(world.ports, Timing(), "digits", [], DiskStock(world.ports.disks))
    assert isinstance(sighting, Sighting)
    action = decide(sighting.seen)
    assert action is not None
    perform(world.ports, sighting, action)

    with pytest.raises(StaleStateError, match=r"state\.json"):
        perform(world.ports, sighting, action)


class _Troubled(MemoryBlobStore):
    """A bucket with the same objects that fails one write."""

    def __init__(self, real: MemoryBlobStore, part: str, error: Exception) -> None:
        super().__init__()
        self._real, self._part, self._errors = real, part, [error]

    def read(self, name: str) -> Blob:
        return self._real.read(name)

    def write(self, name: str, data: bytes, *, if_generation: int | None = None) -> int:
        if self._part in name and self._errors:
            raise self._errors.pop()
        return self._real.write(name, data, if_generation=if_generation)


def test_a_lost_compare_and_swap_is_followed_by_another_look(world: World) -> None:
    """The message needs not come again for it."""
    store = _Troubled(world.store, "state.json", PreconditionFailedError("somebody was first"))
    message = WakeUp(kind=WakeUpKind.AGAIN, sent_at=world.clock.now(), job_id="digits")

    reconcile(replace(world.ports, store=store), Timing(), Owner.START_VM, message)

    assert has_target(world)


def down(world: World) -> str:
    """Let the job's VM run and go down; return its name."""
    world.run(lambda: any(g.may_train for g in world.guests.values()), at_most_h=10)
    (name,) = world.fleet.vms
    world.fleet.power_off(name)
    world.clock.advance(60)
    world.fleet.settle()
    assert world.fleet.vms[name].status is VmStatus.TERMINATED
    return name


def test_a_vm_is_not_deleted_before_its_lifetime_is_booked(world: World) -> None:
    """What it drew must be known before it is gone."""
    name = down(world)
    store = _Troubled(world.store, "-vm.json", StorageUnavailableError("503"))
    message = WakeUp(kind=WakeUpKind.AGAIN, sent_at=world.clock.now(), job_id="digits")

    with pytest.raises(TransientError):
        reconcile(replace(world.ports, store=store), Timing(), Owner.STOP_VM, message)

    assert name in world.fleet.vms


def test_a_vm_that_is_down_is_booked_judged_and_deleted(world: World) -> None:
    """All three in one step; the state forgets it."""
    name = down(world)
    vm = world.fleet.vms[name]

    wake(world, Owner.STOP_VM)

    assert (name in world.fleet.vms, has_target(world)) == (False, False)
    booked = object_names.vm_lifetime("digits", vm.incarnation)
    lifetime = Documents(world.store).get(VmLifetime, booked)
    assert (lifetime.created_at, lifetime.terminated_at) == (vm.created_at, vm.terminated_at)


def test_a_message_comes_again_if_one_job_was_out_of_reach(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the jobs after it have their step all the same."""
    world.submit(job("another"), 10)
    real = Documents.find

    def find(self: Documents, kind: type[object], name: str) -> object:
        if "another" in name:
            raise UnavailableError("503")
        return real(self, kind, name)

    monkeypatch.setattr(Documents, "find", find)
    heartbeat = WakeUp(kind=WakeUpKind.HEARTBEAT, sent_at=world.clock.now())

    with pytest.raises(TransientError, match="1 of 2 jobs"):
        reconcile(world.ports, Timing(), Owner.START_VM, heartbeat)

    assert has_target(world)


def test_the_wake_up_of_a_job_that_is_gone_does_no_harm(world: World) -> None:
    """Weeks old: nothing happens."""
    message = WakeUp(
        kind=WakeUpKind.PLAN,
        sent_at=world.clock.now() - timedelta(days=60),
        job_id="long-gone",
        seq=3,
    )

    for owner in Owner:
        reconcile(world.ports, Timing(), owner, message)

    assert not world.fleet.vms


def test_a_request_is_repeated_under_one_id_and_tried_anew_under_another(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compute Engine answers a repeated id with the first result, even if that was a failure."""
    asked: list[str] = []
    monkeypatch.setattr(world.fleet, "stop", lambda _, request_id: asked.append(request_id))
    world.run(lambda: bool(world.fleet.vms), at_most_h=10)
    (vm,) = world.fleet.vms.values()
    late = [replace(vm, interval_end=world.clock.now() - timedelta(hours=1))]

    for wait_s in (0, 0, 301):
        world.clock.advance(wait_s)
        stop_overdue_vms(world.ports, Timing(), late)

    assert asked[0] == asked[1] != asked[2]
