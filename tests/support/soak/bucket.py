"""The bucket, and how each party sees it: with latency, and with calls that go wrong."""

from collections.abc import Callable, Sequence
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from soak.kernel import START, Machine
from vm_runtime.storage.port import (
    Blob,
    BlobInfo,
    BlobNotFoundError,
    Fill,
    PreconditionFailedError,
)

if TYPE_CHECKING:
    from soak.world import World


class Bucket:
    """Objects with generations, of one counter for all; tells `on_change` of each change."""

    def __init__(self) -> None:
        """Start empty."""
        self.blobs: dict[str, Blob] = {}
        self._infos: dict[str, BlobInfo] = {}
        self.on_change: Callable[[str, Blob | None, Blob | None], None] = lambda *_: None
        self._last_generation = 0

    def read(self, name: str) -> Blob:
        """Return the object."""
        blob = self.blobs.get(name)
        if blob is None:
            raise BlobNotFoundError(f"{name}: expected an object, found none.")
        return blob

    def write(self, name: str, data: bytes, if_generation: int | None) -> int:
        """Write and return the new generation."""
        before = self.blobs.get(name)
        _check(name, before, if_generation)
        self._last_generation += 1
        after = Blob(name=name, data=data, generation=self._last_generation)
        self.blobs[name] = after
        self._infos[name] = BlobInfo(
            name=name, size_bytes=len(data), generation=after.generation, updated_at=START
        )
        self.on_change(name, before, after)
        return self._last_generation

    def delete(self, name: str, if_generation: int | None) -> None:
        """Delete."""
        before = self.read(name)
        _check(name, before, if_generation)
        del self.blobs[name], self._infos[name]
        self.on_change(name, before, None)

    def list(self, prefix: str) -> list[BlobInfo]:
        """Return what starts with `prefix`, sorted."""
        return [self._infos[name] for name in sorted(self._infos) if name.startswith(prefix)]


def _check(name: str, before: Blob | None, if_generation: int | None) -> None:
    found = before.generation if before else 0
    if if_generation is not None and if_generation != found:
        raise PreconditionFailedError(
            f"{name}: expected generation {if_generation}, found {found}."
        )


class BucketView:
    """A `BlobStore`, as one process sees it."""

    url = "memory://"

    def __init__(self, world: "World", machine: Machine, party: str) -> None:
        """See the world's bucket from `machine`."""
        self._world, self._machine, self._party = world, machine, party

    def read(self, name: str) -> Blob:
        """Return the object."""
        return self._call("read", name, lambda: self._world.bucket.read(name))

    def write(self, name: str, data: bytes, *, if_generation: int | None = None) -> int:
        """Write and return the new generation."""
        data = bytes(data)
        return self._call(
            "write", name, lambda: self._world.bucket.write(name, data, if_generation)
        )

    def delete(self, name: str, *, if_generation: int | None = None) -> None:
        """Delete."""
        self._call("delete", name, lambda: self._world.bucket.delete(name, if_generation))

    def list(self, prefix: str) -> list[BlobInfo]:
        """Return what starts with `prefix`, sorted."""
        return self._call("list", prefix, lambda: self._world.bucket.list(prefix))

    def folders(self, prefix: str) -> Sequence[str]:
        """Return the names of the folders right below `prefix`, sorted."""
        infos = self._call("list", prefix, lambda: self._world.bucket.list(prefix))
        rests = [info.name.removeprefix(prefix) for info in infos]
        return sorted({rest.partition("/")[0] for rest in rests if "/" in rest})

    def upload(self, name: str, fill: Fill, *, if_generation: int | None = None) -> None:
        """Write what `fill` writes."""
        content = BytesIO()
        fill(content)
        data = content.getvalue()
        self._call("upload", name, lambda: self._world.bucket.write(name, data, if_generation))

    def download(self, name: str, target: Path) -> None:
        """Write an object's content to `target`."""
        blob = self._call("download", name, lambda: self._world.bucket.read(name))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(blob.data)

    def _call(self, verb: str, name: str, effect: Callable[[], object]) -> object:
        what = f"bucket.{verb} {_short(name)}"
        return self._world.calls.make(self._machine, self._party, what, effect)


@cache
def _short(name: str) -> str:
    """Return an object's name as faults and stories spell it: its last part, told apart."""
    last = name.rpartition("/")[2]
    for folder in ("ledger", "plans"):
        if f"/{folder}/" in name:
            return f"{folder}/{last}"
    return last or name
