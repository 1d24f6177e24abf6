"""The folder of one local training: its bucket, what is known beyond that, and who holds it."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import Field

from functions.cli.local.wanted import Wanted
from functions.errors import InvalidInputError
from functions.local.vm_states import OperationRecord, VmRecord
from vm_runtime.contract.base import Utc, document
from vm_runtime.contract.codec import decode, encode

NAME = ".smartscheduler"
_FILE, _LOCK = "local.json", "lock"


@document
class Saved:
    """Content of `local.json`."""

    wanted: Wanted
    """What is trained."""
    saved_at: Utc
    """Time on its clock."""
    vms: tuple[VmRecord, ...] = ()
    """The process that trains, as a VM."""
    operations: tuple[OperationRecord, ...] = ()
    """How it was made."""
    requests: dict[str, str] = Field(default_factory=dict)
    """Operation by request id."""
    schema_version: Literal[1] = 1
    """Version of this document."""


class Folder:
    """Where one training lives."""

    def __init__(self, path: Path) -> None:
        """Take where it is; it need not exist."""
        self.path = path.absolute()

    @property
    def bucket(self) -> Path:
        """Job, plans, checkpoints, ledger, receipt: as in the cloud."""
        return self.path / "bucket"

    @property
    def report(self) -> Path:
        """The report."""
        return self.path / "report.html"

    @property
    def log(self) -> Path:
        """What the control plane decided, and why."""
        return self.path / "local.log"

    @property
    def vms(self) -> Path:
        """The output of each stay."""
        return self.path / "output"

    def load(self) -> Saved | None:
        """Return what an earlier run left, `None` if there was none.

        Raises:
            DocumentError: it is of another version or was changed by hand.
        """
        file = self.path / _FILE
        return decode(Saved, file.read_bytes(), name=str(file)) if file.exists() else None

    def save(self, saved: Saved) -> None:
        """Write it in one piece: after a power failure it is the old one or the new one."""
        part = self.path / f"{_FILE}.part"
        with part.open("wb") as file:
            file.write(encode(saved))
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.path / _FILE)

    def set_aside(self) -> Path | None:
        """Move what is there out of the way, so that nothing is lost; return where to."""
        if not self.path.exists():
            return None
        target = self.path.with_name(f"{self.path.name}-{datetime.now(UTC):%Y%m%dT%H%M%S%f}")
        self.path.rename(target)
        return target

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder: nobody else trains in it meanwhile. It ends with this process.

        Raises:
            InvalidInputError: another process holds it; the message says which.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / _LOCK).open("a+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                file.seek(0)
                holder = file.read().strip() or "another process"
                raise InvalidInputError(
                    f"{self.path}: expected a folder that nobody uses, found it held by {holder}."
                    " Wait for it, stop it (Ctrl-C there), or give another --dir."
                ) from error
            file.seek(0)
            file.truncate()
            since = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
            file.write(f"process {os.getpid()} on {socket.gethostname()} since {since}\n")
            file.flush()
            os.set_inheritable(file.fileno(), False)  # noqa: FBT003 - as it is called
            yield
