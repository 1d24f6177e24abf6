"""Hypothesis strategies for receipts of any numbers."""

from datetime import UTC, datetime

from hypothesis import strategies as st

from forecaster.series import Basis
from functions.domain.accounting.document import Receipt
from functions.domain.accounting.parts import (
    Baseline,
    MissingHour,
    ReceiptInterval,
    ReceiptRow,
    Regret,
    Revision,
    SpentOn,
    ZoneBasis,
)
from functions.domain.lifecycle.state import Phase
from functions.domain.plan.document import Policy
from functions.domain.regions import REGIONS

times = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis wants naive bounds
counts, amounts, texts = st.integers(0, 10**6), st.floats(0, 1e6), st.text(max_size=9)
changes = st.floats(-1e6, 1e6)
allowed = st.lists(st.sampled_from(sorted(REGIONS)), min_size=1, max_size=3, unique=True)
here = {"compute_zone": st.just("europe-west3-b"), "grid_zone": st.just("DE")}
missing = st.lists(st.builds(MissingHour, grid_zone=st.just("DE"), start=times), max_size=2)
energy = {"energy_kwh": amounts}

rows = st.builds(
    ReceiptRow,
    hour=times,
    incarnation=counts,
    kind=st.sampled_from(SpentOn),
    duration_s=amounts,
    measured_kwh=amounts,
    gco2eq_per_kwh=st.none() | amounts,
    estimated=st.booleans(),
    **energy,
    **here,
)
intervals = st.builds(
    ReceiptInterval,
    vm=texts,
    incarnation=counts,
    start=times,
    end=times,
    is_assumed=st.booleans(),
    first_step=counts,
    last_step=counts,
    ended_because=texts,
    overhead_kwh=amounts,
    emissions_gco2eq=st.none() | amounts,
    **energy,
    **here,
)
zones = st.builds(
    ZoneBasis,
    grid_zone=st.just("DE"),
    used_hours=counts,
    used_hours_estimated=counts,
    known_hours=counts,
    known_hours_estimated=counts,
)
regrets = st.builds(
    Regret, total_gco2eq=changes, plans_gco2eq=changes, execution_gco2eq=st.none() | changes
)
revisions = st.builds(
    Revision,
    made_at=times,
    emissions_gco2eq=amounts,
    missing_hours=counts,
    estimated_hours=counts,
    published_gco2eq=changes,
    revised_gco2eq=changes,
    booked_gco2eq=changes,
)


@st.composite
def receipts(draw: st.DrawFn) -> Receipt:
    """Draw a receipt whose baselines are in its allowed regions."""
    regions = draw(allowed)
    baselines = st.builds(
        Baseline,
        policy=st.sampled_from(Policy),
        compute_zones=st.lists(
            st.sampled_from([REGIONS[name].primary for name in regions]), max_size=2
        ).map(tuple),
        finish_at=st.none() | times,
        emissions_gco2eq=st.none() | amounts,
        usd=st.none() | amounts,
        missing=missing.map(tuple),
        known_until=st.none() | times,
    )
    return Receipt(
        job_id="digits",
        created_at=draw(times),
        outcome=draw(st.sampled_from(Phase)),
        allowed_regions=tuple(regions),
        submitted_at=draw(times),
        finished_at=draw(times),
        deadline=draw(st.none() | times),
        rows=tuple(draw(st.lists(rows, max_size=3))),
        intervals=tuple(draw(st.lists(intervals, max_size=2))),
        missing=tuple(draw(missing)),
        emissions_gco2eq=draw(amounts),
        energy_kwh=draw(amounts),
        overhead_kwh=draw(amounts),
        measured_kwh=draw(amounts),
        useful_h=draw(amounts),
        power_w=draw(amounts),
        usd=draw(st.none() | amounts),
        price_source=draw(texts),
        baselines=tuple(draw(st.lists(baselines, max_size=2))),
        regret=draw(st.none() | regrets),
        vms=draw(counts),
        moves=draw(counts),
        steps=draw(counts),
        lost_steps=draw(counts),
        weights_sha256=draw(texts),
        basis=draw(st.sampled_from(Basis)),
        source=draw(texts),
        zones=tuple(draw(st.lists(zones, max_size=2))),
        energy_basis=draw(texts),
        revisions=tuple(draw(st.lists(revisions, min_size=1, max_size=2))),
    )
