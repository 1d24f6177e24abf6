"""Killed at any operation on the store, a training resumes exactly and nothing is ever torn."""

import hashlib
from functools import cache
from typing import Any

import pytest
from fake_session import JOB, FakeSession, FaultyStore, KilledError
from memory_blobs import MemoryBlobStore
from tiny_training import differences, final_state, fit, latest, manifests, run_to_end, tiny_trainer

from vm_runtime.contract import object_names

SETTINGS: dict[str, Any] = {"epochs": 1, "checkpoint_every_s": 2.0}


@cache
def straight() -> tuple[dict[str, Any], int]:
    """Return the final state of a run that is never killed, and its operations on the store."""
    store = FaultyStore(MemoryBlobStore(), fails=lambda *_: None)
    assert fit(tiny_trainer(**SETTINGS), FakeSession(store)).finished
    return final_state(store.inner), len(store.operations)


def check_whole(store: MemoryBlobStore) -> None:
    """Every manifest has its whole payload, and LATEST names one of them."""
    found = manifests(store)
    for manifest in found:
        folder = object_names.checkpoint_folder(JOB.job_id, manifest.checkpoint_id)
        for file in manifest.files:
            data = store.read(folder + file.name).data
            assert hashlib.sha256(data).hexdigest() == file.sha256
    names = {info.name for info in store.list("jobs/")}
    if object_names.latest(JOB.job_id) in names and latest(store).checkpoint_id is not None:
        assert latest(store).checkpoint_id in {manifest.checkpoint_id for manifest in found}


@pytest.mark.parametrize("lands", [False, True], ids=["before it", "after it"])
def test_a_kill_at_any_operation_tears_nothing_and_changes_no_bit(
    lands: bool,  # noqa: FBT001  parameter
) -> None:
    """For each operation: killed there, all committed is whole, and the end is the same."""
    expected, operations = straight()
    for fatal in range(operations):
        inner = MemoryBlobStore()
        faulty = FaultyStore(
            inner,
            fails=lambda number, *_, at=fatal: KilledError() if number == at else None,
            lands=lands,
        )
        with pytest.raises(KilledError):
            fit(tiny_trainer(**SETTINGS), FakeSession(faulty))
        check_whole(inner)

        # The successor begins from other first weights only if there is something to restore.
        names = {info.name for info in inner.list("jobs/")}
        name = object_names.latest(JOB.job_id)
        started = name in names and latest(inner).checkpoint_id is not None
        changes = {**SETTINGS, "init": 5} if started else SETTINGS
        assert fit(tiny_trainer(**changes), FakeSession(inner, incarnation=2)).finished
        check_whole(inner)
        assert differences(expected, final_state(inner)) == []


def test_a_damaged_checkpoint_costs_time_but_no_bit(caplog: pytest.LogCaptureFixture) -> None:
    """Resumed from the one before, training ends with the same bits."""
    store = MemoryBlobStore()
    session = FakeSession(store, stop_at_look=9)
    fit(tiny_trainer(checkpoint_every_s=2.0), session)
    pointer = latest(store)
    assert pointer.checkpoint_id is not None
    name = object_names.checkpoint_folder(JOB.job_id, pointer.checkpoint_id) + "state.pt"
    store.write(name, store.read(name).data[:-7])
    run_to_end(store, first_incarnation=2)
    undisturbed = MemoryBlobStore()
    run_to_end(undisturbed)

    assert "not intact" in caplog.text
    assert differences(final_state(undisturbed), final_state(store)) == []
