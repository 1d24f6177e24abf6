"""Makes the receipt of a finished job: energy as booked, carbon as published afterwards."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise

from forecaster.series import Basis, IntensityHour
from functions.domain.accounting.baselines import Actual, baselines_of
from functions.domain.accounting.document import Receipt, ReceiptHour
from functions.domain.accounting.energy import HourEnergy, by_hour, usage_of
from functions.domain.plan.document import Policy
from functions.domain.regions import grid_zone_of
from vm_runtime.contract.checkpoint import CheckpointManifest
from vm_runtime.contract.job import Job
from vm_runtime.contract.ledger import LedgerEntry, VmLifetime


def make_receipt(  # noqa: PLR0913 - everything that an audit needs, each named by the caller
    job: Job,
    ledger: Sequence[LedgerEntry],
    lifetimes: Sequence[VmLifetime],
    *,
    actual: Mapping[str, Mapping[datetime, IntensityHour]],
    manifest: CheckpointManifest,
    basis: Basis,
    source: str,
    now: datetime,
) -> Receipt:
    """Return what `job` emitted, and what other ways to do it would have.

    An hour whose intensity is not known is in no sum: it is counted in `missing_hours`.

    Args:
        job: the finished job.
        ledger: what its VMs booked, one entry per incarnation.
        lifetimes: how long each VM drew power; what it did not book is overhead.
        actual: hours as published, by grid zone and begin of the hour, UTC.
        manifest: of the final checkpoint.
        basis: accounting basis of `actual`.
        source: who published it.
        now: when the receipt is made.

    Raises:
        InvalidInputError: a VM ran in an unknown compute zone.
    """
    used = usage_of(ledger, lifetimes, power_w=job.power_w, final_step=manifest.step)
    energies = by_hour(used.stretches)
    hours = _hours(energies, actual)
    missing = len(energies) - len(hours)
    zones = used.compute_zones
    return Receipt(
        job_id=job.job_id,
        created_at=now,
        complete=missing == 0,
        missing_hours=missing,
        submitted_at=job.submitted_at,
        finished_at=manifest.created_at,
        hours=hours,
        emissions_gco2eq=sum(hour.emissions_gco2eq for hour in hours),
        energy_kwh=sum(hour.energy_kwh for hour in hours),
        overhead_kwh=sum(hour.overhead_kwh for hour in hours),
        baselines=baselines_of(job, used.useful, actual, manifest.created_at),
        vms=len(zones),
        moves=sum(a != b for a, b in pairwise(zones)),
        steps=manifest.step,
        lost_steps=used.lost_steps,
        weights_sha256=manifest.weights_sha256,
        basis=basis,
        source=source,
        energy_basis=_energy_basis(job, ledger),
    )


def saved_fraction(receipt: Receipt, policy: Policy) -> float | None:
    """Return the share of the baseline's emissions that was saved; below 0 if more was emitted.

    `None` if there is no such baseline, if it emits nothing, or if hours are missing: with part
    of the emissions unknown every saving would be too high.
    """
    baseline = receipt.baseline(policy)
    if baseline is None or baseline.emissions_gco2eq == 0 or not receipt.complete:
        return None
    return 1 - receipt.emissions_gco2eq / baseline.emissions_gco2eq


def _hours(
    energies: Mapping[tuple[datetime, str], HourEnergy], actual: Actual
) -> tuple[ReceiptHour, ...]:
    hours = []
    for (start, compute_zone), energy in sorted(energies.items(), key=lambda item: item[0]):
        grid_zone = grid_zone_of(compute_zone)
        intensity = actual.get(grid_zone, {}).get(start)
        if intensity is None:
            continue
        hours.append(
            ReceiptHour(
                start=start,
                compute_zone=compute_zone,
                grid_zone=grid_zone,
                energy_kwh=energy.energy_kwh,
                overhead_kwh=energy.overhead_kwh,
                gco2eq_per_kwh=intensity.gco2eq_per_kwh,
                estimated=intensity.estimated,
            )
        )
    return tuple(hours)


def _energy_basis(job: Job, ledger: Sequence[LedgerEntry]) -> str:
    declared = f"declared power {job.power_w:g} W x time"
    booked = sorted({entry.energy_basis for entry in ledger} - {declared})
    return "; ".join([*booked, f"{declared} for what no VM booked"]) if booked else declared
