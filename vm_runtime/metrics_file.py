"""The curve of a training's metrics in the bucket: one CSV file, continued by each VM.

    step,name,value,incarnation,time
    1,loss,2.31,1,2026-11-26T09:00:00+00:00

A value is written when it changed. However often a training is stopped, killed or moved, no step
is missing and none stands twice: what a VM did after its last checkpoint is dropped once the next
one does it again. Long curves are thinned as a function of the step alone, so that they look the
same as those of a training that was never stopped.
"""

import csv
import io
import logging
import threading
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from vm_runtime.contract import object_names
from vm_runtime.storage.port import BlobNotFoundError, BlobStore, BlobTooLargeError

_log = logging.getLogger(__name__)

COLUMNS = ("step", "name", "value", "incarnation", "time")
POINTS = 4096
"""A metric that changes at each step keeps between half of this and all of it."""


@dataclass(frozen=True, slots=True)
class _Row:
    step: int
    name: str
    value: float
    incarnation: int
    time: str


class MetricsFile:
    """The metrics of a job; only the VM that holds its lease may write them."""

    def __init__(self, store: BlobStore, job_id: str, incarnation: int) -> None:
        """Read and write nothing yet."""
        self._store, self._incarnation = store, incarnation
        self._name = object_names.metrics(job_id)
        self._guard = threading.Lock()
        self._writing = threading.Lock()
        self._rows: list[_Row] = []
        self._generation = 0
        self._seen: dict[str, float] = {}
        self._last_step = 0
        self._is_new = False

    def resume(self, step: int) -> None:
        """Read what earlier VMs wrote, up to the checkpoint's step.

        What is no such file is kept under another name.

        Raises:
            StorageError: the bucket did not answer.
        """
        with self._guard:
            try:
                blob = self._store.read(self._name)
            except BlobNotFoundError:
                return
            except BlobTooLargeError as error:
                _log.warning("the metrics begin anew: %s", error)
                self._generation = self._listed_generation()
                return
            self._generation = blob.generation
            try:
                self._rows = _parse(blob.data)
            except ValueError as error:
                aside = f"{self._name}.{blob.generation}"
                self._store.write(aside, blob.data)
                _log.warning("%s cannot be read, it is kept as %s: %s", self._name, aside, error)
            self._cut(step)
            self._seen = {row.name: row.value for row in self._rows}

    def note(self, step: int, metrics: dict[str, float], now: datetime) -> None:
        """Note what changed; cheap. A step that was noted before is done again from there on."""
        with self._guard:
            if step < self._last_step or (self._rows and step < self._rows[-1].step):
                self._cut(step - 1)
            self._last_step = step
            time = now.isoformat()
            for name, value in metrics.items():
                if self._seen.get(name) != value:
                    self._rows.append(_Row(step, name, value, self._incarnation, time))
                    self._seen[name] = value
                    self._is_new = True
            if step % POINTS == 0:
                self._thin(step)

    def write(self) -> None:
        """Write the file if there is something new.

        Raises:
            PreconditionFailedError: another VM has written since it was read.
            StorageError: the bucket did not answer.
        """
        with self._writing:
            with self._guard:
                if not self._is_new:
                    return
                data, self._is_new = self._render(), False
            try:
                self._generation = self._store.write(
                    self._name, data, if_generation=self._generation
                )
            except BaseException:
                self._is_new = True
                raise

    def look_again(self) -> None:
        """Accept what lies there now as what is to be replaced: the lease is held surely."""
        with self._writing:
            self._generation = self._listed_generation()

    def _listed_generation(self) -> int:
        """Return the file's generation, 0 if there is none; it is not read."""
        found = (info for info in self._store.list(self._name) if info.name == self._name)
        return next((info.generation for info in found), 0)

    def _cut(self, step: int) -> None:
        """Drop what lies after a step."""
        while self._rows and self._rows[-1].step > step:
            self._rows.pop()
            self._is_new = True
        self._seen = {row.name: row.value for row in self._rows}
        self._last_step = min(self._last_step, step)

    def _thin(self, step: int) -> None:
        """Keep of each metric that has too many points those at multiples of a power of two."""
        every = 1 << (step // POINTS).bit_length()
        counts: dict[str, int] = {}
        for row in self._rows:
            counts[row.name] = counts.get(row.name, 0) + 1
        dense = {name for name, count in counts.items() if count > POINTS // 2}
        self._rows = [row for row in self._rows if row.name not in dense or row.step % every == 0]

    def _render(self) -> bytes:
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in self._rows:
            writer.writerow((row.step, row.name, repr(row.value), row.incarnation, row.time))
        return buffer.getvalue().encode()


def _parse(data: bytes) -> list[_Row]:
    """Return the rows.

    Raises:
        ValueError: it is not what `_render` writes.
    """
    reader = csv.reader(io.StringIO(data.decode()))
    header = next(reader, None)
    if header is None or tuple(header) != COLUMNS:
        raise ValueError(f"expected the columns {','.join(COLUMNS)}, found {header}")
    rows = [
        _Row(int(step), name, float(value), int(incarnation), time)
        for step, name, value, incarnation, time in reader
    ]
    if any(after.step < before.step for before, after in pairwise(rows)):
        raise ValueError("expected steps in order, found one that goes back")
    return rows
