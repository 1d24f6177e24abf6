"""Managed disks and snapshots, listed when first asked for: most jobs have none to look at."""

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from functions.domain.lifecycle.disk import Disk, Snapshot
from functions.ports import DiskFleet

T = TypeVar("T", Disk, Snapshot)


class DiskStock:
    """What one look at all jobs sees of disks and snapshots: two calls, however many jobs.

    It must be listed before a job's state is read: a state that is newer than the list is
    harmless, an older one might not know yet whose a disk is. Safe in threads.
    """

    def __init__(self, fleet: DiskFleet) -> None:
        """List nothing yet."""
        self._fleet = fleet
        self._lock = threading.Lock()
        self._disks: Mapping[str, Sequence[Disk]] = {}
        self._snapshots: Mapping[str, Sequence[Snapshot]] = {}
        self._is_listed = False

    def look(self) -> None:
        """List all of them, unless that is done.

        Raises:
            UnavailableError: no answer.
            PermissionDeniedError: a right is missing.
        """
        with self._lock:
            if not self._is_listed:
                disks, snapshots = self._fleet.disks(), self._fleet.snapshots()
                self._disks, self._snapshots = _by_job(disks), _by_job(snapshots)
                self._is_listed = True

    def forget(self) -> None:
        """List them anew when next asked for; what was listed stays for those who look at it."""
        with self._lock:
            self._is_listed = False

    def disks_of(self, job_id: str) -> Sequence[Disk]:
        """Return the job's disks among those listed."""
        return self._disks.get(job_id, ())

    def snapshots_of(self, job_id: str) -> Sequence[Snapshot]:
        """Return the job's snapshots among those listed."""
        return self._snapshots.get(job_id, ())

    def job_ids(self) -> set[str]:
        """Return the jobs to which something of it belongs."""
        return {*self._disks, *self._snapshots}


def _by_job(things: Iterable[T]) -> Mapping[str, Sequence[T]]:
    found: defaultdict[str, list[T]] = defaultdict(list)
    for thing in things:
        found[thing.job_id].append(thing)
    return found
