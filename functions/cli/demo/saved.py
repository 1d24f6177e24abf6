"""What the demo itself remembers, so that it can go on after Ctrl-C."""

import shutil
from pathlib import Path
from typing import Literal

from functions.errors import InvalidInputError
from vm_runtime.contract.base import Count, Positive, document
from vm_runtime.contract.codec import decode, encode

_FILE = "demo.json"


@document
class DemoState:
    """How far the demo is."""

    history: Path | None
    """Folder of recorded hours; `None`: simulated."""
    seed: int
    """Of the simulated hours."""
    weights_sha256: str
    """Digest of the weights of the uninterrupted run."""
    steps: Count
    """Its optimizer steps."""
    train_s: Positive
    """Its real training time, seconds."""
    regions: tuple[str, ...]
    """Where the job may run."""
    preempted: bool = False
    """Whether a VM was preempted without notice."""
    full_region: str | None = None
    """Region without capacity, made so to force a move; `None`: none."""
    schema_version: Literal[1] = 1
    """Version of this document."""


class DemoFolder:
    """The folder of one demo."""

    def __init__(self, path: Path) -> None:
        """Take where it is."""
        self.path = path.absolute()

    @property
    def cloud(self) -> Path:
        """The embedded cloud with its bucket and logs."""
        return self.path / "cloud"

    @property
    def uninterrupted(self) -> Path:
        """The bucket of the run made for comparison."""
        return self.path / "uninterrupted"

    @property
    def report(self) -> Path:
        """The report."""
        return self.path / "report.html"

    @property
    def is_begun(self) -> bool:
        """Whether there is something to go on with."""
        return (self.path / _FILE).exists()

    def prepare(self) -> None:
        """Make it empty.

        Raises:
            InvalidInputError: it holds something that is not an earlier demo.
        """
        if self.path.exists() and any(self.path.iterdir()):
            if not (self.path / _FILE).exists() and not self.uninterrupted.exists():
                raise InvalidInputError(
                    f"--folder {self.path}: expected no folder, an empty one, or an earlier demo's,"
                    " found other files in it. Choose another folder."
                )
            shutil.rmtree(self.path)
        self.path.mkdir(parents=True, exist_ok=True)

    def load(self) -> DemoState:
        """Return what an earlier demo left.

        Raises:
            InvalidInputError: there is nothing to go on with.
            DocumentError: it is of another version.
        """
        file = self.path / _FILE
        if not self.is_begun:
            raise InvalidInputError(
                f"--resume: expected a demo that was interrupted in {self.path}, found none."
                " Run it without --resume."
            )
        return decode(DemoState, file.read_bytes(), name=str(file))

    def save(self, state: DemoState) -> None:
        """Write it in one piece."""
        part = self.path / f"{_FILE}.part"
        part.write_bytes(encode(state))
        part.replace(self.path / _FILE)
