"""A thousand jobs, twelve of them spoilt in twelve ways: each is named, and all others go on."""

import json
import logging
from collections.abc import Callable
from datetime import timedelta

import pytest
from control_plane import World
from sample_jobs import job
from simulated_clock import START

from functions.domain.lifecycle.actions import Owner
from functions.domain.lifecycle.timing import Timing
from functions.domain.lifecycle.vm import Operation, VmSpec
from functions.errors import InvalidInputError, PermissionDeniedError
from functions.handlers.reconcile import reconcile
from functions.handlers.tick import tick
from functions.wire import WakeUp, WakeUpKind
from vm_runtime.contract import object_names

JOBS = 1_000
HEARTBEAT = WakeUp(kind=WakeUpKind.HEARTBEAT)
NO_TEMPLATE, NO_RIGHT = "job-8", "job-9"


def edited(name: str, **changes: object) -> Callable[[World], None]:
    """Return what changes fields of a document by hand."""

    def spoil(world: World) -> None:
        fields = json.loads(world.store.read(name).data)
        world.store.write(name, json.dumps({**fields, **changes}).encode())

    return spoil


def written(name: str, data: bytes) -> Callable[[World], None]:
    """Return what writes something else over an object."""
    return lambda world: world.store.write(name, data)  # type: ignore[return-value]


def cut(name: str) -> Callable[[World], None]:
    """Return what leaves half of an object."""

    def spoil(world: World) -> None:
        data = world.store.read(name).data
        world.store.write(name, data[: len(data) // 2])

    return spoil


SPOILT: dict[str, tuple[Callable[[World], None], str]] = {
    "job-0": (cut(object_names.job("job-0")), "job.json"),
    "job-1": (edited(object_names.job("job-1"), schema_version=9), "schema_version"),
    "job-2": (edited(object_names.job("job-2"), allowed_regions=["mars-west1"]), "mars-west1"),
    "job-3": (edited(object_names.job("job-3"), work_h=1e12, deadline=None), "job-3"),
    "job-4": (edited(object_names.job("job-4"), job_id="job-50"), "copied from"),
    "job-5": (edited(object_names.state("job-5"), phase="on holiday"), "phase"),
    "job-6": (lambda world: world.store.delete(object_names.state("job-6")), "cut off"),
    "job-7": (written(object_names.progress("job-7"), b"[" * 2**20), "progress.json"),
    "job-10": (written(object_names.progress("job-10"), b" " * (2**20 + 1)), "at most 1048576"),
    "job-11": (written(object_names.job("job-11"), b" " * (2**24 + 1)), "at most 16777216"),
    NO_TEMPLATE: (lambda _: None, "template"),
    NO_RIGHT: (lambda _: None, "Grant"),
}
"""What is done to each, and what the log says of it."""


def insert_of(world: World) -> Callable[..., Operation]:
    """Return the fleet's insert, without one template and without one right."""
    real = world.fleet.insert

    def insert(spec: VmSpec, *, request_id: str) -> Operation:
        if spec.name.startswith(f"ss-{NO_TEMPLATE}-"):
            raise InvalidInputError("instance template: expected it, found none. Apply Terraform.")
        if spec.name.startswith(f"ss-{NO_RIGHT}-"):
            raise PermissionDeniedError("expected compute.instances.create, found none. Grant it.")
        return real(spec, request_id=request_id)

    return insert


def test_spoilt_jobs_are_named_and_the_others_start(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Every sound job has its plan and its VM; a line about each other one says what to do."""
    caplog.set_level(logging.WARNING)
    world = World()
    for number in range(JOBS):
        # No time to wait in: every sound job starts at once.
        hurried = job(f"job-{number}", work_h=2.0, deadline=START + timedelta(hours=2.1))
        world.submit(hurried, 10)
    for spoil, _ in SPOILT.values():
        spoil(world)
    monkeypatch.setattr(world.fleet, "insert", insert_of(world))

    result = tick(world.ports, Timing())
    for _ in range(2):
        for owner in Owner:
            reconcile(world.ports, Timing(), owner, HEARTBEAT)

    assert result.planned == JOBS - len(SPOILT) + 2, "two of them are spoilt only at the insert"
    sound = {f"job-{number}" for number in range(JOBS)} - SPOILT.keys()
    assert {vm.job_id for vm in world.fleet.vms.values()} == sound
    for job_id, (_, expected) in SPOILT.items():
        told = [
            record.getMessage()
            for record in caplog.records
            if getattr(record, "job_id", "") == job_id
        ]
        assert expected in "\n".join(told), job_id
