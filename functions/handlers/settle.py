"""Writes the receipt of a job that is over, and again whenever more is known of its carbon."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

from forecaster.series import Forecast
from functions.domain.accounting.document import Receipt
from functions.domain.accounting.energy import floor_hour
from functions.domain.accounting.receipt import Evidence, make_receipt, saved_gco2eq
from functions.domain.accounting.regret import Look
from functions.domain.lifecycle.state import JobState, Phase
from functions.domain.lifecycle.vm import Vm
from functions.domain.plan.document import Plan, Policy
from functions.domain.regions import PLACES, check_job, grid_zone_of
from functions.errors import InvalidInputError, StaleStateError
from functions.handlers.actual import read_actual
from functions.handlers.documents import Documents
from functions.handlers.prices import read_prices
from functions.ports import Ports
from vm_runtime.contract import object_names
from vm_runtime.contract.checkpoint import CheckpointManifest, Latest
from vm_runtime.contract.job import Job
from vm_runtime.contract.ledger import LedgerEntry, VmLifetime
from vm_runtime.storage.port import BlobStore

_LOG = logging.getLogger(__name__)

T = TypeVar("T", LedgerEntry, VmLifetime)

PATIENCE = timedelta(days=3)
"""Publishers revise within days; after that a receipt changes only if somebody asks for it."""

TRIES = 5
"""Compare-and-swaps of the receipt against others who make it at the same time."""


def settle_job(ports: Ports, state: JobState, vms: Sequence[Vm]) -> bool:
    """Write or renew the receipt of a job that is over; return whether all its hours are in.

    Nothing happens before it is closed, nor while a VM of it is there, not yet booked. The job
    is settled, and no longer looked at, once nothing is left to be published or revised.
    """
    if state.settled:
        return True
    is_closed = state.phase.is_final and state.closed_at is not None
    if not is_closed or any(vm.job_id == state.job_id for vm in vms):
        return False
    now = ports.clock.now()
    receipt = write_receipt(ports.store, state.job_id, now)
    if _is_settled(receipt, now):
        documents = Documents(ports.store)
        name = object_names.state(state.job_id)
        found = documents.find(JobState, name)
        # A person may have it tried once more meanwhile.
        if found is not None and found.document.phase.is_final:
            settled = replace(found.document, settled=True)
            documents.write(name, settled, if_generation=found.generation)
        _LOG.info(
            "receipt: %.3g gCO2eq for %.3g kWh",
            receipt.emissions_gco2eq,
            receipt.energy_kwh,
            extra={"event": "receipt", "job_id": state.job_id, **_saving(receipt)},
        )
    return receipt.complete


def _saving(receipt: Receipt) -> dict[str, float]:
    """Return what the dashboard adds up: less than run now, here; negative if it was more."""
    saved = saved_gco2eq(receipt, Policy.RUN_NOW_HERE)
    return {} if saved is None else {"saved_gco2eq": saved}


def write_receipt(store: BlobStore, job_id: str, now: datetime) -> Receipt:
    """Make the receipt from what the bucket says now, and write it if it differs.

    Raises:
        InvalidInputError: the job is not over, or a document of it cannot be used.
        StaleStateError: others wrote it at the same time, again and again.
    """
    documents = Documents(store)
    name = object_names.receipt(job_id)
    for _ in range(TRIES):
        found = documents.find(Receipt, name)
        before = found.document if found else None
        receipt = make_receipt(_evidence(documents, job_id, now), now=now, before=before)
        if receipt == before:
            return receipt
        try:
            documents.write(name, receipt, if_generation=found.generation if found else 0)
        except StaleStateError:
            continue
        return receipt
    raise StaleStateError(f"{name}: changed under {TRIES} writes in a row; the next tick tries")


def _is_settled(receipt: Receipt, now: datetime) -> bool:
    if not receipt.is_provisional and not receipt.estimated_hours:
        return True
    return now - max(receipt.finished_at, receipt.deadline or receipt.finished_at) > PATIENCE


def _evidence(documents: Documents, job_id: str, now: datetime) -> Evidence:
    job = documents.get(Job, object_names.job(job_id))
    state = documents.get(JobState, object_names.state(job_id))
    if any(region not in PLACES for region in job.allowed_regions):
        check_job(job)  # Edited by hand since it was submitted: says what to mend.
    if not state.phase.is_final or state.closed_at is None:
        raise InvalidInputError(
            f"job {job_id}: expected one that is over, found it {state.phase}. Its receipt is"
            " written when it has finished, failed or was cancelled: see `smartscheduler status`."
        )
    ledger = _entries(documents, LedgerEntry, job_id)
    lifetimes = _entries(documents, VmLifetime, job_id)
    zones = [PLACES[region].grid_zone for region in job.allowed_regions]
    zones += [grid_zone_of(entry.compute_zone) for entry in ledger]
    zones += [grid_zone_of(life.compute_zone) for life in lifetimes]
    last = max(
        state.closed_at,
        job.effective_deadline or state.closed_at,
        *(life.terminated_at for life in lifetimes),
    )
    actual = read_actual(
        documents, dict.fromkeys(zones), floor_hour(job.submitted_at), min(now, last)
    )
    return Evidence(
        job=job,
        outcome=state.phase,
        closed_at=state.closed_at,
        manifest=_last_manifest(documents, state),
        ledger=ledger,
        lifetimes=lifetimes,
        actual=actual.hours,
        basis=actual.basis,
        source=actual.source,
        prices=read_prices(documents),
        looks=lambda: _looks(documents, job_id),
    )


def _last_manifest(documents: Documents, state: JobState) -> CheckpointManifest | None:
    """Return the manifest of the last checkpoint; a failed job may have none."""
    latest = documents.peek(Latest, object_names.latest(state.job_id))
    checkpoint = latest.checkpoint_id if latest else None
    if checkpoint is not None:
        return documents.get(CheckpointManifest, object_names.manifest(state.job_id, checkpoint))
    if state.phase is Phase.FINISHED:
        raise InvalidInputError(
            f"{object_names.latest(state.job_id)}: expected the final checkpoint of a finished"
            " job, found none. Restore the object from the bucket's older versions."
        )
    return None


def _looks(documents: Documents, job_id: str) -> list[Look]:
    """Return when the job was planned, on which forecast; without all of them there is none."""
    plans = [
        documents.get(Plan, name)
        for name in documents.names(object_names.plan(job_id, "").removesuffix(".json"))
    ]
    looks = []
    for plan in plans:
        forecast = documents.peek(Forecast, object_names.forecast(plan.forecast_origin))
        if forecast is None:
            return []
        looks.append(Look(at=plan.created_at, forecast=forecast))
    return looks


def _entries(documents: Documents, kind: type[T], job_id: str) -> list[T]:
    is_lifetime = kind is VmLifetime
    return [
        documents.get(kind, name)
        for name in documents.names(object_names.ledger_folder(job_id))
        if name.endswith("-vm.json") == is_lifetime
    ]
