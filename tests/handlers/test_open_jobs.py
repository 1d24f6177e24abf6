"""Finished jobs cost no look; what is reopened is not lost; nor is what time was too short for."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from control_plane import World
from memory_blobs import MemoryBlobStore
from sample_jobs import SHORT, job, steps_of
from simulated_clock import START

from functions.domain.lifecycle.actions import Owner
from functions.domain.lifecycle.state import JobState, Phase
from functions.domain.lifecycle.timing import Timing
from functions.errors import TransientError
from functions.handlers.documents import Documents
from functions.handlers.open_jobs import OpenJob, close_if_settled, open_job, open_jobs
from functions.handlers.reconcile import reconcile
from functions.handlers.tick import tick
from functions.ports import Pace, Ports
from functions.wire import WakeUp, WakeUpKind
from vm_runtime.contract import object_names
from vm_runtime.storage.port import Blob

HEARTBEAT = WakeUp(kind=WakeUpKind.HEARTBEAT)
NAME = object_names.state("digits")
LATER = timedelta(days=5)
"""After it nobody waits for a publisher any more."""


class Counting(MemoryBlobStore):
    """Counts what is read, by job."""

    def __init__(self) -> None:
        """Nothing yet."""
        super().__init__()
        self.reads: Counter[str] = Counter()

    def read(self, name: str) -> Blob:
        """Count and read."""
        if name.startswith(object_names.JOBS):
            self.reads[name.split("/")[1]] += 1
        return super().read(name)


def opened(store: MemoryBlobStore) -> list[str]:
    """Return the ids of the open jobs."""
    return [each.job_id for each in open_jobs(Documents(store))]


def settled_store() -> tuple[MemoryBlobStore, OpenJob]:
    """Return a bucket with a job that is settled and still marked as open."""
    store = MemoryBlobStore()
    documents = Documents(store)
    open_job(documents, "digits")
    documents.create(NAME, JobState(job_id="digits", phase=Phase.FINISHED, settled=True))
    (mark,) = open_jobs(documents)
    return store, mark


def reopen(store: MemoryBlobStore, *, seen: int) -> None:
    """Put the job back to work, as whoever retries it does: mark, then compare-and-swap."""
    documents = Documents(store)
    open_job(documents, "digits")
    documents.write(NAME, JobState(job_id="digits"), if_generation=seen)


def test_a_finished_job_costs_no_look_once_it_is_settled() -> None:
    """Neither tick nor heartbeat reads one object of it; the job that runs is still seen."""
    world = World()
    world.store = store = Counting()
    world.submit(job(**SHORT), steps_of(job(**SHORT)))
    world.run(world.is_over, at_most_h=20)
    assert opened(store) == ["digits"]
    world.clock.advance(LATER.total_seconds())
    tick(world.ports, Timing())
    assert world.state("digits").settled
    assert opened(store) == []
    now = world.clock.now()
    world.submit(job("second", submitted_at=now, deadline=now + timedelta(hours=8)), 10)
    store.reads.clear()

    world.clock.advance(3600)
    tick(world.ports, Timing())
    for owner in Owner:
        reconcile(world.ports, Timing(), owner, HEARTBEAT)

    assert store.reads["second"] > 0
    assert store.reads["digits"] == 0


def test_a_job_that_is_over_and_not_settled_costs_a_heartbeat_one_read() -> None:
    """Until its hours are published there is nothing to step on."""
    world = World()
    world.store = store = Counting()
    world.submit(job(**SHORT), steps_of(job(**SHORT)))
    world.run(world.is_over, at_most_h=20)
    store.reads.clear()

    reconcile(world.ports, Timing(), Owner.START_VM, HEARTBEAT)

    assert store.reads == {"digits": 1}


def test_a_settled_job_is_closed_however_a_crash_left_it() -> None:
    """Settled and still marked: the next tick takes the mark away, and a job at work keeps its."""
    store, mark = settled_store()
    assert close_if_settled(Documents(store), mark)
    assert opened(store) == []
    open_job(Documents(store), "digits")
    store.write(
        NAME, store.read(NAME).data.replace(b"finished", b"active").replace(b"true", b"false")
    )
    (mark,) = open_jobs(Documents(store))
    assert not close_if_settled(Documents(store), mark)
    assert opened(store) == ["digits"]


@pytest.mark.parametrize("moment", ["before the list", "after the list", "before the delete"])
def test_a_job_reopened_while_it_is_closed_stays_open(moment: str) -> None:
    """Whatever the order: the reopening loses its swap and comes again, or the mark stays."""
    store, mark = settled_store()
    seen = store.read(NAME).generation
    if moment == "before the list":
        open_job(Documents(store), "digits")
        (mark,) = open_jobs(Documents(store))
        close_if_settled(Documents(store), mark)
        with pytest.raises(TransientError):
            Documents(store).write(NAME, JobState(job_id="digits"), if_generation=seen)
        reopen(store, seen=store.read(NAME).generation)
    elif moment == "after the list":
        reopen(store, seen=seen)
        close_if_settled(Documents(store), mark)
    else:
        real = store.delete

        def delete(name: str, *, if_generation: int | None = None) -> None:
            with pytest.raises(TransientError):
                reopen(store, seen=seen)
            real(name, if_generation=if_generation)

        store.delete = delete  # type: ignore[method-assign]
        close_if_settled(Documents(store), mark)
        store.delete = real  # type: ignore[method-assign]
        reopen(store, seen=store.read(NAME).generation)
    assert opened(store) == ["digits"]
    assert Documents(store).get(JobState, NAME).phase is Phase.ACTIVE


def many(count: int) -> World:
    """Return a world with so many jobs, before its first tick."""
    world = World()
    for number in range(count):
        world.submit(job(f"job-{number}"), 10)
    return world


def paced(world: World, pace: Pace) -> Ports:
    """Return the ports of a world, used at another pace."""
    return replace(world.ports, pace=pace)


class Watch:
    """A stopwatch's time that goes by with each look at it."""

    def __init__(self) -> None:
        """Begin."""
        self.now_s = 0.0

    def monotonic(self) -> float:
        """Return the time; a second later each time."""
        self.now_s += 1.0
        return self.now_s


def plans_of(world: World, count: int) -> Sequence[str | None]:
    """Return the plan in force of each job."""
    return [world.state(f"job-{number}").plan_id for number in range(count)]


def test_a_tick_that_runs_out_of_time_goes_on_at_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each repetition plans the jobs that are left; the stalest come first; none is forgotten."""
    world = many(12)
    monkeypatch.setattr("functions.handlers.together.time", Watch())
    pace = Pace(time_limit_s=18.5)
    lefts = []
    for _ in range(20):
        result = tick(paced(world, pace), Timing())
        lefts.append(result.left)
        if not result.left:
            break
    assert lefts[0] > 0
    assert lefts[-1] == 0
    assert lefts == sorted(lefts, reverse=True)
    assert set(plans_of(world, 12)) == {START.strftime("%Y-%m-%dT%H%MZ")}


def test_a_heartbeat_that_runs_out_of_time_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says how far it came, and what to do if that happens often."""
    world = many(5)
    tick(world.ports, Timing())
    monkeypatch.setattr("functions.handlers.together.time", Watch())
    with pytest.raises(TransientError, match="looked at 2 of 5 jobs"):
        reconcile(paced(world, Pace(time_limit_s=2.5)), Timing(), Owner.STOP_VM, HEARTBEAT)


def test_many_threads_do_what_one_does() -> None:
    """Plans, states and messages are the same; only their order is not."""
    alone, together = many(30), many(30)
    tick(alone.ports, Timing())
    tick(paced(together, Pace(threads=8)), Timing())

    def contents(world: World) -> dict[str, bytes]:
        return {info.name: world.store.read(info.name).data for info in world.store.list("jobs/")}

    assert contents(alone) == contents(together)
    assert alone.boundary == together.boundary
    assert len(alone.backlog) == len(together.backlog) == 90
