"""How punctual VMs are in the simulated world: seconds after their intervals' starts and ends."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeAlias

import control_plane
import pytest
from control_plane import World
from sample_jobs import job, steps_of
from simulated_clock import START

from functions.domain.lifecycle.vm import Vm, VmStatus
from functions.domain.plan.document import Plan
from functions.handlers.documents import Documents

TURN_S = 10.0
BOOT_S = (40.0, 90.0)
"""From an accepted insert to a trainer that could begin: shortest and longest."""


Run: TypeAlias = tuple[str, int]
"""Name and incarnation of a VM."""


@dataclass
class Punctuality:
    """What was seen, seconds."""

    starts_s: list[float] = field(default_factory=list)
    """From the start of an interval that was planned in time to the first step in it."""
    ends_s: list[float] = field(default_factory=list)
    """From the interval's end to the VM being down."""


def watch(jobs: int, hours: float, *, seed: int) -> Punctuality:
    """Run jobs in slots of 15 minutes through a simulated world; a turn is ten seconds."""
    world = World(seed=seed)
    draw = random.Random(seed)
    world.fleet._boot_s = draw.uniform(*BOOT_S)  # noqa: SLF001 - drawn anew for each VM below
    for number in range(jobs):
        some = job(
            f"job-{number}",
            slot_minutes=15,
            work_h=draw.choice([1.5, 2.5, 4.0]),
            deadline=START + timedelta(hours=hours - 1),
        )
        world.submit(some, steps_of(some))
    seen = Punctuality()
    begun: set[Run] = set()
    ended: set[Run] = set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(control_plane, "TURN_S", TURN_S)
        while world.clock.now() < START + timedelta(hours=hours) and not world.is_over():
            world.turn()
            now = world.clock.now()
            for vm in list(world.fleet.vms.values()):
                _note_end(seen, ended, vm, now)
                guest = world.guests.get(vm.name)
                run = (vm.name, vm.incarnation)  # a stopped VM may be started again
                if guest is not None and guest.may_train and run not in begun:
                    begun.add(run)
                    world.fleet._boot_s = draw.uniform(*BOOT_S)  # noqa: SLF001
                    if _was_planned_ahead(world, vm, guest.start):
                        seen.starts_s.append((now - guest.start).total_seconds())
    return seen


def _was_planned_ahead(world: World, vm: Vm, start: datetime) -> bool:
    """Whether time and place were planned before the VM had to be made.

    Else nothing could be ahead: the first plan of a job, or one that changed at the last moment.
    """
    documents = Documents(world.store)
    lead = timedelta(seconds=world.timing.boot_lead_s)
    plans = (documents.get(Plan, name) for name in documents.names(f"jobs/{vm.job_id}/plans/"))
    in_time = [plan for plan in plans if plan.created_at <= start - lead]
    return bool(in_time) and any(
        interval.start == start and interval.compute_zone == vm.compute_zone
        for interval in in_time[-1].intervals
    )


def _note_end(seen: Punctuality, ended: set[Run], vm: Vm, now: datetime) -> None:
    """Note a VM whose interval ran out, once it is down."""
    if vm.status is VmStatus.TERMINATED and (vm.name, vm.incarnation) not in ended:
        ended.add((vm.name, vm.incarnation))
        if now >= vm.interval_end:
            seen.ends_s.append((now - vm.interval_end).total_seconds())


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value that so many are not above."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]
