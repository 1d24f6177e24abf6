"""The curve of the metrics: no step missing, none twice, however often a training is killed."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from manual_clock import START, ManualClock
from memory_blobs import MemoryBlobStore
from session_parts import OutageStore, Parts
from tiny_training import Average, tiny_trainer

from vm_runtime.contract import object_names
from vm_runtime.contract.checkpoint import Latest
from vm_runtime.contract.codec import decode, encode
from vm_runtime.metrics_file import COLUMNS, POINTS, MetricsFile
from vm_runtime.metrics_writer import MetricsWriter
from vm_runtime.session import enter_session
from vm_runtime.storage.port import BlobStore, PreconditionFailedError
from vm_runtime.trainer import Callback

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


def test_what_was_lost_does_not_wait_for_the_same_step_to_vanish() -> None:
    """A loop that reports now and then only: steps of a dead VM do not stand among its own."""
    store = MemoryBlobStore()
    file = MetricsFile(store, JOB, 1)
    train(file, 1, 20)
    file.write()
    later = MetricsFile(store, JOB, 2)
    later.resume(10)
    later.note(25, loss_of(25), START)
    later.write()
    steps = [step for step, name, _ in rows_of(store) if name == "loss"]
    assert steps == [*range(1, 11), 25]


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
    MetricsWriter(holder, ManualClock(), is_held=lambda: True).save()
    assert rows_of(store) == straight(5)
    train(stale, 10, 12)
    MetricsWriter(stale, ManualClock(), is_held=lambda: False).save()
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
    successor = Parts(parts.store, incarnation=2)
    latest = Latest(
        checkpoint_id="0000000002-000001",
        step=2,
        incarnation=1,
        updated_at=parts.session.clock.now(),
        finished=False,
    )
    parts.store.write(object_names.latest(JOB), encode(latest))
    successor.session.start()
    successor.session.begin()
    successor.session.report(
        steps_done=3, steps_total=3, seconds_per_step=None, metrics={"loss": 0.25}, committed_step=3
    )
    successor.session.end(finished=True, stopped_because=None)
    assert rows_of(parts.store) == [(1, "loss", 0.5), (3, "loss", 0.25)]
    parts.store.delete(NAME)
    assert not parts.lease.held_surely(parts.session.clock.now())
    parts.session.save_metrics()
    assert not parts.store.list(NAME)


class Bomb(Callback):
    """Breaks the training after a step."""

    def __init__(self, step: int | None) -> None:
        """Take the step, `None`: never."""
        self.step = step

    def on_step_end(self, step: int) -> None:
        """Break."""
        if step == self.step:
            raise RuntimeError("out of luck")


def train_for_real(store: OutageStore, incarnation: int, *, breaks_at: int | None) -> None:
    """Train in a session of its own; a break is reported as `run_script` does."""
    parts = Parts(store, incarnation=incarnation)
    parts.session.start()
    enter_session(parts.session)
    try:
        tiny_trainer(callbacks=[Average(), Bomb(breaks_at)]).fit()
    except RuntimeError as error:
        parts.session.fail(str(error))
    finally:
        enter_session(None)


def test_a_training_that_crashed_between_checkpoints_has_the_curve_of_a_straight_one() -> None:
    """With the real trainer: the steps after its last checkpoint are done again, and stand once."""
    whole, broken = OutageStore(), OutageStore()
    train_for_real(whole, 1, breaks_at=None)
    train_for_real(broken, 1, breaks_at=6)
    assert [step for step, name, _ in rows_of(broken) if name == "loss"][-1] >= 5
    train_for_real(broken, 2, breaks_at=None)
    assert rows_of(broken) == rows_of(whole)
    data = broken.read(NAME).data.decode()
    incarnations = [row["incarnation"] for row in csv.DictReader(io.StringIO(data))]
    assert incarnations == sorted(incarnations)
    assert set(incarnations) == {"1", "2"}
    steps = [step for step, name, _ in rows_of(broken) if name == "loss"]
    assert steps == [*range(1, 9)]


class Witness(OutageStore):
    """Notes how far the curve reached whenever a checkpoint became the latest one."""

    def __init__(self) -> None:
        """Have seen nothing."""
        super().__init__()
        self.seen: list[tuple[int, int]] = []

    def write(self, name: str, data: bytes, *, if_generation: int | None = None) -> int:
        """Write, and look at LATEST."""
        if name == object_names.latest(JOB):
            curve = [step for step, *_ in rows_of(self)] if self.list(NAME) else [0]
            self.seen.append((decode(Latest, data, name=name).step, max(curve, default=0)))
        return super().write(name, data, if_generation=if_generation)


def test_the_curve_is_safe_before_the_checkpoint_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A VM that dies right after a commit leaves no gap: the next one goes on behind it."""
    monkeypatch.setattr("vm_runtime.metrics_writer.METRICS_PERIOD_S", 1e12)
    store = Witness()
    train_for_real(store, 1, breaks_at=None)
    commits = [(step, reached) for step, reached in store.seen if step]
    assert len(commits) >= 2
    assert all(reached >= step for step, reached in commits)
