"""Custom roles grant what each function calls, and nothing else: compared both ways."""

import inspect
import json
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from itertools import product
from typing import Any

import control_plane
import pytest
from control_plane import Chaos, World
from infra_files import text_of
from object_rights import vm_may
from sample_jobs import REGIONS, job, steps_of
from simulated_clock import START
from simulated_guest import Guest

from functions.adapters import compute_making
from functions.adapters.cloud_scheduler import CloudSchedulerAlarm
from functions.adapters.compute_disks import ComputeEngineDisks
from functions.adapters.compute_engine import ComputeEngineFleet
from functions.domain.lifecycle.actions import Owner
from functions.handlers import reconcile as reconciling
from functions.handlers import tick as ticking
from vm_runtime.contract import object_names
from vm_runtime.contract.job import KeepDisk

FLEET = ("list", "insert", "start", "operation", "stop", "delete", "set_interval_end")
DISKS = ("disks", "snapshots", "take_snapshot", "copy_disk", "attach")
DISKS += ("delete_disk", "delete_snapshot")
ADAPTERS = dict.fromkeys(FLEET, ComputeEngineFleet) | dict.fromkeys(DISKS, ComputeEngineDisks)
EXTERNAL_IP = "compute.subnetworks.useExternalIp"
"""Granted only where VMs have addresses of their own, see roles.tf."""


def needs(function: Callable[..., object]) -> set[str]:
    """Return the permissions that a docstring names after `IAM:`."""
    text = (inspect.getdoc(function) or "").partition("IAM:")[2].partition("Raises:")[0]
    return set(re.findall(r"`((?:compute|cloudscheduler)\.[A-Za-z.]+)`", text))


@dataclass
class Done:
    """Who did what in the simulated world."""

    calls: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Calls of the fleet and its disks."""
    written: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Names of objects that were written or deleted."""
    _now: str = "user"

    def by(self, who: str, call: Callable[..., Any], *args: object) -> Any:  # noqa: ANN401 - its own
        """Call, on somebody's account."""
        before, self._now = self._now, who
        try:
            return call(*args)
        finally:
            self._now = before

    def watch(self, world: World) -> None:
        """Note from now on what is done in a world."""
        for verb in ADAPTERS:
            port = world.fleet if verb in FLEET else world.fleet.disks
            self._spy(port, verb, lambda verb, _: self.calls[self._now].add(verb))
        for verb in ("write", "delete"):
            self._spy(world.store, verb, lambda _, name: self.written[self._now].add(str(name)))

    @staticmethod
    def _spy(port: object, verb: str, note: Callable[[str, object], None]) -> None:
        call = getattr(port, verb)

        def spied(*args: object, **kwargs: object) -> object:
            note(verb, args[0] if args else None)
            return call(*args, **kwargs)

        setattr(port, verb, spied)


@pytest.fixture(scope="module")
def done() -> Done:
    """Run the simulated world through much trouble."""
    done, turn = Done(), Guest.turn
    reconcile, tick = reconciling.reconcile, ticking.tick

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            control_plane,
            "reconcile",
            lambda ports, timing, owner, message: done.by(
                owner.value, reconcile, ports, timing, owner, message
            ),
        )
        patch.setattr(control_plane, "tick", lambda *args: done.by("forecast", tick, *args))
        disk = KeepDisk(size_gb=100)
        for regions, keep_disk in product((REGIONS, REGIONS[:1]), (disk, None)):
            world = World(seed=1, chaos=Chaos(refused=0.3))
            done.watch(world)
            one = job(
                allowed_regions=regions,
                deadline=START + timedelta(hours=20),
                keep_disk=keep_disk,
            )
            world.submit(one, steps_of(one))
            for minute in range(24 * 60):
                # Guests that hang each third hour have to be stopped by force.
                hangs = minute // 60 % 3 == 1
                trains = partial(done.by, "vm", turn)
                patch.setattr(Guest, "turn", lambda *args, go=trains, h=hangs: h or go(*args))
                world.turn()
    return done


def test_roles_are_what_the_functions_call(done: Done) -> None:
    """Each right that a call needs is granted, and each that is granted is needed."""
    granted = {
        name: set(rights) for name, rights in json.loads(text_of("permissions.json")).items()
    }
    calls = done.calls
    needed = {
        owner: set[str]().union(*(needs(getattr(ADAPTERS[verb], verb)) for verb in verbs))
        for owner, verbs in calls.items()
    }
    for owner, verbs in calls.items():
        if "insert" in verbs:
            needed[owner] |= needs(compute_making.read_template)
            needed[owner] -= {EXTERNAL_IP}
    needed["forecast"] |= needs(CloudSchedulerAlarm.aim_boundary)
    needed["start_vm"] |= needs(CloudSchedulerAlarm.tick_now)

    assert needed == granted


def test_functions_write_below_their_own_prefixes(done: Done) -> None:
    """Each prefix that a function may write is written by it, and no other object."""
    text = text_of("roles.tf")
    granted = {
        name: set(re.findall(r'"([^"]+)"', prefixes))
        for name, prefixes in re.findall(r"\n    (\w+)\s*= \[([^\]]*)\]", text)
    }
    written = {
        name: {re.sub("/.*", "/", each) for each in done.written[name]}
        for name in ("forecast", *Owner)
    }
    written["forecast"].add(object_names.INDEX)  # by the entry point, once the tick is done

    assert granted == written


def test_vms_write_what_they_may(done: Done) -> None:
    """The simulated guest's objects, each with the condition on the VMs' account."""
    assert done.written["vm"]
    assert [name for name in done.written["vm"] if not vm_may("writes", name)] == []


def test_an_external_address_needs_one_right_more() -> None:
    """The right that the option needs is the one that Terraform adds for it."""
    assert EXTERNAL_IP in needs(ComputeEngineFleet.insert)
    assert f'each.external_ip]) ? ["{EXTERNAL_IP}"]' in text_of("roles.tf")


def test_every_mutating_call_says_what_it_needs() -> None:
    """A method without rights in its docstring would slip through the comparison."""
    assert all(needs(getattr(adapter, verb)) for verb, adapter in ADAPTERS.items())


def test_nobody_has_a_basic_or_admin_role() -> None:
    """No owner, editor or admin anywhere."""
    roles = re.findall(r'"(roles/[A-Za-z.]+)"', text_of("roles.tf") + text_of("topic.tf"))

    assert roles
    assert not [role for role in roles if re.search(r"owner|editor|admin", role, re.IGNORECASE)]
