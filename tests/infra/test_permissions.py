"""Custom roles grant what each function calls, and nothing else: compared both ways."""

import inspect
import json
import re
from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from itertools import product

import control_plane
import pytest
from control_plane import Chaos, World
from infra_files import text_of
from sample_jobs import REGIONS, job, steps_of
from simulated_clock import START
from simulated_guest import Guest

from functions.adapters import compute_making
from functions.adapters.cloud_scheduler import CloudSchedulerAlarm
from functions.adapters.compute_disks import ComputeEngineDisks
from functions.adapters.compute_engine import ComputeEngineFleet
from functions.domain.lifecycle.actions import Owner
from functions.handlers import reconcile as reconciling
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


def calls_by_owner() -> dict[str, set[str]]:
    """Run the simulated world through much trouble and return who called what of the fleet."""
    found: dict[str, set[str]] = defaultdict(set)
    current = ["forecast"]
    real, turn = reconciling.reconcile, Guest.turn

    def noted(ports: object, timing: object, owner: Owner, message: object) -> None:
        current[0] = owner.value
        try:
            real(ports, timing, owner, message)  # type: ignore[arg-type]
        finally:
            current[0] = "forecast"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(control_plane, "reconcile", noted)
        disk = KeepDisk(size_gb=100)
        for regions, keep_disk in product((REGIONS, REGIONS[:1]), (disk, None)):
            world = World(seed=1, chaos=Chaos(refused=0.3))
            for verb in ADAPTERS:
                port = world.fleet if verb in FLEET else world.fleet.disks
                call = getattr(port, verb)

                def spy(
                    *args: object,
                    _verb: str = verb,
                    _call: Callable[..., object] = call,
                    **kwargs: object,
                ) -> object:
                    found[current[0]].add(_verb)
                    return _call(*args, **kwargs)

                setattr(port, verb, spy)
            one = job(
                allowed_regions=regions,
                deadline=START + timedelta(hours=20),
                keep_disk=keep_disk,
            )
            world.submit(one, steps_of(one))
            for minute in range(24 * 60):
                # Guests that hang each third hour have to be stopped by force.
                hangs = minute // 60 % 3 == 1
                patch.setattr(Guest, "turn", (lambda *_: True) if hangs else turn)
                world.turn()
    return found


def test_roles_are_what_the_functions_call() -> None:
    """Each right that a call needs is granted, and each that is granted is needed."""
    granted = {
        name: set(rights) for name, rights in json.loads(text_of("permissions.json")).items()
    }
    calls = calls_by_owner()
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
