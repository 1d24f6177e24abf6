"""Checkpoints are whole or not there, and only the owner of the job writes them."""

import errno
import hashlib
import logging
from datetime import UTC, datetime, timedelta

import pytest
from fake_session import FaultyStore, SteppingClock
from memory_blobs import MemoryBlobStore

from vm_runtime.checkpoint import (
    KEPT,
    CheckpointCorruptError,
    CheckpointError,
    Checkpoints,
    CheckpointWriteError,
)
from vm_runtime.checkpoint_objects import Content
from vm_runtime.contract import object_names
from vm_runtime.contract.checkpoint import CheckpointManifest, Latest
from vm_runtime.contract.codec import UnknownSchemaVersionError, decode, encode
from vm_runtime.session import LeaseLostError
from vm_runtime.storage.port import BlobStore, StorageDeniedError, StorageUnavailableError

DIGEST = "0" * 64
LATEST = object_names.latest("job")


def checkpoints(store: BlobStore, incarnation: int = 1) -> Checkpoints:
    """Return the view of an incarnation that has taken over."""
    made = Checkpoints(store, "job", incarnation, SteppingClock(), sleep=lambda _: None)
    made.take_over()
    return made


def commit(target: Checkpoints, step: int, *, finished: bool = False) -> Latest:
    """Commit two small files."""
    payload: dict[str, Content] = {
        "a": lambda stream: stream.write(f"a{step}".encode()),
        "b/c": lambda stream: stream.write(b"c" * step),
    }
    return target.commit(step, payload, finished=finished, weights_sha256=DIGEST)


def restored_step(target: Checkpoints) -> int | None:
    """Return the step of what would be restored."""
    with target.restore() as restored:
        if restored is None:
            return None
        assert (restored.folder / "a").read_bytes() == f"a{restored.manifest.step}".encode()
        return restored.manifest.step


def ids(store: MemoryBlobStore) -> list[str]:
    """Return the ids of all checkpoints."""
    folder = object_names.checkpoints_folder("job")
    names = [info.name.removeprefix(folder) for info in store.list(folder)]
    return sorted({name.split("/")[0] for name in names if "/" in name})


def spoil(store: MemoryBlobStore, checkpoint_id: str, name: str) -> None:
    """Flip the last bit of a file."""
    path = object_names.checkpoint_folder("job", checkpoint_id) + name
    data = store.read(path).data
    store.write(path, data[:-1] + bytes([data[-1] ^ 1]))


def test_what_was_committed_is_restored() -> None:
    """Restoring gives the files and facts of the last commit."""
    store = MemoryBlobStore()
    first = checkpoints(store)
    commit(first, 5)
    commit(first, 9, finished=True)
    second = checkpoints(store, 2)

    assert restored_step(second) == 9
    assert second.latest.finished
    assert second.latest.incarnation == 2


def test_a_manifest_describes_the_payload() -> None:
    """Sizes and checksums in the manifest are those of the objects."""
    store = MemoryBlobStore()
    checkpoint_id = commit(checkpoints(store), 3).checkpoint_id
    assert checkpoint_id is not None
    name = object_names.manifest("job", checkpoint_id)
    manifest = decode(CheckpointManifest, store.read(name).data, name=name)

    assert [(file.name, file.size_bytes) for file in manifest.files] == [("a", 2), ("b/c", 3)]
    assert manifest.files[1].sha256 == hashlib.sha256(b"ccc").hexdigest()


def test_a_new_job_has_nothing_to_restore() -> None:
    """Without a checkpoint there is nothing to restore, and that is no error."""
    assert restored_step(checkpoints(MemoryBlobStore())) is None


def test_nothing_is_written_before_the_take_over() -> None:
    """A commit without a fence is refused."""
    unfenced = Checkpoints(MemoryBlobStore(), "job", 1, SteppingClock())

    with pytest.raises(CheckpointError, match="take_over"):
        commit(unfenced, 1)


@pytest.mark.parametrize("committed_before", [False, True])
def test_a_superseded_vm_cannot_commit(committed_before: bool) -> None:  # noqa: FBT001  parameter
    """Once a successor has taken over, its predecessor's commit fails and changes nothing."""
    store = MemoryBlobStore()
    zombie = checkpoints(store, 1)
    if committed_before:
        commit(zombie, 1)
    successor = checkpoints(store, 2)
    before = store.read(LATEST)

    with pytest.raises(LeaseLostError):
        commit(zombie, 100)
    assert store.read(LATEST) == before
    assert restored_step(successor) == (1 if committed_before else None)


def test_a_lower_incarnation_cannot_take_over() -> None:
    """LATEST of a higher incarnation is left as it is."""
    store = MemoryBlobStore()
    checkpoints(store, 3)
    before = store.read(LATEST)

    with pytest.raises(LeaseLostError, match="found 3"):
        checkpoints(store, 2)
    assert store.read(LATEST) == before


def test_a_restarted_vm_fences_off_its_former_self() -> None:
    """The same incarnation taking over again makes the earlier process's commit fail."""
    store = MemoryBlobStore()
    former = checkpoints(store, 1)
    former_clock_was_behind = Checkpoints(store, "job", 1, _Later(), sleep=lambda _: None)
    former_clock_was_behind.take_over()

    with pytest.raises(LeaseLostError):
        commit(former, 1)


@pytest.mark.parametrize("point", ["a", "b/c", "manifest.json", "LATEST"])
def test_two_processes_of_one_incarnation_do_not_write_over_each_other(point: str) -> None:
    """One that was believed dead saves the same step at the same moment: both stay apart."""
    store = MemoryBlobStore()
    second: list[Checkpoints] = []

    def race(number: int, verb: str, name: str) -> None:
        del number
        if verb in {"upload", "write"} and name.endswith(point) and second:
            commit(second.pop(), 4)

    first = checkpoints(FaultyStore(store, fails=race))
    second.append(Checkpoints(store, "job", 1, _Later(), sleep=lambda _: None))
    second[0].take_over()
    theirs: dict[str, Content] = {
        "a": lambda stream: stream.write(b"other"),
        "b/c": lambda stream: stream.write(b"bytes"),
    }
    with pytest.raises(LeaseLostError):
        first.commit(4, theirs, finished=False, weights_sha256=DIGEST)
    assert restored_step(checkpoints(store, 2)) == 4


class _Later(SteppingClock):
    def now(self) -> datetime:
        return datetime(2024, 3, 6, tzinfo=UTC)


def test_a_take_over_looks_again_when_another_write_came_between() -> None:
    """Losing a race against the predecessor's commit is no reason to give up."""
    store = MemoryBlobStore()
    predecessor = checkpoints(store, 1)

    def race(number: int, verb: str, name: str) -> None:
        if number == 1 and (verb, name) == ("write", LATEST):
            commit(predecessor, 7)

    successor = Checkpoints(
        FaultyStore(store, fails=race), "job", 2, SteppingClock(), sleep=lambda _: None
    )

    assert successor.take_over().step == 7
    assert successor.latest.incarnation == 2


def test_a_write_whose_answer_was_lost_counts_as_written() -> None:
    """LATEST that landed without an answer is recognised as one's own."""
    store = MemoryBlobStore()
    failed: list[str] = []

    def once(number: int, verb: str, name: str) -> StorageUnavailableError | None:
        del number
        if verb == "write" and name == LATEST and not failed:
            failed.append(name)
            return StorageUnavailableError("no answer")
        return None

    commit(checkpoints(store), 1)
    target = checkpoints(FaultyStore(store, fails=once, lands=True), 2)

    assert failed
    commit(target, 2)
    assert restored_step(checkpoints(store, 3)) == 2


@pytest.mark.parametrize("name", ["a", "b/c", "manifest.json"])
@pytest.mark.parametrize("damage", ["flip", "truncate", "delete"])
def test_a_damaged_latest_checkpoint_is_skipped_aloud(
    name: str, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The newest intact checkpoint is used, with a warning that names both."""
    store = MemoryBlobStore()
    writer = checkpoints(store)
    for step in (1, 2, 3):
        last = commit(writer, step).checkpoint_id
    assert last is not None
    path = object_names.checkpoint_folder("job", last) + name
    if damage == "flip":
        spoil(store, last, name)
    elif damage == "truncate":
        store.write(path, store.read(path).data[:-1])
    else:
        store.delete(path)

    with caplog.at_level(logging.WARNING):
        assert restored_step(checkpoints(store, 2)) == 2
    assert last in caplog.text
    assert "instead of" in caplog.text


def test_no_intact_checkpoint_is_an_error_never_a_fresh_start() -> None:
    """Work is not thrown away silently."""
    store = MemoryBlobStore()
    last = commit(checkpoints(store), 1).checkpoint_id
    assert last is not None
    spoil(store, last, "a")

    with pytest.raises(CheckpointCorruptError, match=r"expected an intact checkpoint.*SHA-256"):
        restored_step(checkpoints(store, 2))


def test_training_goes_on_after_a_fallback() -> None:
    """Checkpoints after a fallback commit, though a newer, damaged one lies there."""
    store = MemoryBlobStore()
    writer = checkpoints(store)
    for step in (1, 5):
        last = commit(writer, step).checkpoint_id
    assert last is not None
    spoil(store, last, "a")
    second = checkpoints(store, 2)
    assert restored_step(second) == 1
    commit(second, 2)

    assert restored_step(checkpoints(store, 3)) == 2


def test_an_unavailable_store_is_no_reason_to_fall_back() -> None:
    """A store that does not answer says nothing about the checkpoint."""
    store = MemoryBlobStore()
    commit(checkpoints(store), 1)
    commit(checkpoints(store, 2), 2)

    def down(number: int, verb: str, name: str) -> StorageUnavailableError | None:
        del number, name
        return StorageUnavailableError("down") if verb == "download" else None

    faulty = FaultyStore(store, fails=down)
    with pytest.raises(StorageUnavailableError):
        restored_step(checkpoints(faulty, 3))
    assert len([verb for verb, _ in faulty.operations if verb == "download"]) == 4


@pytest.mark.parametrize(
    "error",
    [
        StorageUnavailableError("down"),
        StorageDeniedError("no right"),
        OSError(errno.ENOSPC, "No space left on device"),
    ],
    ids=["unavailable", "denied", "disk full"],
)
@pytest.mark.parametrize("where", ["a", "manifest.json", "LATEST"])
def test_a_failing_store_gives_a_clear_error_and_harms_nothing(
    error: Exception, where: str
) -> None:
    """After a bounded number of attempts the commit fails; the one before stays the latest."""
    store = MemoryBlobStore()
    commit(checkpoints(store), 1)
    armed: list[bool] = []

    def fails(number: int, verb: str, name: str) -> Exception | None:
        del number
        return error if armed and verb in {"write", "upload"} and name.endswith(where) else None

    faulty = FaultyStore(store, fails=fails)
    target = checkpoints(faulty, 2)
    armed.append(True)

    with pytest.raises(CheckpointWriteError, match="untouched"):
        commit(target, 2)
    assert len(faulty.operations) < 12
    assert restored_step(checkpoints(store, 3)) == 1


def test_old_checkpoints_go_and_the_newest_stay() -> None:
    """After each commit at most `KEPT` committed checkpoints are left, the newest ones."""
    store = MemoryBlobStore()
    writer = checkpoints(store)
    for step in range(1, 8):
        commit(writer, step)

    assert KEPT == 3
    assert ids(store) == [object_names.checkpoint_id(step, 1) for step in (5, 6, 7)]


def test_pruning_spares_what_a_successor_wrote_and_what_is_newer() -> None:
    """Neither another VM's newer checkpoint nor one beyond LATEST is ever deleted."""
    store = MemoryBlobStore()
    writer = checkpoints(store)
    foreign = object_names.checkpoint_folder("job", object_names.checkpoint_id(0, 2)) + "a"
    newer = object_names.checkpoint_folder("job", object_names.checkpoint_id(99, 1)) + "a"
    store.write(foreign, b"x")
    store.write(newer, b"x")
    for step in range(1, 6):
        commit(writer, step)

    names = [info.name for info in store.list("jobs/")]
    assert foreign in names
    assert newer in names


def test_leftovers_of_a_crash_are_cleared_without_counting() -> None:
    """A torn checkpoint is deleted once it is old, and never displaces an intact one."""
    store = MemoryBlobStore()
    writer = checkpoints(store)
    torn = object_names.checkpoint_folder("job", object_names.checkpoint_id(2, 1)) + "a"
    commit(writer, 1)
    store.write(torn, b"x")
    commit(writer, 3)
    commit(writer, 4)

    assert ids(store) == [object_names.checkpoint_id(step, 1) for step in (1, 3, 4)]


def test_a_checkpoint_is_never_written_over() -> None:
    """A second one of the same step gets a name of its own, which sorts after the first."""
    store = MemoryBlobStore()
    writer = checkpoints(store)
    names = [commit(writer, 4).checkpoint_id for _ in range(3)]

    assert names == sorted(set(map(str, names)))
    assert len(ids(store)) == 3


def test_a_failing_deletion_does_not_fail_the_commit(caplog: pytest.LogCaptureFixture) -> None:
    """What could not be pruned stays, with a warning, until the next commit."""
    store = MemoryBlobStore()

    def fails(number: int, verb: str, name: str) -> Exception | None:
        del number, name
        return StorageDeniedError("no right") if verb == "delete" else None

    writer = checkpoints(FaultyStore(store, fails=fails))
    for step in range(1, 6):
        commit(writer, step)

    assert len(ids(store)) == 5
    assert "stays for now" in caplog.text


def test_a_foreign_manifest_is_not_trusted() -> None:
    """A checkpoint copied from another job counts as damaged."""
    store = MemoryBlobStore()
    checkpoint_id = commit(checkpoints(store), 1).checkpoint_id
    assert checkpoint_id is not None
    name = object_names.manifest("job", checkpoint_id)
    text = store.read(name).data.replace(b'"job_id": "job"', b'"job_id": "other"')
    store.write(name, text)

    with pytest.raises(CheckpointCorruptError, match="of other"):
        restored_step(checkpoints(store, 2))


def test_latest_of_an_unknown_version_is_left_alone() -> None:
    """A pointer written by a newer software stops this one."""
    store = MemoryBlobStore()
    now = datetime(2024, 3, 5, tzinfo=UTC) + timedelta(seconds=1)
    document = Latest(checkpoint_id=None, step=0, incarnation=1, updated_at=now)
    data = encode(document).replace(b'"schema_version": 1', b'"schema_version": 2')
    store.write(LATEST, data)

    with pytest.raises(ValueError, match="schema_version"):
        checkpoints(store, 2)
    assert store.read(LATEST).data == data


def test_a_checkpoint_of_an_unknown_version_is_no_reason_to_fall_back() -> None:
    """A manifest by a newer software stops this one instead of losing work."""
    store = MemoryBlobStore()
    writer = checkpoints(store)
    commit(writer, 1)
    last = commit(writer, 2).checkpoint_id
    assert last is not None
    name = object_names.manifest("job", last)
    newer = store.read(name).data.replace(b'"schema_version": 1', b'"schema_version": 2')
    store.write(name, newer)

    with pytest.raises(UnknownSchemaVersionError):
        restored_step(checkpoints(store, 2))
