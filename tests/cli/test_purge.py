"""`smartscheduler purge`: all that is ours goes, nothing else does."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import pytest
import typer
from compute_harness import ComputeEngine, connected
from disk_contract import SNAPSHOT, disk_spec, free_disk, running, snapshot_of
from google.cloud import compute_v1 as gce
from typer.testing import CliRunner

from functions.cli import purge as command
from functions.cli.app import app
from functions.cli.purge import Asked, remove_all
from functions.domain.lifecycle.disk import Snapshot
from functions.errors import InvalidInputError, PermissionDeniedError, UnavailableError
from functions.handlers.purge import Kind, Purge
from functions.ports import DiskFleet

SURE = Asked(project="green", yes=True)
JSON = Asked(project="green", yes=True, as_json=True)


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[ComputeEngine]:
    """A server and the adapters in front of it; to wait moves its clock."""
    with connected() as cloud:
        monkeypatch.setattr(command.time, "sleep", cloud.model.clock.move)
        yield cloud


def purge(cloud: ComputeEngine) -> Purge:
    """Return a purge of all that is there."""
    return Purge(cloud.fleet, cloud.disks)


def fill(cloud: ComputeEngine) -> None:
    """Leave what a job with a data disk leaves in mid-move."""
    disk = free_disk(cloud)
    snapshot_of(cloud, disk)
    running(cloud, 2, disk_spec(exists=True))
    running(cloud, 3)


def names(cloud: ComputeEngine) -> set[str]:
    """Return all that the project has, ours or not."""
    shelf = cloud.model.shelf
    instances = {name for _, name in cloud.model.instances()}
    return instances | {name for _, name in shelf.disks} | set(shelf.snapshots)


def test_vms_data_disks_and_snapshots_go(
    cloud: ComputeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    """A disk as soon as its VM is gone; then there is nothing to do any more."""
    fill(cloud)

    remove_all(purge(cloud), SURE)

    assert names(cloud) == set()
    said = capsys.readouterr()
    for name in ("ss-digits-2", "ss-digits-3", "ss-digits-1-data", SNAPSHOT):
        assert name in said.out
    assert "All 4 are gone" in said.out
    assert cloud.model.calls["get_disk"] == 1  # not before it was free
    remove_all(purge(cloud), SURE)
    assert "Nothing of SmartScheduler in green" in capsys.readouterr().out


def is_theirs(labels: Mapping[str, str]) -> bool:
    """Whether something with these labels is not ours."""
    return labels.get("managed-by") != "smartscheduler"


class NoSnapshotGoes:
    """Disks of a service that does not answer when a snapshot is to go."""

    def __init__(self, disks: DiskFleet) -> None:
        """Take the disks."""
        self._disks = disks

    def __getattr__(self, name: str) -> object:
        """Do all the rest."""
        return getattr(self._disks, name)

    def delete_snapshot(self, snapshot: Snapshot, *, request_id: str) -> NoReturn:
        """Do not answer."""
        del request_id
        raise UnavailableError(f"delete {snapshot.name}: HTTP 503")


def test_what_is_not_ours_stays(cloud: ComputeEngine) -> None:
    """Whatever its name: only the label says whose it is."""
    fill(cloud)
    shelf = cloud.model.shelf
    for labels in ({}, {"managed-by": "terraform"}, {"job": "digits"}):
        key = ("europe-west3-a", f"ss-digits-{len(shelf.disks)}-data")
        shelf.disks[key] = gce.Disk(name=key[1], id=len(shelf.disks), status="READY", labels=labels)
        shelf.disks[key].zone = "zones/europe-west3-a"
        shot = f"ss-digits-{len(shelf.snapshots) + 10}-snapshot"
        shelf.snapshots[shot] = gce.Snapshot(name=shot, id=7, status="READY", labels=labels)
    cloud.model.machine("ss-digits-3").labels = {"team": "others"}
    shelf.disk("europe-west3-a", "ss-digits-3").labels = {"team": "others"}
    theirs = {
        *(name for (_, name), disk in shelf.disks.items() if is_theirs(disk.labels)),
        *(name for name, shot in shelf.snapshots.items() if is_theirs(shot.labels)),
    }

    remove_all(purge(cloud), SURE)

    assert names(cloud) == theirs
    assert len(theirs) == 7


def test_nothing_goes_without_a_yes(cloud: ComputeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person is asked first, and may say no; a dry run asks nobody."""
    fill(cloud)
    before = names(cloud)

    def refuse(*_: object, **__: object) -> None:
        raise typer.Abort

    monkeypatch.setattr(typer, "confirm", refuse)
    with pytest.raises(typer.Abort):
        remove_all(purge(cloud), Asked(project="green"))
    remove_all(purge(cloud), Asked(project="green", dry_run=True))

    assert names(cloud) == before


def test_a_program_is_told_all_of_it(
    cloud: ComputeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    """And must say --yes, as nobody can be asked."""
    fill(cloud)
    with pytest.raises(InvalidInputError, match="--yes"):
        remove_all(purge(cloud), Asked(project="green", as_json=True))
    remove_all(purge(cloud), Asked(project="green", as_json=True, dry_run=True))
    only_shown = json.loads(capsys.readouterr().out)
    remove_all(purge(cloud), JSON)
    told = json.loads(capsys.readouterr().out)

    assert only_shown["removed"] == []
    assert told["removed"] == told["found"] == only_shown["found"]
    assert {row["kind"] for row in told["found"]} == {"VM", "disk", "snapshot"}
    assert told["left"] == told["unseen"] == []


def test_what_could_not_be_removed_is_named_and_the_rest_goes(cloud: ComputeEngine) -> None:
    """A service that does not answer is no success; the next run does the rest."""
    fill(cloud)
    weak: Any = NoSnapshotGoes(cloud.disks)

    with pytest.raises(UnavailableError, match=rf"snapshot {SNAPSHOT} in global: .*503") as error:
        remove_all(Purge(cloud.fleet, weak), SURE)

    assert names(cloud) == {SNAPSHOT}
    assert "ss-digits-3" not in str(error.value)
    remove_all(purge(cloud), SURE)
    assert names(cloud) == set()


def test_a_missing_right_is_named_once_and_the_rest_goes(
    cloud: ComputeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is not asked for again and again; what needs another right goes."""
    fill(cloud)
    for _ in range(5):
        cloud.meet("delete_disk", 403, "forbidden")

    with pytest.raises(PermissionDeniedError, match=r"compute\.disks\.delete"):
        remove_all(purge(cloud), JSON)

    assert cloud.model.calls["delete_disk"] == 1
    told = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in told["left"]] == ["ss-digits-1-data"]
    assert len(told["removed"]) == 3


def test_disks_that_cannot_be_listed_do_not_keep_vms_alive(cloud: ComputeEngine) -> None:
    """VMs cost most: they go, and it is said what was not to be seen."""
    running(cloud, 3)
    for _ in range(50):
        cloud.meet("aggregated_list_disks", 403, "forbidden")

    with pytest.raises(PermissionDeniedError, match=r"disks could not be listed.*disks\.list"):
        remove_all(purge(cloud), SURE)

    assert names(cloud) == set()


def test_a_disk_of_ours_on_a_strangers_vm_is_left(cloud: ComputeEngine) -> None:
    """Somebody attached it: it is not taken from them, and purge does not wait for it."""
    fill(cloud)
    stranger = "https://www.googleapis.com/compute/v1/projects/tests/zones/z/instances/mine"
    shelf = cloud.model.shelf
    key = next(key for key in shelf.disks if key[1].endswith("-data"))
    shelf.disks[key].users = [*shelf.disks[key].users, stranger]

    began_at = cloud.model.clock.now()
    with pytest.raises(UnavailableError, match="attached to mine, which is not SmartScheduler's"):
        remove_all(purge(cloud), SURE)

    assert (cloud.model.clock.now() - began_at).total_seconds() < SURE.wait_s / 2
    assert names(cloud) == {"ss-digits-1-data"}


def test_what_has_our_label_and_is_malformed_is_named(cloud: ComputeEngine) -> None:
    """It is left alone and may cost money: a person must delete it."""
    running(cloud, 3)
    del cloud.model.machine("ss-digits-3").labels["job"]

    with pytest.raises(UnavailableError, match="gcloud compute instances delete ss-digits-3"):
        remove_all(purge(cloud), SURE)


def test_a_vm_that_comes_meanwhile_goes_too(cloud: ComputeEngine) -> None:
    """The functions may still be there: purge ends when nothing is left."""
    running(cloud, 3)
    work = purge(cloud)
    looks: list[set[Kind]] = []

    def looked(stock: object) -> None:
        looks.append({thing.kind for thing in stock.things})  # type: ignore[attr-defined]
        if len(looks) == 2:
            running(cloud, 4)

    left = work.run(patience_s=600, sleep=cloud.model.clock.move, on_look=looked)

    assert (left, names(cloud)) == ((), set())


def test_what_goes_slowly_is_asked_to_go_once_a_minute(cloud: ComputeEngine) -> None:
    """Not at each look; but an operation that fails later is not the end of it."""
    running(cloud, 3)
    cloud.model.faults.slow_operations_s = 170

    remove_all(purge(cloud), Asked(project="green", yes=True, wait_s=600))

    assert cloud.model.calls["delete"] == 3
    assert names(cloud) == set()


def test_patience_ends(cloud: ComputeEngine) -> None:
    """A VM that hangs on its way down is named; it goes on going."""
    running(cloud, 3)
    cloud.model.faults.slow_operations_s = 7200

    with pytest.raises(UnavailableError, match="asked to go, and still TERMINATED after 60 s"):
        remove_all(purge(cloud), Asked(project="green", yes=True, wait_s=60))


def test_the_command_hands_on_what_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each option arrives."""
    asked: list[object] = []
    monkeypatch.setattr(command, "purge_project", lambda *a, **k: asked.extend([*a, k]))
    options = ["--bucket", "gs://b", "--yes", "--wait", "7", "--json"]

    ran = CliRunner().invoke(app, ["purge", "--project", "green", *options])

    assert ran.exit_code == 0, ran.output
    assert asked == [
        Asked(project="green", yes=True, as_json=True, wait_s=7.0),
        {"bucket": "gs://b"},
    ]
