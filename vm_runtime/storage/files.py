"""The bucket as a plain folder: one file per object, so that a person can look at it.

Compare-and-swap holds across threads and processes of one machine (Linux, macOS).
"""

import errno
import fcntl
import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from vm_runtime.storage.names import RESERVED, split_name
from vm_runtime.storage.port import (
    LARGEST_READ_BYTES,
    Blob,
    BlobInfo,
    BlobNotFoundError,
    BlobTooLargeError,
    Fill,
    PreconditionFailedError,
    StorageDeniedError,
    StorageError,
    StorageUnavailableError,
)

_PUBLISH_ATTEMPTS = 20
_LOCK_LOOK_S = 0.001
_YOUNG_S = 10.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR)


class FileBlobStore:
    """A `BlobStore` on a folder of this machine.

    An object's generation is its file's modification time in nanoseconds. It is set on the
    temporary file before the rename, so content and generation change in ONE atomic rename:
    were the generation kept in a second file, a crash between two renames would leave new
    content under an old generation, and the next compare-and-swap would lose a write.
    """

    def __init__(
        self,
        folder: Path,
        *,
        now_ns: Callable[[], int] = time.time_ns,
        lock_patience_s: float = 30.0,
    ) -> None:
        """Take `folder`, which is created at the first write.

        Args:
            folder: where the objects lie.
            now_ns: Unix time, nanoseconds; it may step back, generations never do.
            lock_patience_s: how long to wait while another writes the same object, real seconds.
        """
        self._lock_patience_s = lock_patience_s
        self._folder = folder.absolute()
        self._now_ns = now_ns
        self._has_looked_for_leftovers = False

    @property
    def url(self) -> str:
        """`file:///FOLDER`."""
        return self._folder.as_uri()

    def read(self, name: str) -> Blob:
        """Return the object; raises `BlobNotFoundError`, `BlobTooLargeError`."""
        with _mapped(name), self._path(name).open("rb") as file:
            # A write replaces the inode, so what is open keeps its content and its generation.
            status = os.fstat(file.fileno())
            if status.st_size > LARGEST_READ_BYTES:
                raise BlobTooLargeError(name)
            return Blob(name=name, data=file.read(), generation=status.st_mtime_ns)

    def write(self, name: str, data: bytes, *, if_generation: int | None = None) -> int:
        """Write atomically and return the new generation; raises `PreconditionFailedError`."""
        return self._put(name, lambda file: _write_all(file, data), if_generation)

    def delete(self, name: str, *, if_generation: int | None = None) -> None:
        """Delete; raises `BlobNotFoundError`, `PreconditionFailedError`."""
        path = self._path(name)
        with _mapped(name), self._locked(name) as lock:
            found = _generation(path)
            if found == 0:
                raise BlobNotFoundError(f"{name}: expected an object to delete, found none.")
            _check(name, if_generation, found)
            # The lock file outlives the object and remembers the generations that were used up.
            os.utime(lock, ns=(found, max(found, lock.stat().st_mtime_ns)))
            path.unlink()
            self._drop_empty_parents(path)

    def list(self, prefix: str) -> list[BlobInfo]:
        """Return all objects whose names start with `prefix`, sorted by name."""
        parent = prefix.rpartition("/")[0]
        top = self._path(parent) if parent else self._folder
        with _mapped(prefix):
            found = [info for path in _files_below(top) if (info := self._info(path))]
        return sorted(
            (info for info in found if info.name.startswith(prefix)), key=lambda info: info.name
        )

    def folders(self, prefix: str) -> Sequence[str]:
        """Return the folders right below `prefix`, itself one or empty, sorted."""
        top = self._path(prefix.rstrip("/")) if prefix else self._folder
        with _mapped(prefix):
            try:
                found = [entry.name for entry in os.scandir(top) if entry.is_dir()]
            except FileNotFoundError:
                return []
        return sorted(name for name in found if name != RESERVED)

    def upload(self, name: str, fill: Fill, *, if_generation: int | None = None) -> None:
        """Write what `fill` writes, piece by piece; raises `PreconditionFailedError`."""
        if not self._has_looked_for_leftovers:
            self._has_looked_for_leftovers = True
            with _mapped(name):
                self._clear_leftovers()
        self._put(name, fill, if_generation)

    def download(self, name: str, target: Path) -> None:
        """Write an object's content to `target`; raises `BlobNotFoundError`."""
        with _mapped(name), self._path(name).open("rb") as content:
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(f"{target.name}.part")
            with part.open("wb") as file:
                shutil.copyfileobj(content, file)
            part.replace(target)

    def _put(self, name: str, fill: Fill, if_generation: int | None) -> int:
        path = self._path(name)
        with _mapped(name):
            # Who is late already need not wait for the lock: generations never come back.
            _check(name, if_generation, _generation(path))
        with _mapped(name), self._part() as (part, file):
            fill(file)
            file.flush()
            # Before the rename: a power cut must not leave the name on an empty file.
            os.fsync(file.fileno())
            # The lock is held for microseconds: a process that is stopped blocks nobody.
            with self._locked(name) as lock:
                found = _generation(path)
                _check(name, if_generation, found)
                generation = max(self._now_ns(), found + 1, lock.stat().st_mtime_ns + 1)
                os.utime(file.fileno(), ns=(generation, generation))
                _check_resolution(self._folder, generation, os.fstat(file.fileno()).st_mtime_ns)
                _publish(part, path)
                return generation

    @contextmanager
    def _part(self) -> Iterator[tuple[Path, BinaryIO]]:
        """Give a file to be filled; its lock says that its writer lives."""
        part = self._folder / RESERVED / f"{uuid.uuid4().hex}.part"
        part.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("wb") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield part, file
        finally:
            part.unlink(missing_ok=True)  # on a full disk it would keep it full

    def _clear_leftovers(self) -> None:
        """Delete what killed writers left half written: it may be large, and has no other end."""
        for part in (self._folder / RESERVED).glob("*.part"):
            with suppress(FileNotFoundError), part.open("rb") as file:
                if time.time() - os.fstat(file.fileno()).st_mtime < _YOUNG_S:
                    continue  # perhaps not locked yet
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:  # its writer lives
                    continue
                part.unlink()

    def _path(self, name: str) -> Path:
        return self._folder.joinpath(*split_name(name))

    @contextmanager
    def _locked(self, name: str) -> Iterator[Path]:
        """Hold the object's lock, which is never removed: a fresh inode would be another lock."""
        path = self._folder / RESERVED / f"{hashlib.sha256(name.encode()).hexdigest()}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            _lock(file, name, self._lock_patience_s)
            try:
                yield path
            finally:
                # Closing is not enough: a data-loader worker forked meanwhile shares the open
                # file and would keep the lock for as long as it lives.
                fcntl.flock(file, fcntl.LOCK_UN)

    def _info(self, path: Path) -> BlobInfo | None:
        relative = path.relative_to(self._folder)
        if relative.parts[0] == RESERVED:
            return None
        try:
            stat = path.stat()
        except FileNotFoundError:  # deleted since the folder was listed
            return None
        return BlobInfo(
            name=relative.as_posix(),
            size_bytes=stat.st_size,
            generation=stat.st_mtime_ns,
            updated_at=_EPOCH + timedelta(microseconds=stat.st_mtime_ns // 1000),
        )

    def _drop_empty_parents(self, path: Path) -> None:
        with suppress(OSError):  # not empty, or somebody else was faster: both are fine
            for parent in path.parents:
                if parent == self._folder:
                    return
                parent.rmdir()


def _lock(file: BinaryIO, name: str, patience_s: float) -> None:
    """Lock; who holds it goes on within milliseconds, unless its process was stopped (Ctrl-Z)."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise StorageUnavailableError(
                    f"{name}: expected its lock within {patience_s:g} s, found that another"
                    " process holds it and does not go on. Is one stopped (Ctrl-Z)? Let it go on"
                    " (`fg`), or end it."
                ) from error
            time.sleep(_LOCK_LOOK_S)
        else:
            return


def _write_all(file: BinaryIO, data: bytes) -> None:
    file.write(data)


def _generation(path: Path) -> int:
    """Return the object's generation, 0 if there is none."""
    try:
        return 0 if path.is_dir() else path.stat().st_mtime_ns
    except (FileNotFoundError, NotADirectoryError):
        return 0


def _check(name: str, expected: int | None, found: int) -> None:
    if expected is None or expected == found:
        return
    raise PreconditionFailedError(
        f"{name}: expected generation {expected}, found {found}."
        " Somebody else wrote first: read it again and decide anew."
    )


def _check_resolution(folder: Path, wanted_ns: int, kept_ns: int) -> None:
    if wanted_ns == kept_ns:
        return
    raise StorageError(
        f"{folder}: expected a file system that keeps times to the nanosecond, found"
        f" {kept_ns} where {wanted_ns} was set. Use a folder on a local disk (ext4, xfs, apfs)."
    )


def _publish(temporary: Path, path: Path) -> None:
    """Rename into place; a delete may remove the empty folder just made, hence more than once."""
    for attempt in range(_PUBLISH_ATTEMPTS):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.replace(path)
        except FileNotFoundError:
            if attempt + 1 == _PUBLISH_ATTEMPTS:
                raise
        except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
            raise StorageError(
                f"{path}: expected a name that is no folder of other objects and has no object"
                f" as its folder, found: {error}. Files cannot hold both; use another name."
            ) from error
        else:
            return


def _files_below(top: Path) -> Iterator[Path]:
    """Yield all files below `top`, none if it is not there."""
    for folder, folders, files in os.walk(top):
        if RESERVED in folders:
            folders.remove(RESERVED)
        yield from (Path(folder, file) for file in files)


@contextmanager
def _mapped(name: str) -> Iterator[None]:
    """Turn the operating system's errors into the port's."""
    try:
        yield
    except PermissionError as error:
        raise StorageDeniedError(
            f"{name}: expected to be allowed to, found: {error}. Grant this user the right."
        ) from error
    except OSError as error:
        if error.errno in _ABSENT:
            raise BlobNotFoundError(f"{name}: expected an object, found none ({error}).") from error
        if error.errno == errno.ENAMETOOLONG:
            raise StorageError(f"{name}: expected a shorter name, found: {error}.") from error
        raise StorageUnavailableError(
            f"{name}: expected the folder to answer, found: {error}. See to the disk."
        ) from error
