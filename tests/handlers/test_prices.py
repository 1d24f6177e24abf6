"""The user's own prices in the bucket: plans and receipts count with them."""

from datetime import date

from control_plane import World
from sample_jobs import SHORT, job, steps_of

from functions.domain.accounting.document import Receipt
from functions.domain.lifecycle.timing import Timing
from functions.domain.plan.document import Plan
from functions.domain.plan.prices import DEFAULT_PRICES, Price, PriceTable
from functions.handlers.documents import Documents
from functions.handlers.tick import tick
from vm_runtime.contract import object_names


def _table(usd_per_h: float) -> PriceTable:
    some = job()
    return PriceTable(
        source="our contract",
        day=date(2026, 3, 1),
        prices=tuple(
            Price(region=region, machine_type=some.machine_type, usd_per_h=usd_per_h)
            for region in some.allowed_regions
        ),
    )


def _plan_of(world: World) -> Plan:
    plan_id = world.state("digits").plan_id
    assert plan_id is not None
    return Documents(world.store).get(Plan, object_names.plan("digits", plan_id))


def test_plans_count_with_the_prices_in_the_bucket() -> None:
    """Not with those built in; the plan names their source."""
    world = World()
    world.submit(job(), steps_of(job()))
    Documents(world.store).write(object_names.PRICES, _table(2.0))
    tick(world.ports, Timing())

    plan = _plan_of(world)
    hours = sum((each.end - each.start).total_seconds() for each in plan.intervals) / 3600
    assert plan.price_source == "our contract, 2026-03-01"
    assert plan.expected_usd is not None
    assert abs(plan.expected_usd - 2.0 * hours) < 0.05


def test_the_receipt_counts_with_them_too() -> None:
    """Twice the price is twice the cost, on whatever the VMs took."""
    costs = []
    for usd_per_h in (1.0, 2.0):
        world = World()
        Documents(world.store).write(object_names.PRICES, _table(usd_per_h))
        short = job(**SHORT)
        world.submit(short, steps_of(short))
        world.run(world.is_over, at_most_h=40)
        world.clock.advance(3600)
        tick(world.ports, Timing())
        receipt = Documents(world.store).get(Receipt, object_names.receipt("digits"))
        assert receipt.price_source == "our contract, 2026-03-01"
        assert receipt.usd is not None
        costs.append(receipt.usd)
    assert costs[1] > 0
    assert abs(costs[1] / costs[0] - 2) < 1e-6


def test_prices_that_cannot_be_read_keep_no_job_from_its_plan() -> None:
    """The built-in ones are used, and the plan says so."""
    world = World()
    world.submit(job(), steps_of(job()))
    world.store.write(object_names.PRICES, b"{", if_generation=None)
    assert tick(world.ports, Timing()).planned == 1
    assert str(_plan_of(world).price_source).startswith(DEFAULT_PRICES.source)
