"""Each safeguard of the product, taken away: the soak must notice.

`MUTATIONS` maps a name to a context manager inside which the safeguard is gone.
"""
# ruff: noqa: SLF001 - to take a safeguard away one has to reach inside

import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from functions.domain.lifecycle import decide as deciding
from functions.domain.lifecycle import disks, left_over
from functions.domain.lifecycle.actions import AdoptDisk, Owner
from functions.domain.lifecycle.disk import Disk
from functions.domain.lifecycle.observation import Observation
from functions.handlers import perform as performing
from functions.handlers import planning, reconcile, request_ids
from soak.guest import Guest
from vm_runtime.checkpoint import Checkpoints
from vm_runtime.checkpoint_objects import CheckpointObjects
from vm_runtime.contract import object_names
from vm_runtime.contract.codec import encode
from vm_runtime.contract.instance import data_disk_name
from vm_runtime.contract.lease import Lease
from vm_runtime.vm_session import VmSession
from vm_runtime.watchdog import Watchdog


@contextmanager
def _set(*changes: tuple[Any, str, object]) -> Iterator[None]:
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in changes]
    for owner, name, value in changes:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)


def _no_lease_check() -> AbstractContextManager[None]:
    """A VM takes the lease though another holds it."""
    return _set((Lease, "is_held", lambda *_: False))


def _no_check_while_training() -> AbstractContextManager[None]:
    """A VM trains on though its lease has run out or is another's."""
    return _set((VmSession, "check_lease", lambda _: None))


def _no_precondition() -> AbstractContextManager[None]:
    """LATEST is written without its generation."""
    real = Checkpoints._write_latest

    def write(self: Checkpoints, latest: object, generation: int | None) -> None:
        del generation
        real(self, latest, None)

    return _set((Checkpoints, "_write_latest", write))


def _manifest_first() -> AbstractContextManager[None]:
    """The manifest is there before the payload."""
    put, put_manifest = CheckpointObjects.put, CheckpointObjects.put_manifest
    later: dict[int, tuple[Any, ...]] = {}

    def describe(self: CheckpointObjects, checkpoint_id: str, name: str, content: Any) -> Any:  # noqa: ANN401
        class Nowhere:
            def upload(self, _name: str, fill: Any, *, if_generation: int) -> None:  # noqa: ANN401
                del if_generation
                fill(_Sink())

        store, self._store = self._store, Nowhere()
        try:
            file = put(self, checkpoint_id, name, content)
        finally:
            self._store = store
        later[id(self)] = (checkpoint_id, name, content)
        return file

    def manifest_then_payload(self: CheckpointObjects, manifest: Any) -> None:  # noqa: ANN401
        put_manifest(self, manifest)
        put(self, *later.pop(id(self)))

    return _set(
        (CheckpointObjects, "put", describe),
        (CheckpointObjects, "put_manifest", manifest_then_payload),
    )


class _Sink:
    def write(self, data: bytes) -> int:
        return len(data)


def _old_messages() -> AbstractContextManager[None]:
    """A function acts on a message that a newer plan has overtaken."""

    def without_seq(**about: Any) -> object:  # noqa: ANN401
        return real(**{**about, "seq": None})

    real = reconcile._Look
    return _set((reconcile, "_Look", without_seq))


def _old_plans() -> AbstractContextManager[None]:
    """A late tick puts its older plan in force."""

    def put_in_force(documents: Any, plan: Any) -> int:  # noqa: ANN401
        name = object_names.state(plan.job_id)
        found = documents.find(planning.JobState, name)
        state = replace(found.document, plan_id=plan.plan_id, seq=found.document.seq + 1)
        documents.write(name, state, if_generation=found.generation)
        return state.seq

    return _set((planning, "_put_in_force", put_in_force))


def _delete_before_create() -> AbstractContextManager[None]:
    """The source of a move is deleted as soon as it is down."""
    return _set((deciding, "_successor_runs", lambda *_: True))


def _new_request_ids() -> AbstractContextManager[None]:
    """Each call has a request id of its own."""
    return _set((request_ids, "uuid5", lambda *_: uuid.uuid4()))


def _no_timer() -> AbstractContextManager[None]:
    """Neither watchdog nor guest's timer end a VM whose script hangs."""
    return _set(
        (Guest, "_power_off_when_over", lambda _: None), (Watchdog, "start", lambda _: None)
    )


def _no_forced_stop() -> AbstractContextManager[None]:
    """The control plane never powers a VM off by force."""
    return _set((deciding, "_end_what_burns_on", lambda _: None))


def _no_longest_run() -> AbstractContextManager[None]:
    """Compute Engine's bound is months away."""
    return _set((performing, "RUN_MARGIN", timedelta(days=90)))


def _no_swap_of_state() -> AbstractContextManager[None]:
    """The state is written without compare-and-swap."""

    def save(ports: Any, sighting: Any, state: Any) -> bool:  # noqa: ANN401
        del sighting
        ports.store.write(object_names.state(state.job_id), encode(state))
        return True

    return _set((performing, "_save", save))


def _source_disk_first() -> AbstractContextManager[None]:
    """The source of a data disk's move is deleted before its snapshot is ready."""
    real = left_over._why_not

    def why_not(seen: Observation, disk: Disk) -> str:
        known = seen.state.disk
        is_source = known is not None and disk.name == data_disk_name(disk.job_id, known.number)
        if is_source and seen.state.disk_move is not None:
            return "it is being copied"
        return real(seen, disk)

    return _set((left_over, "_why_not", why_not))


def _unverified_copy() -> AbstractContextManager[None]:
    """A copy of a data disk is taken for the truth as soon as it is listed."""
    return _set((disks, "_verify", lambda *_: AdoptDisk(owner=Owner.MOVE_VM, reason="it is there")))


MUTATIONS: dict[str, Callable[[], AbstractContextManager[None]]] = {
    "lease check": _no_lease_check,
    "lease check while training": _no_check_while_training,
    "generation precondition": _no_precondition,
    "manifest last": _manifest_first,
    "seq check of messages": _old_messages,
    "seq check of plans": _old_plans,
    "create before delete": _delete_before_create,
    "source disk until the copy": _source_disk_first,
    "verified copy of the disk": _unverified_copy,
    "request ids": _new_request_ids,
    "guest's timer": _no_timer,
    "forced stop": _no_forced_stop,
    "max_run_duration": _no_longest_run,
    "compare-and-swap of the state": _no_swap_of_state,
}
"""By name."""
