"""Makes the receipt of a job that is over: energy as booked, carbon as published afterwards."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise

from forecaster.series import Basis
from functions._version import __version__
from functions.domain.accounting.baselines import Work, baselines_of
from functions.domain.accounting.document import Receipt
from functions.domain.accounting.energy import HOUR, Actual, Usage, floor_hour, rows_of, usage_of
from functions.domain.accounting.parts import (
    Baseline,
    MissingHour,
    ReceiptInterval,
    ReceiptRow,
    Regret,
    SpentOn,
    ZoneBasis,
)
from functions.domain.accounting.regret import Look, regret_of
from functions.domain.accounting.revision import is_news, revision_of
from functions.domain.lifecycle.state import Phase
from functions.domain.plan.document import Policy
from functions.domain.plan.prices import DEFAULT_PRICES, PriceTable, usd_per_h
from functions.domain.regions import PLACES, grid_zone_of, region_of
from vm_runtime.contract.checkpoint import CheckpointManifest
from vm_runtime.contract.job import Job
from vm_runtime.contract.ledger import LedgerEntry, VmLifetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that a receipt is made from."""

    job: Job
    outcome: Phase
    """How the job ended."""
    closed_at: datetime
    """When it was closed."""
    manifest: CheckpointManifest | None
    """Of the last checkpoint; `None`: there is none."""
    ledger: Sequence[LedgerEntry]
    """What its VMs booked, one entry per incarnation."""
    lifetimes: Sequence[VmLifetime]
    """How long each VM drew power; what it did not book is overhead."""
    actual: Actual
    """Hours as published, of the job's grid zones since it was submitted."""
    basis: Basis
    """Accounting basis of `actual`."""
    source: str
    """Who published it."""
    prices: PriceTable = DEFAULT_PRICES
    """Of machines."""
    looks: Callable[[], Sequence[Look]] = tuple
    """Reads when it was planned, on which forecast; many objects, asked for only when needed."""

    def digest(self, now: datetime) -> str:
        """Return what changes when the receipt may: with a document, an hour, a version of ours.

        Until the deadline also with each hour that begins, since the oracle may use it. Looks do
        not change: plans and forecasts are written once.
        """
        seen_until = min(now, self.job.effective_deadline or now)
        parts = (
            *(__version__, floor_hour(seen_until), self.outcome, self.closed_at),
            *(self.job, self.manifest, *self.ledger, *self.lifetimes),
            *(self.basis, self.source, self.prices),
            *(each for zone in sorted(self.actual) for each in (zone, *self._hours_of(zone))),
        )
        return hashlib.sha256("\n".join(map(repr, parts)).encode()).hexdigest()

    def _hours_of(self, grid_zone: str) -> list[tuple[datetime, float, bool]]:
        hours = sorted(self.actual[grid_zone].items())
        return [(start, hour.gco2eq_per_kwh, hour.estimated) for start, hour in hours]


def make_receipt(found: Evidence, *, now: datetime, before: Receipt | None = None) -> Receipt:
    """Return what the job emitted, and what other ways to do it would have.

    An hour whose intensity is not known is in no sum of emissions: it is named in `missing`.

    Args:
        found: what it is made from.
        now: when it is made.
        before: the receipt that it replaces: returned as it is, and nothing is computed, if the
            evidence is the same.

    Raises:
        InvalidInputError: a VM ran in an unknown compute zone.
    """
    digest = found.digest(now)
    if before is not None and before.evidence_sha256 == digest:
        return before
    job, manifest = found.job, found.manifest
    step = manifest.step if manifest else 0
    used = usage_of(job, found.ledger, found.lifetimes, final_step=step)
    rows = rows_of(used.stretches, found.actual)
    zones = [vm.life.compute_zone for vm in used.vms]
    revision = revision_of(rows, before.rows if before else None, now=now)
    baselines, regret = _compared(found, _work(found, used), rows, now=now, before=before)
    revisions = before.revisions if before else ()
    if not revisions or is_news(revision, revisions[-1]):
        revisions = (*revisions, revision)
    receipt = Receipt(
        job_id=job.job_id,
        created_at=now,
        outcome=found.outcome,
        allowed_regions=job.allowed_regions,
        submitted_at=job.submitted_at,
        finished_at=_finished_at(found),
        deadline=job.effective_deadline,
        rows=rows,
        intervals=tuple(_intervals(used, rows)),
        missing=_missing(rows),
        emissions_gco2eq=revision.emissions_gco2eq,
        energy_kwh=sum(row.energy_kwh for row in rows),
        overhead_kwh=sum(row.energy_kwh for row in rows if row.kind is not SpentOn.TRAINING),
        measured_kwh=sum(row.measured_kwh for row in rows),
        useful_h=used.useful.total_seconds() / 3600,
        power_w=_power_w(used),
        usd=_usd(job, used, found.prices),
        price_source=f"{found.prices.source}, {found.prices.day:%Y-%m-%d}",
        baselines=baselines,
        regret=regret,
        vms=len(zones),
        moves=sum(a != b for a, b in pairwise(zones)),
        steps=step,
        lost_steps=used.lost_steps,
        weights_sha256=manifest.weights_sha256 if manifest else "",
        basis=found.basis,
        source=found.source,
        zones=tuple(_zones(found, rows)),
        energy_basis=_energy_basis(job, found.ledger),
        revisions=revisions,
        evidence_sha256=digest,
    )
    if before is None:
        return receipt
    same = replace(receipt, created_at=before.created_at)
    return same if replace(same, evidence_sha256=before.evidence_sha256) == before else receipt


def saved_gco2eq(receipt: Receipt, policy: Policy) -> float | None:
    """Return what was saved against a baseline of this receipt, g; below 0 if more was emitted.

    `None` if there is no such baseline or it is not known, or if hours are missing: with part of
    the emissions unknown every saving would be too high.
    """
    baseline = receipt.baseline(policy)
    if baseline is None or baseline.emissions_gco2eq is None or not receipt.complete:
        return None
    return baseline.emissions_gco2eq - receipt.emissions_gco2eq


def saved_fraction(receipt: Receipt, policy: Policy) -> float | None:
    """Return the share of the baseline's emissions that was saved; `None` also if that is 0."""
    saved, baseline = saved_gco2eq(receipt, policy), receipt.baseline(policy)
    if saved is None or baseline is None or not baseline.emissions_gco2eq:
        return None
    return saved / baseline.emissions_gco2eq


def _work(found: Evidence, used: Usage) -> Work | None:
    """Return what to compare with; nothing if the job did not finish.

    Work that was not done cannot be had for less.
    """
    if found.outcome is not Phase.FINISHED or not used.useful:
        return None
    return Work(
        job=found.job,
        useful=used.useful,
        power_w=_power_w(used),
        finished_at=_finished_at(found),
        prices=found.prices,
    )


def _compared(
    found: Evidence,
    work: Work | None,
    rows: tuple[ReceiptRow, ...],
    *,
    now: datetime,
    before: Receipt | None,
) -> tuple[tuple[Baseline, ...], Regret | None]:
    """Return the baselines, and the regret once the oracle is final and all hours are known."""
    if work is None:
        return (), None
    baselines = baselines_of(work, found.actual, now)
    if before is not None and (before.rows, before.baselines) == (rows, baselines):
        return baselines, before.regret
    oracle = next((each for each in baselines if each.policy is Policy.ORACLE), None)
    if oracle is None or not oracle.is_final or any(row.gco2eq_per_kwh is None for row in rows):
        return baselines, None
    emissions_gco2eq = sum(row.emissions_gco2eq or 0.0 for row in rows)
    return baselines, regret_of(emissions_gco2eq, oracle, work, found.looks(), found.actual)


def _power_w(used: Usage) -> float:
    hours = used.useful.total_seconds() / 3600
    return 1000 * used.useful_kwh / hours if hours else 0.0


def _usd(job: Job, used: Usage, prices: PriceTable) -> float | None:
    """Return what the VMs cost from creation to end, `None` if a price is not known."""
    per_h, total = usd_per_h(prices, job.machine_type), 0.0
    for vm in used.vms:
        price = per_h.get(region_of(vm.life.compute_zone).name)
        if price is None:
            return None
        total += price * ((vm.life.terminated_at - vm.life.created_at) / HOUR)
        total += job.state_gb * prices.transfer_usd_per_gb if vm.entry else 0.0
    return total


def _finished_at(found: Evidence) -> datetime:
    is_finished = found.outcome is Phase.FINISHED and found.manifest is not None
    return found.manifest.created_at if is_finished and found.manifest else found.closed_at


def _missing(rows: Sequence[ReceiptRow]) -> tuple[MissingHour, ...]:
    hours = {(row.hour, row.grid_zone) for row in rows if row.gco2eq_per_kwh is None}
    return tuple(MissingHour(grid_zone=zone, start=hour) for hour, zone in sorted(hours))


def _intervals(used: Usage, rows: Sequence[ReceiptRow]) -> list[ReceiptInterval]:
    intervals = []
    for vm in used.vms:
        mine = [row for row in rows if row.incarnation == vm.life.incarnation]
        is_known = all(row.gco2eq_per_kwh is not None for row in mine)
        entry = vm.entry
        intervals.append(
            ReceiptInterval(
                vm=vm.life.vm,
                incarnation=vm.life.incarnation,
                compute_zone=vm.life.compute_zone,
                grid_zone=grid_zone_of(vm.life.compute_zone),
                start=vm.life.created_at,
                end=vm.life.terminated_at,
                is_assumed=vm.life.is_assumed,
                first_step=entry.first_step if entry else 0,
                last_step=entry.last_step if entry else 0,
                ended_because=entry.ended_because if entry else "",
                energy_kwh=sum(row.energy_kwh for row in mine),
                overhead_kwh=sum(r.energy_kwh for r in mine if r.kind is not SpentOn.TRAINING),
                emissions_gco2eq=sum(row.emissions_gco2eq or 0 for row in mine)
                if is_known
                else None,
            )
        )
    return intervals


def _zones(found: Evidence, rows: Sequence[ReceiptRow]) -> list[ZoneBasis]:
    allowed = (PLACES[name].grid_zone for name in found.job.allowed_regions if name in PLACES)
    begin = floor_hour(found.job.submitted_at)
    zones = []
    for zone in dict.fromkeys([*allowed, *(row.grid_zone for row in rows)]):
        used = {
            row.hour: row.estimated
            for row in rows
            if row.grid_zone == zone and row.gco2eq_per_kwh is not None
        }
        known = [hour for at, hour in found.actual.get(zone, {}).items() if at >= begin]
        zones.append(
            ZoneBasis(
                grid_zone=zone,
                used_hours=len(used),
                used_hours_estimated=sum(used.values()),
                known_hours=len(known),
                known_hours_estimated=sum(hour.estimated for hour in known),
            )
        )
    return zones


def _energy_basis(job: Job, ledger: Sequence[LedgerEntry]) -> str:
    declared = f"declared power {job.power_w:g} W x time"
    booked = sorted({entry.energy_basis for entry in ledger} - {declared})
    return "; ".join([*booked, f"{declared} for what no VM booked"]) if booked else declared
