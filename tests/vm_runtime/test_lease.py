"""At most one holder, however clocks, storage and machines misbehave."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)
from manual_clock import ManualClock
from memory_blobs import MemoryBlobStore

from vm_runtime.contract import object_names
from vm_runtime.contract.codec import decode, encode
from vm_runtime.contract.lease import Lease
from vm_runtime.lease import LeaseKeeper
from vm_runtime.session import LeaseLostError
from vm_runtime.storage.port import BlobStore, StorageUnavailableError

TTL_S = 120.0
MARGIN_S = 12.0
HOLDERS = 4


def _nothing() -> None:
    """Happen between look and write when nothing does."""


class FaultyStore(MemoryBlobStore):
    """Fails the next write before or after it landed, or lets time pass in its middle."""

    def __init__(self) -> None:
        """Work as it should."""
        super().__init__()
        self.fault = ""
        self.before_write: Callable[[], None] = _nothing

    def write(self, name: str, data: bytes, *, if_generation: int | None = None) -> int:
        """Write, or not, and answer, or not."""
        fault, self.fault = self.fault, ""
        before, self.before_write = self.before_write, _nothing
        before()
        if fault == "not landed":
            raise StorageUnavailableError("scripted: not landed")
        generation = super().write(name, data, if_generation=if_generation)
        if fault == "landed":
            raise StorageUnavailableError("scripted: landed")
        return generation


def keeper(
    store: BlobStore, clock: ManualClock, name: str = "a", incarnation: int = 1
) -> LeaseKeeper:
    """Return a holder whose real seconds are the clock's."""
    return LeaseKeeper(
        store=store,
        clock=clock,
        job_id="job",
        holder=name,
        incarnation=incarnation,
        ttl_s=TTL_S,
        margin_s=MARGIN_S,
        monotonic=lambda: clock.now().timestamp() - clock.offset_s,
    )


def stored(store: BlobStore) -> Lease:
    """Return the lease in the bucket."""
    name = object_names.lease("job")
    return decode(Lease, store.read(name).data, name=name)


def test_a_free_lease_is_taken_and_belief_ends_before_it_expires() -> None:
    """An absent lease is free; its holder is sure until the margin before the expiry."""
    store, clock = MemoryBlobStore(), ManualClock()
    a = keeper(store, clock)
    assert not a.held_surely(clock.now())
    assert a.acquire()
    assert a.held_surely(clock.now())
    clock.move(TTL_S - MARGIN_S - 1)
    assert a.held_surely(clock.now())
    clock.move(1)
    assert not a.held_surely(clock.now())
    assert stored(store).is_held(clock.now())


@pytest.mark.parametrize("incarnation", [1, 2])
def test_a_held_lease_is_taken_only_after_expiry_and_margin(incarnation: int) -> None:
    """Another holder, of the same or a higher incarnation, waits for the expiry."""
    store, clock = MemoryBlobStore(), ManualClock()
    assert keeper(store, clock, "a", 1).acquire()
    b = keeper(store, clock, "b", incarnation)
    clock.move(TTL_S + MARGIN_S - 1)
    assert not b.acquire()
    assert b.held_by_another()
    clock.move(1)
    assert not b.held_by_another()
    assert b.acquire()
    assert stored(store).holder == "b"


def test_a_released_lease_is_taken_at_once() -> None:
    """A hand-over does not wait for the expiry, and the old holder believes nothing more."""
    store, clock = MemoryBlobStore(), ManualClock()
    a, b = keeper(store, clock, "a", 1), keeper(store, clock, "b", 2)
    a.acquire()
    a.release()
    assert not a.held_surely(clock.now())
    assert b.acquire()


@pytest.mark.parametrize("released", [False, True])
def test_a_lower_incarnation_never_takes_it(released: bool) -> None:  # noqa: FBT001 - a case
    """After a higher incarnation held the lease, a lower one is told that it lost."""
    store, clock = MemoryBlobStore(), ManualClock()
    b = keeper(store, clock, "b", 2)
    b.acquire()
    if released:
        b.release()
    clock.move(10 * TTL_S)
    with pytest.raises(LeaseLostError, match="superseded"):
        keeper(store, clock, "a", 1).acquire()
    assert stored(store).holder == "b"


def test_renewal_prolongs_and_survives_failing_writes() -> None:
    """A failed renewal changes nothing; the next one prolongs, landed answers lost or not."""
    store, clock = FaultyStore(), ManualClock()
    a = keeper(store, clock)
    a.acquire()
    for fault in ("not landed", "landed", "", "landed"):
        clock.move(TTL_S / 4)
        store.fault = fault
        if fault:
            with pytest.raises(StorageUnavailableError):
                a.renew()
        else:
            a.renew()
    clock.move(TTL_S / 4)
    a.renew()
    assert a.held_surely(clock.now())
    assert stored(store).acquired_at < stored(store).expires_at


def test_renewal_tells_that_another_took_it() -> None:
    """Once another holder wrote, the lease is lost for good."""
    store, clock = MemoryBlobStore(), ManualClock()
    a, b = keeper(store, clock, "a", 1), keeper(store, clock, "b", 2)
    a.acquire()
    clock.move(TTL_S + MARGIN_S)
    assert b.acquire()
    for call in (a.renew, a.acquire):
        with pytest.raises(LeaseLostError):
            call()
    assert "b" in a.lost
    a.release()
    assert stored(store).holder == "b"
    assert not stored(store).released


def test_a_clock_that_is_set_back_does_not_prolong_the_belief() -> None:
    """Real elapsed time ends the belief though the wall clock shows an earlier time."""
    store, clock = MemoryBlobStore(), ManualClock()
    a = keeper(store, clock)
    a.acquire()
    clock.move(TTL_S)
    clock.offset_s = -3600
    assert not a.held_surely(clock.now())


def test_the_thread_renews_until_release() -> None:
    """In the background the lease outlives its time to live, a failing write between."""
    store = FaultyStore()

    class Counted(ManualClock):
        def wait_s(self, duration_s: float) -> float:
            return duration_s / 10_000

    clock = Counted()
    a = LeaseKeeper(store=store, clock=clock, job_id="job", holder="a", incarnation=1, ttl_s=TTL_S)
    a.acquire()
    first = stored(store).expires_at
    renewed = threading.Event()

    def on_write() -> None:
        store.before_write = renewed.set

    store.fault = "not landed"
    store.before_write = on_write
    clock.move(60)
    a.start_renewing()
    assert renewed.wait(5)
    a.release()
    assert stored(store).released
    assert stored(store).expires_at > first


def test_clocks_apart_by_two_margins_never_make_two_holders() -> None:
    """The margins on both sides together bear the skew that they allow."""
    store = MemoryBlobStore()
    slow, fast = ManualClock(offset_s=-MARGIN_S), ManualClock(offset_s=MARGIN_S)
    a, b = keeper(store, slow, "a", 1), keeper(store, fast, "b", 2)
    assert a.acquire()
    while not b.acquire():
        slow.move(1)
        fast.move(1)
    assert not a.held_surely(slow.now())
    assert fast.now() - slow.now() == timedelta(seconds=2 * MARGIN_S)


@pytest.mark.parametrize("ttl_s", [120.0, 240.0])
def test_by_default_clocks_may_be_a_minute_apart(ttl_s: float) -> None:
    """A VM that is cut off from the bucket is unsure before its successor takes the lease."""
    store = MemoryBlobStore()
    slow, fast = ManualClock(offset_s=-30.0), ManualClock(offset_s=30.0)
    a, b = (
        LeaseKeeper(
            store=store,
            clock=clock,
            job_id="job",
            holder=f"vm-{incarnation}",
            incarnation=incarnation,
            ttl_s=ttl_s,
            monotonic=lambda clock=clock: clock.now().timestamp(),
        )
        for incarnation, clock in enumerate((slow, fast), 1)
    )
    assert a.acquire()
    while not b.acquire():
        slow.move(1)
        fast.move(1)
    assert not a.held_surely(slow.now())


@pytest.mark.parametrize("margin_s", [-1.0, 60.0, 500.0])
def test_a_margin_that_leaves_no_time_is_refused(margin_s: float) -> None:
    """Twice the margin must fit into the time to live."""
    with pytest.raises(ValueError, match="margin"):
        LeaseKeeper(
            store=MemoryBlobStore(),
            clock=ManualClock(),
            job_id="job",
            holder="a",
            incarnation=1,
            ttl_s=TTL_S,
            margin_s=margin_s,
        )


def test_a_lease_of_an_unknown_version_is_left_alone() -> None:
    """What a newer software wrote is neither read nor overwritten."""
    store, clock = MemoryBlobStore(), ManualClock()
    a = keeper(store, clock)
    a.acquire()
    newer = encode(stored(store)).replace(b'"schema_version": 1', b'"schema_version": 99')
    store.write(object_names.lease("job"), newer)
    with pytest.raises(ValueError, match="schema_version"):
        keeper(store, clock, "b", 2).acquire()
    assert store.read(object_names.lease("job")).data == newer


class Holders(RuleBasedStateMachine):
    """Several holders with clocks up to the margin apart, on a store that fails and stalls."""

    holders = st.integers(0, HOLDERS - 1)
    verbs = st.sampled_from(["acquire", "renew"])
    faults = st.sampled_from(["", "", "", "landed", "not landed"])

    offsets = st.sampled_from([-MARGIN_S, 0.0, MARGIN_S])

    @initialize(offsets=st.lists(offsets, min_size=HOLDERS, max_size=HOLDERS))
    def set_up(self, offsets: list[float]) -> None:
        """Make holders; two of them share an incarnation."""
        self.store = FaultyStore()
        self.clocks = [ManualClock(offset_s=offset) for offset in offsets]
        incarnations = (1, 2, 2, 3)
        self.keepers = [
            keeper(self.store, clock, f"vm-{index}", incarnation)
            for index, (clock, incarnation) in enumerate(
                zip(self.clocks, incarnations, strict=True)
            )
        ]

    def _move(self, seconds: float) -> None:
        for clock in self.clocks:
            clock.move(seconds)

    def _write(
        self, index: int, verb: str, fault: str = "", between: Callable[[], None] = _nothing
    ) -> None:
        self.store.fault, self.store.before_write = fault, between
        try:
            getattr(self.keepers[index], verb)()
        except (LeaseLostError, StorageUnavailableError):
            pass
        finally:
            self.store.fault, self.store.before_write = "", _nothing

    @rule(index=holders, verb=verbs, fault=faults)
    def write(self, index: int, verb: str, fault: str) -> None:
        """One takes or renews the lease; its write may fail, before or after it landed."""
        self._write(index, verb, fault)

    @rule(index=holders, verb=verbs, stall_s=st.sampled_from([60.0, 107.0, 200.0]))
    def stall(self, index: int, verb: str, stall_s: float) -> None:
        """One takes or renews the lease, but is paused between its look and its write."""
        self._write(index, verb, between=lambda: self._move(stall_s))

    @rule(index=holders, rival=holders, verb=verbs, stall_s=st.sampled_from([0.0, 200.0]))
    def race(self, index: int, rival: int, verb: str, stall_s: float) -> None:
        """Another takes the lease between one's look and its write."""

        def between() -> None:
            self._move(stall_s)
            self._write(rival, "acquire")

        if rival != index:
            self._write(index, verb, between=between)

    @rule(index=holders, fault=faults)
    def release(self, index: int, fault: str) -> None:
        """One gives the lease back."""
        self._write(index, "release", fault)

    @rule(seconds=st.sampled_from([1.0, 30.0, 96.0, 108.0, 120.0, 132.0, 144.0]))
    def wait(self, seconds: float) -> None:
        """Time passes: for who does nothing meanwhile this is a pause."""
        self._move(seconds)

    @invariant()
    def at_most_one_is_sure(self) -> None:
        """Never do two believe that they surely hold the lease."""
        if not hasattr(self, "keepers"):
            return
        sure = [
            index
            for index, (one, clock) in enumerate(zip(self.keepers, self.clocks, strict=True))
            if one.held_surely(clock.now())
        ]
        assert len(sure) <= 1, f"{sure} believe that they hold {replace(stored(self.store))}"


TestHolders = Holders.TestCase
TestHolders.settings = settings(max_examples=120, stateful_step_count=20, deadline=None)


@pytest.mark.parametrize("jump_s", [-86_400.0, -TTL_S, TTL_S, 86_400.0])
def test_a_holder_whose_clock_jumps_never_believes_too_long(jump_s: float) -> None:
    """Forward it doubts at once, back it doubts in time; the next renewal sets both right."""
    store, clock = MemoryBlobStore(), ManualClock()
    a = keeper(store, clock)
    a.acquire()
    clock.offset_s = jump_s
    assert a.held_surely(clock.now()) == (jump_s < 0)
    clock.move(TTL_S - MARGIN_S)
    assert not a.held_surely(clock.now())
    a.renew()
    assert a.held_surely(clock.now())


def test_a_successor_whose_clock_jumps_forward_takes_what_its_predecessor_then_knows_it_lost() -> (
    None
):
    """Too early it may take the lease; then the first one's renewal tells it, and one is left.

    What both may have written meanwhile, LATEST's generation keeps apart.
    """
    store, slow, fast = MemoryBlobStore(), ManualClock(), ManualClock(offset_s=86_400.0)
    a, b = keeper(store, slow, "a", 1), keeper(store, fast, "b", 2)
    a.acquire()
    assert b.acquire()
    with pytest.raises(LeaseLostError):
        a.renew()
    assert not a.held_surely(slow.now())
    assert b.held_surely(fast.now())
