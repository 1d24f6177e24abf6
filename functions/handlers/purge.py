"""Deletes every VM that the control plane made: what `terraform destroy` cannot know of."""

from collections.abc import Callable
from uuid import uuid4

from functions.domain.lifecycle.vm import Vm
from functions.errors import TransientError
from functions.ports import VmFleet


def purge(fleet: VmFleet, *, on_vm: Callable[[Vm], None] = lambda _vm: None) -> list[Vm]:
    """Delete all managed VMs with their disks; return those that could not be deleted now.

    Running ones go without a checkpoint: what they did since the last one is lost, as the whole
    deployment is about to go. Nothing in the bucket is touched.

    Args:
        fleet: lists only VMs with the label `managed-by=smartscheduler`.
        on_vm: called after each, to show progress.

    Raises:
        PermissionDeniedError: a right is missing.
        UnavailableError: the VMs could not be listed.
    """
    left: list[Vm] = []
    for vm in fleet.list():
        try:
            fleet.delete(vm, request_id=str(uuid4()))
        except TransientError:
            left.append(vm)
        on_vm(vm)
    return left
