"""What is peculiar to the blob store on a folder: processes, crashes, clocks."""

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import BinaryIO

import pytest

from vm_runtime.checkpoint import Checkpoints, CheckpointWriteError
from vm_runtime.contract.clock import SystemClock
from vm_runtime.storage import open_store
from vm_runtime.storage.files import FileBlobStore
from vm_runtime.storage.port import StorageError, StorageUnavailableError

INCREMENT = """
import sys
from vm_runtime.storage import open_store
from vm_runtime.storage.port import PreconditionFailedError
store = open_store(sys.argv[1])
done = 0
while done < int(sys.argv[2]):
    blob = store.read("n")
    try:
        store.write("n", b"%d" % (int(blob.data) + 1), if_generation=blob.generation)
        done += 1
    except PreconditionFailedError:
        pass
"""

WRITE_FOR_EVER = """
import sys
from vm_runtime.storage import open_store
store = open_store(sys.argv[1])
n = 0
while True:
    n += 1
    store.write("x", b"%d\\n" % n * 200_000)
"""


def run(code: str, *args: str) -> subprocess.Popen[bytes]:
    """Start a Python process."""
    return subprocess.Popen([sys.executable, "-c", code, *args])  # noqa: S603 - our own code


def test_processes_lose_no_increment(tmp_path: Path) -> None:
    """Compare-and-swap from 4 processes counts every increment."""
    store = FileBlobStore(tmp_path)
    store.write("n", b"0")
    processes = [run(INCREMENT, store.url, "100") for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4
    assert int(store.read("n").data) == 400


def test_a_killed_writer_leaves_whole_objects(tmp_path: Path) -> None:
    """Whenever a writer is killed, the object is one of its writes, and the next write works."""
    store = FileBlobStore(tmp_path)
    before = store.write("x", b"0\n" * 200_000)
    for delay_s in (0.0, 0.003, 0.007, 0.013):
        writer = run(WRITE_FOR_EVER, store.url)
        while store.read("x").generation == before:
            time.sleep(0.001)
        time.sleep(delay_s)
        writer.send_signal(signal.SIGKILL)
        writer.wait(10)
        lines = store.read("x").data.splitlines()
        assert len(lines) == 200_000
        assert len(set(lines)) == 1
        before = store.write("x", lines[0], if_generation=store.read("x").generation)
    assert [info.name for info in store.list("")] == ["x"]


def test_generations_grow_when_the_clock_steps_back(tmp_path: Path) -> None:
    """Neither a stepped clock nor a delete gives a generation a second time."""
    now_ns = time.time_ns() + 3_600_000_000_000
    store = FileBlobStore(tmp_path, now_ns=lambda: now_ns)
    first = store.write("a", b"1")
    now_ns -= 7_200_000_000_000
    second = store.write("a", b"2")
    store.delete("a")
    third = store.write("a", b"3", if_generation=0)
    assert first < second < third


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_does_not_keep_a_lock(tmp_path: Path) -> None:
    """A data-loader worker forked in the middle of a write does not block the next write."""
    store = FileBlobStore(tmp_path)
    children = []

    def fork_then_fill(file: BinaryIO) -> None:
        child = os.fork()
        if child == 0:
            time.sleep(30)
            os._exit(0)
        children.append(child)
        file.write(b"content")

    try:
        store._put("a", fork_then_fill, None)  # noqa: SLF001 - the only way into the middle of a write
        begin = time.monotonic()
        store.write("a", b"next")
        assert time.monotonic() - begin < 5
    finally:
        os.kill(children[0], signal.SIGKILL)
        os.waitpid(children[0], 0)


def test_objects_are_plain_files(tmp_path: Path) -> None:
    """A person finds an object under its name, and empty folders vanish with their last object."""
    store = FileBlobStore(tmp_path)
    store.write("jobs/a/job.json", b"{}")
    assert (tmp_path / "jobs/a/job.json").read_bytes() == b"{}"
    store.delete("jobs/a/job.json")
    assert not (tmp_path / "jobs").exists()
    assert tmp_path.exists()


def test_a_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    """What the operating system refuses becomes an error of the port, with its cause."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="a: expected"):
        FileBlobStore(tmp_path / "file").write("a", b"")


@pytest.mark.parametrize(("first", "second"), [("a", "a/b"), ("a/b", "a")])
def test_an_object_cannot_be_a_folder_of_others(tmp_path: Path, first: str, second: str) -> None:
    """What files cannot hold is refused with the reason, and what was there stays."""
    store = FileBlobStore(tmp_path)
    store.write(first, b"1")
    with pytest.raises(StorageError, match="another name"):
        store.write(second, b"2")
    assert [info.name for info in store.list("")] == [first]


def test_open_store_reads_both_kinds_of_url(tmp_path: Path) -> None:
    """`url` and `open_store` are inverse, spaces included."""
    store = open_store((tmp_path / "with space").as_uri())
    store.write("a", b"1")
    assert (tmp_path / "with space/a").exists()
    assert open_store(store.url).read("a").data == b"1"
    assert open_store("gs://bucket").url == "gs://bucket"


@pytest.mark.parametrize("url", ["", "gs://", "gs://b/folder", "file://host/x", "http://x", "a/b"])
def test_open_store_refuses_other_urls(url: str) -> None:
    """A URL that is neither form is told, with the forms that are."""
    with pytest.raises(StorageError, match="expected file:///FOLDER or gs://BUCKET"):
        open_store(url)


UPLOAD_AND_HANG = """
import sys, time
from vm_runtime.storage import open_store
def fill(stream):
    stream.write(bytes(1000_000))
    stream.flush()
    print("half way", flush=True)
    time.sleep(60)
open_store(sys.argv[1]).upload("big", fill)
"""


def test_what_a_killed_upload_left_is_cleared_by_the_next(tmp_path: Path) -> None:
    """Half a checkpoint does not fill the disk for ever; a living writer's is left alone."""
    store = FileBlobStore(tmp_path)
    hanging = subprocess.Popen(  # noqa: S603 - our own code
        [sys.executable, "-c", UPLOAD_AND_HANG, store.url], stdout=subprocess.PIPE, text=True
    )
    assert hanging.stdout is not None
    with hanging.stdout:
        assert hanging.stdout.readline() == "half way\n"
    [part] = tmp_path.glob(".locks/*.part")
    os.utime(part, (0, 0))
    FileBlobStore(tmp_path).upload("small", lambda stream: stream.write(b"1"))
    assert part.exists()
    hanging.kill()
    hanging.wait(10)
    FileBlobStore(tmp_path).upload("small", lambda stream: stream.write(b"2"))
    assert list(tmp_path.glob(".locks/*.part")) == []
    assert [info.name for info in store.list("")] == ["small"]


def test_a_failed_write_leaves_no_half_file(tmp_path: Path) -> None:
    """On a full disk what was half written would keep the disk full."""
    store = FileBlobStore(tmp_path)

    def fill(stream: BinaryIO) -> None:
        stream.write(bytes(100_000))
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageUnavailableError, match="No space left"):
        store.upload("a", fill)
    assert list(tmp_path.glob(".locks/*.part")) == []


def test_a_lock_that_is_never_released_is_an_error_not_a_wait_without_end(tmp_path: Path) -> None:
    """A process that was stopped in the middle of a write blocks nobody for ever."""
    FileBlobStore(tmp_path).write("a", b"1")
    [lock] = tmp_path.glob(".locks/*.lock")
    with lock.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(StorageUnavailableError, match="Ctrl-Z"):
            FileBlobStore(tmp_path, lock_patience_s=0.05).write("a", b"2")
    assert FileBlobStore(tmp_path).read("a").data == b"1"


def test_a_full_disk_harms_no_checkpoint(tmp_path: Path) -> None:
    """On a real file system of 1 MB: a clear error, the last checkpoint stays, later ones fit."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, check=False).returncode:  # noqa: S603
        pytest.skip("mounting a small disk takes root")
    try:
        checkpoints = Checkpoints(
            FileBlobStore(folder), "job", 1, SystemClock(), sleep=lambda _: None
        )
        checkpoints.take_over()
        for step, size in ((1, 100_000), (2, 2_000_000), (3, 200_000)):
            commit = partial(
                checkpoints.commit,
                step,
                {"state.pt": lambda stream, size=size: stream.write(bytes(size))},
                finished=False,
                weights_sha256="0" * 64,
            )
            if size < 1_000_000:
                commit()
                continue
            with pytest.raises(CheckpointWriteError, match=r"No space left.*untouched"):
                commit()
            assert checkpoints.latest.step == 1
        with checkpoints.restore() as restored:
            assert restored is not None
            assert restored.manifest.step == 3
    finally:
        subprocess.run(["umount", str(folder)], check=True)  # noqa: S603, S607
