"""Receipts as the control plane writes them: for every end of a job, again and again."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from control_plane import Chaos, World
from memory_blobs import MemoryBlobStore
from sample_jobs import SHORT, job, steps_of
from simulated_clock import START

from forecaster.series import IntensityDay, IntensityHour
from functions.domain.accounting import receipt as receipts
from functions.domain.accounting.document import Receipt
from functions.domain.accounting.energy import Usage
from functions.domain.lifecycle.state import Phase
from functions.domain.lifecycle.timing import Timing
from functions.errors import InvalidInputError, StaleStateError
from functions.handlers.documents import Documents
from functions.handlers.settle import write_receipt
from functions.handlers.tick import tick
from vm_runtime.contract import object_names
from vm_runtime.contract.ledger import VmLifetime


def finished(chaos: Chaos | None = None, room_h: float = 8) -> World:
    """Return a world in which a short job has just ended and its last VM is gone."""
    world = World(chaos=chaos or Chaos())
    short = job(**SHORT | {"deadline": START + timedelta(hours=room_h)})
    world.submit(short, steps_of(short))
    world.run(world.is_over, at_most_h=40)
    return world


def receipt_in(world: World) -> Receipt:
    """Return the stored receipt."""
    return Documents(world.store).get(Receipt, object_names.receipt("digits"))


def tick_on(world: World, hours: int = 1) -> None:
    """Let hours go by, with a tick at each."""
    for _ in range(hours):
        world.clock.advance(3600)
        tick(world.ports, Timing())


def revise(world: World, receipt: Receipt, factor: float) -> None:
    """Replace the hours that the job used: the publisher's estimates become final."""
    documents = Documents(world.store)
    for zone, day in {(row.grid_zone, row.hour.date()) for row in receipt.rows}:
        name = object_names.intensity(zone, day)
        found = documents.find(IntensityDay, name)
        assert found is not None
        hours = tuple(
            replace(hour, gco2eq_per_kwh=hour.gco2eq_per_kwh * factor, estimated=False)
            for hour in found.document.hours
        )
        documents.write(name, replace(found.document, hours=hours), if_generation=found.generation)


def test_a_vm_that_a_person_deleted_has_a_lifetime_and_a_place_in_the_receipt() -> None:
    """It drew power from its reservation until it was missed, and the documents say so."""
    world = World()
    world.submit(job(**SHORT), steps_of(job(**SHORT)))
    world.run(lambda: any(g.may_train for g in world.guests.values()), at_most_h=10)
    vm = next(iter(world.fleet.vms.values()))
    gone_at = world.clock.now()
    world.fleet.delete(vm, request_id="by hand")

    world.run(world.is_over, at_most_h=20)
    tick_on(world)

    assert world.state("digits").phase is Phase.FINISHED
    name = object_names.vm_lifetime("digits", vm.incarnation)
    lifetime = Documents(world.store).get(VmLifetime, name)
    assert lifetime.is_assumed
    assert lifetime.created_at <= vm.created_at
    assert gone_at <= lifetime.terminated_at <= gone_at + timedelta(minutes=10)
    interval = receipt_in(world).intervals[0]
    assert (interval.vm, interval.is_assumed) == (vm.name, True)
    assert interval.energy_kwh >= 0.25 * (gone_at - vm.created_at) / timedelta(hours=1)


def test_a_failed_job_has_a_receipt_and_is_settled() -> None:
    """What it emitted is told, though it achieved nothing."""
    world = finished(Chaos(preempt=1.0))
    assert world.state("digits").phase is Phase.FAILED

    tick_on(world)

    receipt = receipt_in(world)
    assert receipt.outcome is Phase.FAILED
    assert receipt.vms > 1
    assert receipt.emissions_gco2eq > 0
    assert receipt.overhead_kwh == pytest.approx(receipt.energy_kwh)
    assert (receipt.baselines, receipt.steps, receipt.weights_sha256) == ((), 0, "")
    assert world.state("digits").settled


def test_a_job_is_settled_once_its_deadline_has_passed() -> None:
    """Then the oracle is final, with its regret, split by the stored forecasts."""
    world = finished(room_h=14)
    tick_on(world)
    assert receipt_in(world).complete
    assert not world.state("digits").settled

    tick_on(world, 9)

    receipt = receipt_in(world)
    assert not receipt.is_provisional
    assert world.state("digits").settled
    assert receipt.regret is not None
    assert receipt.regret.plans_gco2eq is not None
    assert receipt.regret.execution_gco2eq is not None
    parts = receipt.regret.plans_gco2eq + receipt.regret.execution_gco2eq
    assert parts == pytest.approx(receipt.regret.total_gco2eq)


def test_a_receipt_is_written_again_only_if_something_changed() -> None:
    """The same documents give the same object, however often it is asked for."""
    world = finished()
    tick_on(world, 10)
    name = object_names.receipt("digits")
    first = world.store.read(name)

    world.clock.advance(7 * 24 * 3600)
    again = write_receipt(world.store, "digits", world.clock.now())

    assert world.store.read(name) == first
    assert len(again.revisions) == len(receipt_in(world).revisions)


def test_final_values_update_a_settled_receipt_and_it_says_by_how_much() -> None:
    """Asked for anew after the publisher has revised: exactly the difference."""
    world = finished()
    tick_on(world, 10)
    before = receipt_in(world)
    revise(world, before, 1.1)

    after = write_receipt(world.store, "digits", world.clock.now())

    gained = after.emissions_gco2eq - before.emissions_gco2eq
    assert gained == pytest.approx(0.1 * before.emissions_gco2eq)
    assert after.revisions[:-1] == before.revisions
    assert after.revisions[-1].revised_gco2eq == pytest.approx(gained)
    assert after == receipt_in(world)


def test_estimates_keep_a_receipt_open_and_the_tick_renews_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As long as hours are estimates the job is looked at; final values then change the total."""
    world = finished(room_h=14)
    real = world.grid.recent_hours

    def estimated(grid_zone: str, now: datetime) -> list[IntensityHour]:
        return [replace(hour, estimated=True) for hour in real(grid_zone, now)]

    def final(grid_zone: str, now: datetime) -> list[IntensityHour]:
        hours = real(grid_zone, now)
        return [replace(hour, gco2eq_per_kwh=hour.gco2eq_per_kwh / 2) for hour in hours]

    monkeypatch.setattr(world.grid, "recent_hours", estimated)
    tick_on(world, 10)
    draft = receipt_in(world)
    assert draft.estimated_hours > 0
    assert not draft.is_provisional
    assert not world.state("digits").settled

    monkeypatch.setattr(world.grid, "recent_hours", final)
    tick_on(world)

    receipt = receipt_in(world)
    assert receipt.estimated_hours == 0
    assert receipt.emissions_gco2eq == pytest.approx(0.5 * draft.emissions_gco2eq)
    assert receipt.revisions[-1].revised_gco2eq == pytest.approx(-receipt.emissions_gco2eq)
    assert world.state("digits").settled


def test_nothing_is_computed_again_while_nothing_new_is_published(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A job whose hours are estimates is looked at for days; only other hours make a receipt."""
    world = finished(room_h=14)
    made: list[datetime] = []
    real, hours = receipts.usage_of, world.grid.recent_hours

    def counted(*args: object, **kwargs: object) -> Usage:
        made.append(world.clock.now())
        return real(*args, **kwargs)  # type: ignore[arg-type]

    def estimated(grid_zone: str, now: datetime) -> list[IntensityHour]:
        return [replace(hour, estimated=True) for hour in hours(grid_zone, now)]

    monkeypatch.setattr(world.grid, "recent_hours", estimated)
    monkeypatch.setattr(receipts, "usage_of", counted)
    tick_on(world, 10)
    assert receipt_in(world).estimated_hours > 0
    stored, count = world.store.read(object_names.receipt("digits")), len(made)

    tick_on(world, 3)
    assert not world.state("digits").settled
    assert (len(made), world.store.read(object_names.receipt("digits"))) == (count, stored)

    monkeypatch.setattr(world.grid, "recent_hours", hours)  # the publisher's final values
    tick_on(world)
    assert len(made) == count + 1
    assert world.state("digits").settled


class _Raced(MemoryBlobStore):
    """A bucket in which somebody else writes the receipt just before us, so many times."""

    def __init__(self, real: MemoryBlobStore, others: Callable[[], object], times: int) -> None:
        super().__init__()
        self._real, self._others, self._left = real, others, times
        self.read, self.list = real.read, real.list  # type: ignore[method-assign]

    def write(self, name: str, data: bytes, *, if_generation: int | None = None) -> int:
        if name.endswith("receipt.json") and self._left:
            self._left -= 1
            self._others()
        return self._real.write(name, data, if_generation=if_generation)


def test_two_who_write_a_receipt_at_once_do_not_lose_a_revision() -> None:
    """The one that comes second looks again, and leaves what the first one wrote."""
    world = finished()
    tick_on(world, 10)
    revise(world, receipt_in(world), 1.1)
    now = world.clock.now()
    store = _Raced(world.store, lambda: write_receipt(world.store, "digits", now), 1)

    receipt = write_receipt(store, "digits", now + timedelta(minutes=1))

    assert receipt == receipt_in(world)
    assert receipt.created_at == now
    assert len(receipt.revisions) == 2


def test_a_receipt_that_others_write_all_the_time_is_left_to_the_next_tick() -> None:
    """No endless retry, and the error names the object."""
    world = finished()
    name = object_names.receipt("digits")

    def other() -> None:
        write_receipt(world.store, "digits", world.clock.now())
        revise(world, receipt_in(world), 1.1)
        write_receipt(world.store, "digits", world.clock.now())
        revise(world, receipt_in(world), 1.1)

    with pytest.raises(StaleStateError, match=r"receipt\.json"):
        write_receipt(_Raced(world.store, other, 9), "digits", world.clock.now())
    assert world.store.read(name)


def test_a_job_that_is_not_over_has_no_receipt() -> None:
    """Asked for too early: it says what to wait for."""
    world = World()
    world.submit(job(**SHORT), steps_of(job(**SHORT)))
    with pytest.raises(InvalidInputError, match="expected one that is over, found it active"):
        write_receipt(world.store, "digits", world.clock.now())


def test_hours_of_two_sources_are_never_mixed_in_a_receipt() -> None:
    """The source with the most hours counts; what only the other one has is missing."""
    world = finished()
    tick_on(world, 10)
    before = receipt_in(world)
    zone = before.rows[0].grid_zone
    documents = Documents(world.store)
    days: set[datetime] = {row.hour.date() for row in before.rows if row.grid_zone == zone}
    for day in days:
        name = object_names.intensity(zone, day)
        found = documents.find(IntensityDay, name)
        assert found is not None
        other = replace(found.document, source="another source")
        documents.write(name, other, if_generation=found.generation)

    receipt = write_receipt(world.store, "digits", world.clock.now())

    assert receipt.source == before.source
    assert {each.grid_zone for each in receipt.missing} == {zone}
    assert receipt.is_provisional
