"""The guide's worked example: its tables make the receipt that it shows, digit by digit."""

import io
import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from planning_world import HOUR, ORIGIN, forecast_of, job_of
from receipt_parts import manifest_at
from rich.console import Console

from forecaster.series import Basis, IntensityHour
from functions.cli.receipt import print_receipt
from functions.domain.accounting.receipt import Evidence, make_receipt
from functions.domain.accounting.regret import Look
from functions.domain.lifecycle.state import Phase
from functions.domain.plan.document import Policy
from vm_runtime.contract.ledger import LedgerEntry, Segment, SegmentKind, VmLifetime

GUIDE = Path(__file__).parents[2] / "docs" / "accounting.md"
POWER_KW = 0.2


def table(head: str) -> list[list[str]]:
    """Return the rows of the guide's table that begins with `head`."""
    lines = GUIDE.read_text(encoding="utf-8").splitlines()
    begin = lines.index(head) + 2
    rows = []
    for line in lines[begin:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def at(clock: str) -> datetime:
    """Return the time of the example's day."""
    hours, minutes = map(int, clock.split(":"))
    return ORIGIN.replace(hour=hours) + timedelta(minutes=minutes)


def example() -> Evidence:
    """Return what the guide's tables say."""
    rows = table("| VM | place | what | from | to | steps |")
    lives, ledger = [], []
    for number, place, _, begin, end, steps in (row for row in rows if row[2] == "made"):
        lives.append(
            VmLifetime(
                job_id="digits",
                vm=f"ss-digits-{number}",
                incarnation=int(number),
                compute_zone=place,
                created_at=at(begin),
                terminated_at=at(end),
            )
        )
        segments = tuple(
            Segment(
                kind=SegmentKind(row[2]),
                start=at(row[3]),
                end=at(row[4]),
                energy_kwh=POWER_KW * ((at(row[4]) - at(row[3])) / HOUR),
            )
            for row in rows
            if row[0] == number and row[2] != "made"
        )
        first, last = map(int, steps.split("-"))
        ledger.append(
            LedgerEntry(
                job_id="digits",
                vm=f"ss-digits-{number}",
                incarnation=int(number),
                compute_zone=place,
                started_at=segments[0].start,
                updated_at=segments[-1].end,
                segments=segments,
                first_step=first,
                last_step=last,
                committed_step=last,
                energy_basis="declared power 200 W x time",
            )
        )
    actual: dict[str, dict[datetime, IntensityHour]] = {"DE": {}, "FR": {}}
    for clock, *levels in table("| hour, UTC | DE | FR |"):
        for zone, level in zip(actual, levels, strict=True):
            actual[zone][at(clock)] = IntensityHour(
                start=at(clock),
                gco2eq_per_kwh=float(level.removesuffix(" e")),
                estimated=level.endswith(" e"),
            )
    return Evidence(
        job=job_of(
            allowed_regions=("europe-west3", "europe-west9"),
            work_h=2.0,
            deadline=at("12:00"),
        ),
        outcome=Phase.FINISHED,
        closed_at=at("10:06"),
        manifest=manifest_at(at("10:00"), step=120),
        ledger=ledger,
        lifetimes=lives,
        actual=actual,
        basis=Basis.LIFECYCLE,
        source="an example",
        looks=lambda: (Look(at=ORIGIN, forecast=forecast_of(_values(actual))),),
    )


def _values(actual: dict[str, dict[datetime, IntensityHour]]) -> dict[str, list[float]]:
    return {zone: [h.gco2eq_per_kwh for h in hours.values()] for zone, hours in actual.items()}


def test_the_guide_shows_the_receipt_that_its_tables_make() -> None:
    """The block is what the command prints for these numbers."""
    out = io.StringIO()
    receipt = make_receipt(example(), now=at("12:00"))
    print_receipt(Console(file=out, width=80, highlight=False), receipt)
    printed = "\n".join(line.rstrip() for line in out.getvalue().splitlines())
    block = re.search(r"```text\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    assert block[1].strip() == printed.strip()


def test_the_guides_prose_is_right_about_it() -> None:
    """The sum that it works out by hand, and where its oracle goes."""
    receipt = make_receipt(example(), now=at("12:00"))
    by_hand = 0.2 * 400 + 0.12 * 380 + 0.01 * 40 + 0.2 * 40 + 0.02 * 45
    assert round(by_hand, 1) == 134.9
    assert abs(receipt.emissions_gco2eq - by_hand) < 1e-9
    oracle = receipt.baseline(Policy.ORACLE)
    assert oracle is not None
    assert oracle.compute_zones == ("europe-west9-b",)
    assert oracle.emissions_gco2eq == pytest.approx(0.2 * (40 * 2 + 45 * 3 / 60))
    assert receipt.regret is not None
    assert receipt.regret.plans_gco2eq == pytest.approx(0, abs=1e-9)
