"""Writes the receipt of a job that is over, and completes it when all actual carbon is known."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

from forecaster.series import Basis, IntensityHour
from functions.domain.accounting.receipt import make_receipt
from functions.domain.lifecycle.state import JobState, Phase
from functions.domain.lifecycle.vm import Vm
from functions.domain.regions import REGIONS, check_job
from functions.handlers.documents import Documents
from functions.handlers.record import known_hours
from functions.ports import Ports
from vm_runtime.contract import object_names
from vm_runtime.contract.checkpoint import CheckpointManifest, Latest
from vm_runtime.contract.job import Job
from vm_runtime.contract.ledger import LedgerEntry, VmLifetime

_LOG = logging.getLogger(__name__)

T = TypeVar("T", LedgerEntry, VmLifetime)

PATIENCE = timedelta(days=3)
"""Publishers revise within days; a receipt that still misses hours then stays incomplete."""


def settle_job(ports: Ports, state: JobState, vms: Sequence[Vm]) -> bool:
    """Write the receipt of a finished job; return whether it is complete.

    Nothing happens while a VM of the job is still there: its lifetime is not yet booked.
    """
    if state.settled:
        return True
    if state.phase is not Phase.FINISHED or any(vm.job_id == state.job_id for vm in vms):
        return False
    documents = Documents(ports.store)
    job = documents.get(Job, object_names.job(state.job_id))
    if any(region not in REGIONS for region in job.allowed_regions):
        check_job(job)  # Edited by hand since it was submitted: says what to mend.
    manifest = _final_manifest(documents, state.job_id)
    now = ports.clock.now()
    receipt = make_receipt(
        job,
        _entries(documents, LedgerEntry, state.job_id),
        _entries(documents, VmLifetime, state.job_id),
        actual=_actual(ports, job, now),
        manifest=manifest,
        basis=Basis.LIFECYCLE,
        source=ports.intensity.name,
        now=now,
    )
    documents.write(object_names.receipt(state.job_id), receipt)
    is_given_up = state.closed_at is not None and now - state.closed_at > PATIENCE
    if receipt.complete or is_given_up:
        found = documents.find(JobState, object_names.state(state.job_id))
        if found is not None:
            settled = replace(found.document, settled=True)
            name = object_names.state(state.job_id)
            documents.write(name, settled, if_generation=found.generation)
        _LOG.info(
            "receipt: %.1f gCO2eq for %.3f kWh",
            receipt.emissions_gco2eq,
            receipt.energy_kwh,
            extra={"job_id": state.job_id},
        )
    return receipt.complete


def _final_manifest(documents: Documents, job_id: str) -> CheckpointManifest:
    latest = documents.get(Latest, object_names.latest(job_id))
    checkpoint = latest.checkpoint_id or object_names.checkpoint_id(0, 0)
    return documents.get(CheckpointManifest, object_names.manifest(job_id, checkpoint))


def _entries(documents: Documents, kind: type[T], job_id: str) -> list[T]:
    is_lifetime = kind is VmLifetime
    return [
        documents.get(kind, name)
        for name in documents.names(object_names.ledger_folder(job_id))
        if name.endswith("-vm.json") == is_lifetime
    ]


def _actual(ports: Ports, job: Job, now: datetime) -> dict[str, dict[datetime, IntensityHour]]:
    """Return what is known of all allowed grid zones since the job was submitted."""
    since = job.submitted_at.replace(minute=0, second=0, microsecond=0)
    zones = [REGIONS[region].grid_zone for region in job.allowed_regions]
    return {
        zone: {hour.start: hour for hour in known_hours(ports, zone, since, now)} for zone in zones
    }
