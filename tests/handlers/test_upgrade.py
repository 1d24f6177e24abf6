"""A new version of the functions takes over running jobs, whose documents an older one wrote."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields
from typing import Any

import pytest
from control_plane import World
from sample_jobs import SHORT, job, steps_of

from forecaster.series import Forecast
from functions.domain.lifecycle.state import JobState, Phase
from functions.domain.plan.document import Plan
from vm_runtime.contract import object_names
from vm_runtime.contract.checkpoint import Latest
from vm_runtime.contract.codec import DocumentError, decode
from vm_runtime.contract.job import Job
from vm_runtime.contract.lease import Lease
from vm_runtime.contract.progress import Progress

KINDS: tuple[tuple[Callable[[str], bool], type[Any]], ...] = (
    (lambda name: name.endswith("/job.json"), Job),
    (lambda name: name.endswith("/state.json"), JobState),
    (lambda name: "/plans/" in name, Plan),
    (lambda name: name.endswith("/lease.json"), Lease),
    (lambda name: name.endswith("/progress.json"), Progress),
    (lambda name: name.endswith("/LATEST"), Latest),
    (lambda name: name.startswith("forecasts/"), Forecast),
)


def as_an_older_version_wrote_it(kind: type[Any], data: bytes) -> bytes:
    """Return the document without what may be left out and says nothing: later fields are such."""
    document = json.loads(data)
    for field in fields(kind):
        if field.name == "schema_version" or field.name not in document:
            continue
        without = {key: value for key, value in document.items() if key != field.name}
        with suppress(DocumentError):  # it was required from the beginning
            if decode(kind, json.dumps(without).encode(), name="older") == decode(
                kind, data, name="newer"
            ):
                document = without
    return json.dumps(document).encode()


def downgrade(world: World) -> int:
    """Rewrite all documents of the running job, as the older version left them; count them."""
    count = 0
    for info in world.store.list(""):
        kind = next((kind for matches, kind in KINDS if matches(info.name)), None)
        if kind is None:
            continue
        blob = world.store.read(info.name)
        older = as_an_older_version_wrote_it(kind, blob.data)
        if older != blob.data and not info.name.endswith(("/LATEST", "/lease.json")):
            world.store.write(info.name, older)
            count += 1
    return count


def test_a_running_job_goes_on_under_the_new_version() -> None:
    """Documents without the later fields are read, and the job ends as it would have."""
    world = World(seed=11)
    one = job(**SHORT)
    world.submit(one, steps_of(one))
    world.run(lambda: bool(world.guests), at_most_h=10)

    assert downgrade(world) > 2
    world.run(world.is_over, at_most_h=20)

    assert world.state(one.job_id).phase is Phase.FINISHED


def test_documents_of_a_version_to_come_are_left_as_they_are(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Functions rolled back find a newer plan: the job waits, says so, and goes on afterwards."""
    world = World(seed=12)
    one = job(**SHORT)
    world.submit(one, steps_of(one))
    world.run(lambda: bool(world.guests), at_most_h=10)
    for _ in range(5):  # past the full hour, whose tick brings a plan of its own
        world.turn()
    plan_id = world.state(one.job_id).plan_id
    assert plan_id is not None
    name = object_names.plan(one.job_id, plan_id)
    good = world.store.read(name).data
    newer = json.dumps({**json.loads(good), "schema_version": 2}).encode()
    world.store.write(name, newer)

    for _ in range(20):
        world.turn()
    assert world.store.read(name).data == newer
    assert "expected schema_version 1, found 2" in caplog.text
    world.store.write(name, good)
    world.run(world.is_over, at_most_h=30)
    assert world.state(one.job_id).phase is Phase.FINISHED
