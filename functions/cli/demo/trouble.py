"""What the demo does to the cloud on purpose, decided from the documents alone. Pure."""

from functions.domain.regions import grid_zone_of
from functions.report.documents import JobDocuments
from functions.report.timeline import planned
from vm_runtime.contract.progress import RunState

_EARLIEST = 0.15
_LATEST = 0.6
"""Shares of all steps between which the VM is preempted: in mid training, in mid interval."""
_PATIENCE = 0.1
"""Share of all steps for which a moment is awaited at which steps will be lost."""


def victim(documents: JobDocuments) -> str | None:
    """Return the VM to preempt without notice now, `None` if the moment is not right.

    It trains, and by its last report steps are not yet in a checkpoint, so that some get lost.
    """
    progress, state = documents.progress, documents.state
    if progress is None or state is None or state.target is None or not documents.ledger:
        return None
    entry = documents.ledger[-1]
    same = progress.incarnation == state.target.incarnation == entry.incarnation
    if not same or progress.state is not RunState.TRAINING or not progress.steps_total:
        return None
    share = progress.steps_done / progress.steps_total
    if not _EARLIEST <= share <= _LATEST:
        return None
    kept = documents.latest.step if documents.latest else 0
    is_good = entry.last_step > kept or share > _EARLIEST + _PATIENCE
    return progress.vm if is_good else None


def stays_in_one_region(documents: JobDocuments) -> bool:
    """Whether the job neither has moved nor will by its plan."""
    used = {grid_zone_of(entry.compute_zone) for entry in documents.ledger}
    return len(used | {stretch.grid_zone for stretch in planned(documents)}) == 1


def region_of_vm(documents: JobDocuments) -> str:
    """Return the region of the newest VM."""
    return documents.ledger[-1].compute_zone.rpartition("-")[0]


def has_left(documents: JobDocuments, region: str) -> bool:
    """Whether the newest VM trains outside `region`."""
    entry = documents.ledger[-1]
    return entry.compute_zone.rpartition("-")[0] != region and entry.last_step > entry.first_step
