"""Whether a VM that is down is worth keeping for the next interval, to be started again. Pure.

Its boot disk costs money for as long as it waits; a start saves a part of what a new VM takes. See
docs/adr/20261126-a-stopped-vm-is-started-again.md for the figures.
"""

from collections.abc import Sequence
from datetime import timedelta

from functions.domain.lifecycle.making import serves
from functions.domain.lifecycle.observation import Observation, sleeps
from functions.domain.lifecycle.vm import Vm, VmStatus
from functions.domain.plan.document import PlannedInterval
from functions.domain.plan.prices import DEFAULT_PRICES, usd_per_h
from vm_runtime.contract.job import Job

SAVED_SHARE = 0.5
"""Of the job's start overhead: making the disk from the image, installing or unpacking the
environment. Booting and loading the checkpoint remain. Not measured on Google Cloud."""

DISK_USD_PER_H = 50 * 0.15 / 730
"""50 GB (the default of infra's `disk_gb`) of pd-balanced where it is dearest, São Paulo."""


def longest_gap(job: Job, region: str) -> timedelta:
    """Return for how long the stopped VM's disk costs less than what a start saves of the machine.

    Without a list price of the machine it is 0: kept only if it is wanted at once.
    """
    price = usd_per_h(DEFAULT_PRICES, job.machine_type).get(region)
    if price is None:
        return timedelta(0)
    saved_usd = price * SAVED_SHARE * job.start_s / 3600
    return timedelta(hours=saved_usd / DISK_USD_PER_H)


def is_kept(seen: Observation, vm: Vm) -> bool:
    """Whether a VM that is down waits for an interval that begins soon enough.

    Not one that achieved nothing: whatever ails it may be on its disk. With `keep_disk` only one
    that has the data disk, and not while that is on its way elsewhere: what a VM wrote after the
    snapshot would be lost.
    """
    if not seen.state.phase.may_run or vm.terminated_at is None:
        return False
    if seen.lacks_disk(vm) or seen.state.disk_move is not None:
        return False
    if vm.incarnation < max(each.incarnation for each in seen.vms):
        return False
    is_asleep = sleeps(seen.state, vm)
    if seen.pending is not None:
        return is_asleep and seen.pending.restarts
    if is_asleep:
        return _fits(seen, vm)
    target = seen.state.target
    is_newest = target is not None and target.incarnation == vm.incarnation
    return is_newest and seen.step > seen.state.step_at_reservation and _fits(seen, vm)


def sleeper_for(seen: Observation, interval: PlannedInterval) -> Vm | None:
    """Return the stopped VM that may be started for `interval`, if nothing else is up."""
    if any(vm.status is not VmStatus.TERMINATED for vm in seen.vms):
        return None
    kept = [vm for vm in seen.vms if sleeps(seen.state, vm) and is_kept(seen, vm)]
    return next((vm for vm in kept if _is_free(seen, vm, (interval,))), None)


def _fits(seen: Observation, vm: Vm) -> bool:
    lead = timedelta(seconds=seen.timing.boot_lead_s)
    limit = seen.now + lead + longest_gap(seen.job, vm.region)
    soon = [each for each in seen.intervals if each.end > seen.now]
    if not soon or soon[0].start > limit:
        return False
    left = soon[0].end - max(seen.now, soon[0].start)
    return left.total_seconds() > seen.job.start_s and _is_free(seen, vm, soon[:1])


def _is_free(seen: Observation, vm: Vm, intervals: Sequence[PlannedInterval]) -> bool:
    is_wanted = any(serves(seen, vm.compute_zone, each) for each in intervals)
    return is_wanted and seen.state.blocks(vm.compute_zone, seen.now) is None
