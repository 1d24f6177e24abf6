"""Checkpoints of a job: committed whole or not at all, and only by the VM that owns the job.

Payload first, then the manifest with sizes and checksums, then the pointer LATEST by
compare-and-swap. Knows the bucket's documents, nothing of models or training.
"""

import logging
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path

import torch

from vm_runtime.checkpoint_objects import (
    CheckpointCorruptError,
    CheckpointError,
    CheckpointNotWantedError,
    CheckpointObjects,
    CheckpointWriteError,
    Content,
    Listing,
    Restored,
)
from vm_runtime.contract import object_names
from vm_runtime.contract.checkpoint import CheckpointFile, CheckpointManifest, Latest
from vm_runtime.contract.clock import Clock
from vm_runtime.contract.codec import decode, encode
from vm_runtime.session import LeaseLostError
from vm_runtime.storage.port import (
    BlobNotFoundError,
    BlobStore,
    PreconditionFailedError,
    StorageDeniedError,
    StorageError,
)

__all__ = [
    "CheckpointCorruptError",
    "CheckpointError",
    "CheckpointWriteError",
    "Checkpoints",
    "Restored",
]

KEPT = 3
"""Committed checkpoints that stay; older ones are deleted after a commit."""

_TAKE_OVER_ATTEMPTS = 5
_FREE_ID_ATTEMPTS = 5

_log = logging.getLogger(__name__)


class Checkpoints:
    """The checkpoints of one job, as one incarnation of its VM sees them.

    `take_over` comes first: it fences off every VM that had the job before.
    """

    def __init__(
        self,
        store: BlobStore,
        job_id: str,
        incarnation: int,
        clock: Clock,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Look at the checkpoints of `job_id`; nothing is read or written yet.

        Args:
            store: the bucket.
            job_id: the job.
            incarnation: the fencing token of this VM.
            clock: tells the time of the documents.
            sleep: waits between attempts, in real seconds.
        """
        self._store = store
        self._job_id = job_id
        self._incarnation = incarnation
        self._clock = clock
        self._sleep = sleep
        self._objects = CheckpointObjects(store, job_id, sleep=sleep)
        self._generation: int | None = None
        self._latest: Latest | None = None
        self.size_bytes = 0
        """Size of the payload that was committed last."""

    @property
    def latest(self) -> Latest:
        """LATEST as this VM last wrote it.

        Raises:
            CheckpointError: `take_over` was not called.
        """
        if self._latest is None:
            message = "expected take_over() before anything else on checkpoints"
            raise CheckpointError(message)
        return self._latest

    def take_over(self) -> Latest:
        """Put this incarnation into LATEST, so that a superseded VM's write must fail.

        Returns:
            LATEST as written: its `checkpoint_id` is the one to restore.

        Raises:
            LeaseLostError: LATEST carries a higher incarnation, or others keep changing it.
            StorageError: the store failed, several times if trying again made sense.
        """
        name = object_names.latest(self._job_id)
        for _ in range(_TAKE_OVER_ATTEMPTS):
            generation, found = self._read_latest()
            if found.incarnation > self._incarnation:
                message = (
                    f"{name}: expected incarnation {self._incarnation} or lower, found"
                    f" {found.incarnation}: a newer VM has this job, leave it alone"
                )
                raise LeaseLostError(message)
            mine = replace(found, incarnation=self._incarnation, updated_at=self._clock.now())
            with suppress(PreconditionFailedError):  # someone wrote in between: look again
                self._write_latest(mine, generation)
                return mine
        message = f"{name}: changed by others {_TAKE_OVER_ATTEMPTS} times while taking it over"
        raise LeaseLostError(message)

    def commit(
        self,
        step: int,
        payload: Mapping[str, Content],
        *,
        finished: bool,
        weights_sha256: str,
        check_wanted: Callable[[], object] = lambda: None,
    ) -> Latest:
        """Write a checkpoint and make it the latest, then delete the oldest ones.

        Args:
            step: optimizer steps in the state.
            payload: what writes the files, by name below the checkpoint's folder.
            finished: whether training is complete.
            weights_sha256: see `state.weights_digest`.
            check_wanted: called between pieces and before LATEST moves; raises to give up.

        Raises:
            LeaseLostError: LATEST was changed by another VM; it was left as it is.
            CheckpointWriteError: the store or a file failed; LATEST was left as it is, or
                holds this very checkpoint.
        """
        known = self.latest
        objects = CheckpointObjects(
            self._store, self._job_id, sleep=self._sleep, check_wanted=check_wanted
        )
        try:
            listing = objects.list_all()
            manifest = self._write_whole(objects, listing, step, payload, finished, weights_sha256)
            latest = Latest(
                checkpoint_id=manifest.checkpoint_id,
                step=step,
                incarnation=self._incarnation,
                updated_at=self._clock.now(),
                finished=finished,
            )
            check_wanted()
            self._write_latest(latest, self._generation)
        except PreconditionFailedError as error:
            message = (
                f"{object_names.latest(self._job_id)}: expected what incarnation"
                f" {self._incarnation} wrote last, found a change by another VM, which trains"
                " this job now; LATEST was left as it is"
            )
            raise LeaseLostError(message) from error
        except (StorageError, OSError) as error:
            raise CheckpointWriteError(_write_failure(step, known, error)) from error
        self.size_bytes = sum(file.size_bytes for file in manifest.files)
        self._prune(listing, manifest.checkpoint_id, check_wanted)
        return latest

    def _write_whole(  # noqa: PLR0913, PLR0917  private, called once
        self,
        objects: CheckpointObjects,
        listing: Listing,
        step: int,
        payload: Mapping[str, Content],
        finished: bool,  # noqa: FBT001
        weights_sha256: str,
    ) -> CheckpointManifest:
        """Write payload, then manifest, under an id that nobody else writes under.

        Another process may: one with the same incarnation that was believed dead.
        """
        taken = listing.all
        for _ in range(_FREE_ID_ATTEMPTS):
            checkpoint_id = self._free_id(step, taken)
            with suppress(PreconditionFailedError):
                files = tuple(
                    objects.put(checkpoint_id, name, content) for name, content in payload.items()
                )
                manifest = self._manifest(checkpoint_id, step, files, finished, weights_sha256)
                objects.put_manifest(manifest)
                return manifest
            taken = [*taken, checkpoint_id]
        message = f"checkpoint of step {step}: others write it at the same time"
        raise StorageError(message)

    @contextmanager
    def restore(self) -> Iterator[Restored | None]:
        """Give the latest intact checkpoint's files for the length of a `with` block.

        A torn or corrupt one is skipped with a warning for the newest intact one. `None`:
        there is no checkpoint yet.

        Raises:
            CheckpointCorruptError: LATEST names a checkpoint, but none is intact.
            StorageError: the store failed; that is no reason to skip a checkpoint.
        """
        latest = self.latest
        if latest.checkpoint_id is None:
            yield None
            return
        with tempfile.TemporaryDirectory(prefix="checkpoint-") as folder:
            yield self._newest_intact(latest.checkpoint_id, Path(folder))

    def _newest_intact(self, first: str, folder: Path) -> Restored:
        problems = []
        others = [name for name in reversed(self._objects.list_all().committed) if name != first]
        # What is newer was never LATEST, or was given up for an older one: it comes last.
        before = [name for name in others if name < first]
        for checkpoint_id in [first, *before, *(name for name in others if name > first)]:
            try:
                restored = self._objects.fetch(checkpoint_id, folder / checkpoint_id)
            except CheckpointCorruptError as error:
                problems.append(str(error))
                _log.warning("skipped a checkpoint that is not intact: %s", error)
            else:
                if problems:
                    _log.warning(
                        "resuming from checkpoint %s (step %d) instead of %s",
                        checkpoint_id,
                        restored.manifest.step,
                        first,
                    )
                return restored
        message = (
            f"job {self._job_id}: expected an intact checkpoint, found none:"
            f" {'; '.join(problems)}. Mend the objects from a backup, or delete"
            f" {object_names.latest(self._job_id)} to train from the beginning."
        )
        raise CheckpointCorruptError(message)

    def _read_latest(self) -> tuple[int, Latest]:
        name = object_names.latest(self._job_id)
        try:
            blob = self._objects.retry(lambda: self._store.read(name))
        except BlobNotFoundError:
            now = self._clock.now()
            return 0, Latest(checkpoint_id=None, step=0, incarnation=0, updated_at=now)
        return blob.generation, decode(Latest, blob.data, name=name)

    def _write_latest(self, latest: Latest, generation: int | None) -> None:
        """Compare-and-swap LATEST; raises `PreconditionFailedError`.

        An attempt whose answer got lost may have landed: then the next one fails on our own
        write, which the content tells apart from a stranger's.
        """
        name = object_names.latest(self._job_id)
        data = encode(latest)
        try:
            landed = self._objects.retry(
                lambda: self._store.write(name, data, if_generation=generation)
            )
        except PreconditionFailedError:
            present = self._read_or_none(name)
            if present is None or present[1] != data:
                raise
            landed = present[0]
        self._generation, self._latest = landed, latest

    def _read_or_none(self, name: str) -> tuple[int, bytes] | None:
        try:
            blob = self._objects.retry(lambda: self._store.read(name))
        except BlobNotFoundError:
            return None
        return blob.generation, blob.data

    def _free_id(self, step: int, present: list[str]) -> str:
        """Return an id that sorts after all of this step: none is ever used a second time.

        Not even one that was deleted: somebody may be about to delete it once more.
        """
        base = object_names.checkpoint_id(step, self._incarnation)
        same = [name for name in present if name == base or name.startswith(f"{base}-")]
        if not same:
            return base
        return f"{base}-{max(_number_of(name) for name in same) + 1:02d}"

    def _manifest(
        self,
        checkpoint_id: str,
        step: int,
        files: tuple[CheckpointFile, ...],
        finished: bool,  # noqa: FBT001  private, called once
        weights_sha256: str,
    ) -> CheckpointManifest:
        return CheckpointManifest(
            checkpoint_id=checkpoint_id,
            job_id=self._job_id,
            step=step,
            incarnation=self._incarnation,
            created_at=self._clock.now(),
            files=files,
            finished=finished,
            weights_sha256=weights_sha256,
            torch_version=str(torch.__version__),
            runtime_version=runtime_version(),
        )

    def _prune(self, listing: Listing, keep: str, check_wanted: Callable[[], object]) -> None:
        """Delete checkpoints beyond the newest ones; a failure only leaves more than needed.

        Never one from `keep` on, nor one of a higher incarnation: a VM that was superseded
        a moment ago must not delete what its successor wrote.

        Args:
            listing: what there was before `keep` was written.
            keep: the checkpoint that LATEST names now.
            check_wanted: see `commit`; the checkpoint is safe, so it only ends the pruning.
        """
        kept = [name for name in listing.committed if name < keep][-(KEPT - 1) :]
        for checkpoint_id in listing.all:
            newer = checkpoint_id >= keep or _incarnation_of(checkpoint_id) > self._incarnation
            if newer or checkpoint_id in kept:
                continue
            try:
                check_wanted()
                self._objects.delete(checkpoint_id)
            except (LeaseLostError, CheckpointNotWantedError) as error:
                _log.info("old checkpoints stay for now: %s", error)
                return
            except StorageError as error:
                _log.warning("old checkpoint %s stays for now: %s", checkpoint_id, error)


def _incarnation_of(checkpoint_id: str) -> int:
    """Return the incarnation in `<step>-<incarnation>[-<number>]`, 0 for a foreign name."""
    parts = checkpoint_id.split("-")
    return int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else 0


def _number_of(checkpoint_id: str) -> int:
    """Return the number in `<step>-<incarnation>[-<number>]`, 1 without one."""
    number = checkpoint_id.split("-")[2:]
    return int(number[0]) if number and number[0].isdigit() else 1


def _write_failure(step: int, known: Latest, error: Exception) -> str:
    kept = known.checkpoint_id or "none yet"
    advice = (
        "grant this VM's service account the right to write"
        if isinstance(error, StorageDeniedError)
        else "check the disk's free space and the bucket"
    )
    return (
        f"expected to write the checkpoint of step {step}, found {type(error).__name__}: {error};"
        f" the last committed checkpoint ({kept}) is untouched; {advice}, then start again"
    )


@cache
def runtime_version() -> str:
    """Return the version of this distribution."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

    try:
        return version("smartscheduler")
    except PackageNotFoundError:
        return "unknown (not installed)"
