"""Removes what belongs to a job that the bucket does not know: nobody else ever would."""

import logging
from collections.abc import Sequence

from functions.domain.lifecycle.disk import DiskStatus
from functions.domain.lifecycle.left_over import is_old
from functions.domain.lifecycle.timing import Timing
from functions.domain.lifecycle.vm import Vm, VmStatus
from functions.handlers.disk_stock import DiskStock
from functions.handlers.request_ids import request_id
from functions.ports import Ports

_LOG = logging.getLogger(__name__)


def remove_orphans(
    ports: Ports, timing: Timing, job_id: str, vms: Sequence[Vm], stock: DiskStock
) -> None:
    """Stop and delete the VMs of a job without documents, then its disks and snapshots.

    All of it carries our labels and the name of this deployment. What is younger than
    `orphan_after_s` is left for now, and so is a disk that is attached to anything.

    Args:
        ports: the world.
        timing: how patient to be.
        job_id: a job without a state in the bucket.
        vms: its VMs.
        stock: what is listed of all disks and snapshots.

    Raises:
        TransientError: a service did not answer; the next heartbeat goes on.
        PermissionDeniedError: a right is missing.
    """
    now = ports.clock.now()
    for vm in vms:
        if vm.status is VmStatus.TERMINATED:
            _tell(job_id, f"VM {vm.name}", "deleted")
            ports.fleet.delete(vm, request_id=request_id(now, timing, vm.name, "delete"))
        elif vm.is_alive and is_old(now, timing, vm.created_at):
            _tell(job_id, f"VM {vm.name}", "stopped")
            ports.fleet.stop(vm, request_id=request_id(now, timing, vm.name, "stop"))
    for disk in stock.disks_of(job_id):
        is_free = not disk.users and disk.status is not DiskStatus.DELETING
        if is_free and is_old(now, timing, disk.created_at):
            _tell(job_id, f"disk {disk.name}", "deleted")
            request = request_id(now, timing, disk.name, "delete")
            ports.disks.delete_disk(disk, request_id=request)
    for snapshot in stock.snapshots_of(job_id):
        is_there = snapshot.status is not DiskStatus.DELETING
        if is_there and is_old(now, timing, snapshot.created_at):
            _tell(job_id, f"snapshot {snapshot.name}", "deleted")
            request = request_id(now, timing, snapshot.name, "delete")
            ports.disks.delete_snapshot(snapshot, request_id=request)


def _tell(job_id: str, what: str, done: str) -> None:
    told = {"event": "orphan", "job_id": job_id}
    _LOG.warning("%s is %s: the bucket knows no job %s", what, done, job_id, extra=told)
