"""Receipts as the control plane writes them: for every end of a job, again and again."""

from datetime import timedelta

from control_plane import World
from sample_jobs import SHORT, job, steps_of

from functions.domain.lifecycle.state import Phase
from functions.handlers.documents import Documents
from vm_runtime.contract import object_names
from vm_runtime.contract.ledger import VmLifetime


def test_a_vm_that_a_person_deleted_has_a_lifetime() -> None:
    """It drew power from its reservation until it was missed, and the document says so."""
    world = World()
    world.submit(job(**SHORT), steps_of(job(**SHORT)))
    world.run(lambda: any(g.may_train for g in world.guests.values()), at_most_h=10)
    vm = next(iter(world.fleet.vms.values()))
    gone_at = world.clock.now()
    world.fleet.delete(vm, request_id="by hand")

    world.run(world.is_over, at_most_h=20)

    assert world.state("digits").phase is Phase.FINISHED
    name = object_names.vm_lifetime("digits", vm.incarnation)
    lifetime = Documents(world.store).get(VmLifetime, name)
    assert lifetime.is_assumed
    assert lifetime.created_at <= vm.created_at
    assert gone_at <= lifetime.terminated_at <= gone_at + timedelta(minutes=10)
