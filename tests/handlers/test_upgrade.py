"""A new version of the functions takes over running jobs, whose documents an older one wrote."""

import json

import pytest
from control_plane import World
from older_version import downgrade
from sample_jobs import SHORT, job, steps_of

from functions.domain.lifecycle.state import Phase
from vm_runtime.contract import object_names


def test_a_running_job_goes_on_under_the_new_version() -> None:
    """Documents without the later fields are read, and the job ends as it would have."""
    world = World(seed=11)
    one = job(**SHORT)
    world.submit(one, steps_of(one))
    world.run(lambda: bool(world.guests), at_most_h=10)

    assert downgrade(world.store) > 2
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
