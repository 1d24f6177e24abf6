"""The whole chain, real processes and all: faults, and still the same bits at the end."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from deployment import ARGS, REGIONS, SCRIPT, Deployment, deployment
from older_version import downgrade
from typer.testing import CliRunner

from functions.cli import app
from functions.cli.demo.uninterrupted import Uninterrupted, run_uninterrupted
from functions.domain.lifecycle.state import JobState, Phase
from functions.handlers.open_jobs import open_job
from functions.local.cloud import EmbeddedCloud
from functions.local.faults import Faults
from vm_runtime.contract import object_names
from vm_runtime.contract.job import KeepDisk
from vm_runtime.contract.ledger import VmLifetime

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Uninterrupted:
    """The same training in one go: the bits that every job must end with."""
    folder = tmp_path_factory.mktemp("straight") / "run"
    return run_uninterrupted(
        SCRIPT, folder, job_id="straight", args=ARGS, on_progress=lambda _: None
    )


@pytest.fixture
def world(tmp_path: Path, straight: Uninterrupted) -> Iterator[Deployment]:
    """A cloud without faults."""
    with deployment(tmp_path / "cloud", straight) as running:
        yield running


def test_two_jobs_with_every_message_doubled_and_shuffled(
    tmp_path: Path, straight: Uninterrupted
) -> None:
    """At least once, in any order, every tick twice: two jobs finish, each with the same bits."""
    faults = Faults(duplicate=1.0, delay_s=0.5, double_ticks=1.0)
    with deployment(tmp_path / "cloud", straight, faults) as world:
        world.submit("first")
        world.submit("second")

        world.finish("first", "second")


def test_a_vm_is_killed_in_mid_step_and_a_region_is_full(world: Deployment) -> None:
    """`kill -9`, then no capacity where it ran: the job goes on elsewhere, and loses no bit.

    Its data disk goes with it, through a snapshot; when the job is over nothing is left of either.
    """
    world.submit(keep_disk=KeepDisk(size_gb=10))
    world.wait(world.is_training, "training")
    vm = world.ledger()[-1]
    full = vm.compute_zone.rpartition("-")[0]
    world.cloud.faults = replace(world.cloud.faults, stock_outs=frozenset({full}))

    world.cloud.compute.kill(vm.vm)
    world.finish("digits")

    places = [entry.compute_zone.rpartition("-")[0] for entry in world.ledger()]
    assert places[0] == full
    assert full not in places[1:]
    assert world.state().disks_named > 1
    disks = world.cloud.compute.disk_service
    world.wait(lambda: not [*disks.disks(), *disks.snapshots()], "disks to be removed")


def test_the_functions_are_killed_again_and_again(world: Deployment) -> None:
    """A crash of the functions' process at any time only costs time."""
    world.submit()
    for from_step in (1, 60, 120):
        world.wait(
            lambda step=from_step: (
                world.is_training(from_step=step) or world.state().phase.is_final
            ),
            f"step {from_step}",
        )
        world.cloud.kill_functions()

    world.finish("digits")


def test_power_failure_upgrade_and_resume(tmp_path: Path, straight: Uninterrupted) -> None:
    """The host dies with everything on it, and a newer version comes up: the job goes on.

    What is there was written by the older version; what a version to come wrote is refused, with
    words and without harm to others.
    """
    folder = tmp_path / "cloud"
    with deployment(folder, straight) as world:
        world.submit()
        world.wait(world.is_training, "training")
    assert downgrade(world.cloud.store) > 2
    from_the_future(world)
    with EmbeddedCloud.resume(folder) as cloud:
        again = Deployment(cloud, straight)

        again.finish("digits")

        assert len(again.ledger()) > 1
        told = (folder / "functions.log").read_text(errors="replace")
        assert "jobs/future/job.json: expected schema_version 1, found 2" in told
        assert "Update SmartScheduler on the side that is older" in told
        assert again.state("future").phase is Phase.ACTIVE


def from_the_future(world: Deployment) -> None:
    """Put in a job that a newer version has submitted."""
    documents, store = world.documents, world.cloud.store
    job = json.loads(store.read(object_names.job("digits")).data)
    newer = {**job, "job_id": "future", "schema_version": 2, "mood": "hopeful"}
    store.write(object_names.job("future"), json.dumps(newer).encode())
    open_job(documents, "future")
    documents.create(object_names.state("future"), JobState(job_id="future"))


def test_a_preempted_vm_is_started_again_and_goes_on_to_the_same_bits(world: Deployment) -> None:
    """Same machine and disk, next incarnation: the second boot reads its new metadata."""
    # In one region, and in a hurry: the next interval is where the stopped VM is.
    world.submit(allowed_regions=REGIONS[:1], deadline=world.cloud.clock.now() + HOUR)
    world.wait(lambda: world.is_training(from_step=40), "training")

    world.wait(lambda: preempt(world), "a VM to preempt")
    world.finish("digits")

    runs = world.runs_of_vms()
    (vm, zone, first), again = next(pair for pair in pairwise(runs) if pair[0][0] == pair[1][0])
    assert again == (vm, zone, first + 1)


def preempt(world: Deployment) -> bool:
    """Take back the VM that runs; whether there is one."""
    try:
        world.cloud.compute.preempt(world.ledger()[-1].vm)
    except LookupError:  # It is going down by itself.
        return False
    return True


def command(world: Deployment, name: str) -> None:
    """Call a command as a person does."""
    told = CliRunner().invoke(app, [name, "digits", "--bucket", world.cloud.store.url])
    assert told.exit_code == 0, told.output


def test_a_training_is_paused_and_resumed_by_a_person_and_loses_no_bit(world: Deployment) -> None:
    """`pause` waits for no interval's end; while it rests no VM is there; `resume` ends it."""
    world.submit()
    world.wait(lambda: world.is_training(from_step=40), "training")

    command(world, "pause")
    world.wait(lambda: not world.cloud.compute.list(), "its VM to be gone")
    last = world.ledger()[-1]
    made = world.state().incarnation

    assert world.state().phase is Phase.PAUSED
    assert 40 <= last.last_step == last.committed_step

    command(world, "resume")
    world.finish("digits")

    assert world.state().incarnation > made
    assert world.ledger()[-1].last_step > last.last_step


def test_a_broken_script_fails_with_its_traceback_and_harms_no_other(
    world: Deployment,
) -> None:
    """After `max_failures` the job says what to do; its neighbour finishes; energy is booked."""
    world.submit("sound")
    world.submit("broken", args=("--epochs", "many"), max_failures=2)

    world.wait(lambda: world.state("broken").phase.is_final, "the end of the broken job")
    state = world.state("broken")
    assert state.phase is Phase.FAILED
    assert "What to do" in state.message
    world.finish("sound")
    lifetime = world.documents.peek(VmLifetime, object_names.vm_lifetime("broken", 1))
    assert lifetime is not None
    assert lifetime.compute_zone.rpartition("-")[0] in REGIONS
