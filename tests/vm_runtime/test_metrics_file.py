"""The curve of the metrics: no step missing, none twice, however often a training is killed."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from manual_clock import START
from memory_blobs import MemoryBlobStore
from session_parts import OutageStore, Parts

from vm_runtime.contract import object_names
from vm_runtime.metrics_file import COLUMNS, POINTS, MetricsFile, write_when_held
from vm_runtime.storage.port import BlobStore, PreconditionFailedError

JOB = "a"
NAME = object_names.metrics(JOB)


def loss_of(step: int) -> dict[str, float]:
    """Return what a training reports after a step: a loss each time, a validation now and then."""
    return (
        {"loss": 1.0 / step, "val_loss": 2.0 / (step - step % 7)}
        if step >= 7
        else {"loss": 1.0 / step}
    )


def rows_of(store: BlobStore) -> list[tuple[int, str, float]]:
    """Return step, name and value of each row."""
    rows = csv.DictReader(io.StringIO(store.read(NAME).data.decode()))
    return [(int(row["step"]), row["name"], float(row["value"])) for row in rows]


def train(file: MetricsFile, first: int, last: int) -> None:
    """Report the steps from `first` to `last`."""
    for step in range(first, last + 1):
        file.note(step, loss_of(step), START)


def straight(steps: int) -> list[tuple[int, str, float]]:
    """Return the rows of a training that was never stopped."""
    store = MemoryBlobStore()
    file = MetricsFile(store, JOB, 1)
    train(file, 1, steps)
    file.write()
    return rows_of(store)


@settings(max_examples=40)
@given(
    stays=st.lists(st.tuples(st.integers(1, 30), st.integers(0, 30), st.booleans()), max_size=8),
    last=st.integers(1, 40),
)
def test_any_number_of_crashes_leaves_the_curve_of_a_straight_run(
    stays: list[tuple[int, int, bool]], last: int
) -> None:
    """Steps lost after a checkpoint are dropped and done again; those before it are all there."""
    store = MemoryBlobStore()
    committed = 0
    for incarnation, (to_checkpoint, beyond, is_written) in enumerate(stays, start=1):
        file = MetricsFile(store, JOB, incarnation)
        file.resume(committed)
        train(file, committed + 1, committed + to_checkpoint)
        file.write()  # what `save_metrics` does before the commit
        committed += to_checkpoint
        train(file, committed + 1, committed + beyond)
        if is_written:
            file.write()
    file = MetricsFile(store, JOB, len(stays) + 1)
    file.resume(committed)
    train(file, committed + 1, committed + last)
    file.write()
    assert rows_of(store) == straight(committed + last)


def test_a_step_that_goes_back_within_a_run_is_done_again() -> None:
    """A torn checkpoint makes the training resume before what LATEST names."""
    store = MemoryBlobStore()
    file = MetricsFile(store, JOB, 1)
    train(file, 1, 20)
    file.write()
    later = MetricsFile(store, JOB, 2)
    later.resume(20)
    train(later, 13, 25)
    later.write()
    assert rows_of(store) == straight(25)


def test_a_long_curve_is_thinned_alike_by_all() -> None:
    """A million steps stay a small file, the same whether stopped in between or not."""
    steps = 3 * POINTS + 100
    whole = straight(steps)
    store = MemoryBlobStore()
    file = MetricsFile(store, JOB, 1)
    train(file, 1, 2 * POINTS + 5)
    file.write()
    later = MetricsFile(store, JOB, 2)
    later.resume(POINTS + 77)
    train(later, POINTS + 78, steps)
    later.write()
    assert rows_of(store) == whole
    losses = [row for row in whole if row[1] == "loss"]
    assert POINTS / 2 < len(losses) < 1.5 * POINTS
    validations = [row for row in whole if row[1] == "val_loss"]
    assert len(validations) == steps // 7


def test_each_row_tells_who_and_when() -> None:
    """The file is what a spreadsheet and pandas read."""
    store = MemoryBlobStore()
    file = MetricsFile(store, JOB, 3)
    file.note(1, {"loss": 0.5}, START)
    file.write()
    lines = store.read(NAME).data.decode().splitlines()
    assert lines == [",".join(COLUMNS), f"1,loss,0.5,3,{START.isoformat()}"]
    file.write()
    assert store.read(NAME).generation == 1


def test_what_is_no_such_file_is_kept_aside(caplog: pytest.LogCaptureFixture) -> None:
    """A file that a person wrote there is not overwritten but moved."""
    store = MemoryBlobStore()
    store.write(NAME, b"my,own,table\n1,2,3\n")
    file = MetricsFile(store, JOB, 1)
    file.resume(0)
    train(file, 1, 3)
    file.write()
    assert store.read(f"{NAME}.1").data == b"my,own,table\n1,2,3\n"
    assert rows_of(store) == straight(3)
    assert "expected the columns" in caplog.text


def test_a_stale_vm_cannot_write_but_the_holder_can() -> None:
    """A VM that slept overrules nobody; who holds the lease overrules what it wrote."""
    store = MemoryBlobStore()
    stale = MetricsFile(store, JOB, 1)
    train(stale, 1, 5)
    stale.write()
    holder = MetricsFile(store, JOB, 2)
    holder.resume(3)
    train(stale, 6, 9)
    stale.write()
    train(holder, 4, 5)
    with pytest.raises(PreconditionFailedError):
        holder.write()
    write_when_held(holder, is_held=True)
    assert rows_of(store) == straight(5)
    train(stale, 10, 12)
    write_when_held(stale, is_held=False)
    with pytest.raises(PreconditionFailedError):
        stale.write()
    assert rows_of(store) == straight(5)


def test_a_failed_write_is_made_up_for() -> None:
    """What could not be written is written the next time."""
    store = OutageStore()
    file = MetricsFile(store, JOB, 1)
    train(file, 1, 4)
    store.refuses = lambda name: name == NAME
    with pytest.raises(Exception, match="scripted outage"):
        file.write()
    store.refuses = lambda _: False
    file.write()
    assert rows_of(store) == straight(4)


def test_a_session_writes_the_metrics_of_its_job() -> None:
    """They are there at the end at the latest, and before a checkpoint when asked for."""
    parts = Parts()
    parts.session.start()
    parts.session.begin()
    parts.session.report(
        steps_done=1,
        steps_total=2,
        seconds_per_step=None,
        metrics={"loss": 0.5, "broken": float("nan")},
        committed_step=0,
    )
    parts.session.save_metrics()
    assert rows_of(parts.store) == [(1, "loss", 0.5)]
    parts.report(2, 2)
    parts.session.end(finished=True, stopped_because=None)
    assert rows_of(parts.store) == [(1, "loss", 0.5)]
    parts.store.delete(NAME)
    assert not parts.lease.held_surely(parts.session.clock.now())
    parts.session.save_metrics()
    assert not parts.store.list(NAME)
