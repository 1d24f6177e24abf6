"""How a VM of the embedded cloud goes from state to state. Pure."""

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import assert_never

from functions.domain.lifecycle.vm import FailureKind, Operation, Vm, VmStatus
from functions.errors import InvalidInputError
from functions.local.faults import Faults
from vm_runtime.contract.base import NonNegative, Positive, Utc, document
from vm_runtime.contract.instance import MANAGED_BY, Attribute, Label


@document
class Delays:
    """How long the compute service takes; simulated seconds (a start is about a minute)."""

    provisioning_s: NonNegative = 20.0
    staging_s: NonNegative = 20.0
    stopping_s: NonNegative = 20.0
    snapshot_s: NonNegative = 60.0
    copy_s: NonNegative = 60.0
    """Snapshot of a data disk, and a disk from it: they grow with what is on it."""


class Fate(StrEnum):
    """What becomes of an insert, decided when it is accepted."""

    RUNS = "runs"
    STOCK_OUT = "stock-out"
    FAILS = "fails"


@document
class VmRecord:
    """A VM as the compute service remembers it."""

    name: str
    compute_zone: str
    machine_type: str
    labels: dict[str, str]
    metadata: dict[str, str]
    max_run_duration_s: Positive
    operation: str
    """Name of the insert operation."""
    created_at: Utc
    status: VmStatus = VmStatus.PROVISIONING
    since: Utc
    """When it came into that state."""
    fate: Fate = Fate.RUNS
    extra_provisioning_s: NonNegative = 0.0
    running_since: Utc | None = None
    """Since when it has power, if it came so far since it was made or started."""
    was_up: bool = False
    """Whether it ran at all, perhaps before it was started again."""
    terminated_at: Utc | None = None
    is_deleting: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """Names are unique in a compute zone, as on Compute Engine."""
        return self.compute_zone, self.name

    @property
    def is_managed(self) -> bool:
        """Whether it has our label."""
        return self.labels.get(Label.MANAGED_BY) == MANAGED_BY

    @property
    def up_since(self) -> datetime:
        """When it was made, or started again."""
        started = self.metadata.get(Attribute.STARTED_AT)
        return datetime.fromisoformat(started) if started else self.created_at

    def vm(self) -> Vm:
        """Return it as the port shows it."""
        return Vm(
            name=self.name,
            compute_zone=self.compute_zone,
            status=self.status,
            job_id=self.labels[Label.JOB],
            incarnation=int(
                self.metadata.get(Attribute.INCARNATION, self.labels[Label.INCARNATION])
            ),
            created_at=self.up_since,
            interval_end=datetime.fromisoformat(self.metadata[Attribute.INTERVAL_END]),
            run_until=self.up_since + timedelta(seconds=self.max_run_duration_s),
            terminated_at=self.terminated_at,
        )


@document
class OperationRecord:
    """An operation as the compute service remembers it."""

    name: str
    compute_zone: str
    vm_name: str
    done: bool = False
    failure: FailureKind | None = None
    message: str = ""

    def operation(self) -> Operation:
        """Return it as the port shows it."""
        return Operation(
            name=self.name,
            compute_zone=self.compute_zone,
            done=self.done,
            failure=self.failure,
            message=self.message,
        )


def check_labelled(labels: dict[str, str], metadata: dict[str, str]) -> None:
    """Refuse a managed VM that could not be listed later.

    Raises:
        InvalidInputError: names what is missing.
    """
    if labels.get(Label.MANAGED_BY) != MANAGED_BY:
        return
    missing = [str(key) for key in (Label.JOB, Label.INCARNATION) if key not in labels]
    missing += [str(key) for key in (Attribute.INTERVAL_END,) if key not in metadata]
    if missing:
        raise InvalidInputError(
            f"insert: expected labels and metadata with {', '.join(missing)}, found none."
            " Set them in the VmSpec."
        )


def fate_of(compute_zone: str, faults: Faults, *, fails: bool) -> Fate:
    """Return what becomes of an insert into `compute_zone`."""
    region = compute_zone.rpartition("-")[0]
    if faults.stock_outs & {compute_zone, region}:
        return Fate.STOCK_OUT
    return Fate.FAILS if fails else Fate.RUNS


def enter(record: VmRecord, status: VmStatus, now: datetime) -> VmRecord:
    """Return the record in another state from `now` on."""
    running_since = now if status is VmStatus.RUNNING else record.running_since
    is_down = status is VmStatus.TERMINATED
    return replace(
        record,
        status=status,
        since=now,
        running_since=running_since,
        was_up=record.was_up or status is VmStatus.RUNNING,
        terminated_at=now if is_down else record.terminated_at,
    )


def started(
    record: VmRecord, metadata: Mapping[str, str], operation: str, now: datetime
) -> VmRecord:
    """Return a stopped VM as it is when it was started again: with power soon, and as new."""
    return replace(
        enter(record, VmStatus.PROVISIONING, now),
        metadata=record.metadata | dict(metadata),
        operation=operation,
        running_since=None,
        terminated_at=None,
        extra_provisioning_s=0.0,
        fate=Fate.RUNS,
    )


def advance(record: VmRecord, now: datetime, *, has_power: bool, delays: Delays) -> VmRecord | None:
    """Return the record as time and the guest have made it; `None` once it is gone.

    Args:
        record: the VM.
        now: simulated time.
        has_power: whether its process lives.
        delays: how long the states last.
    """
    match record.status:
        case VmStatus.PROVISIONING:
            wait_s = delays.provisioning_s + record.extra_provisioning_s
            following = enter(record, VmStatus.STAGING, now) if record.fate is Fate.RUNS else None
        case VmStatus.STAGING:
            wait_s = delays.staging_s
            following = enter(record, VmStatus.RUNNING, now)
        case VmStatus.RUNNING if has_power:
            wait_s = record.max_run_duration_s
            following = enter(record, VmStatus.STOPPING, now)
        case VmStatus.RUNNING:
            wait_s = 0.0
            following = enter(record, VmStatus.TERMINATED, now)
        case VmStatus.STOPPING:
            wait_s = math.inf if has_power else delays.stopping_s
            following = None if record.is_deleting else enter(record, VmStatus.TERMINATED, now)
        case VmStatus.TERMINATED:
            return record
        case _:
            assert_never(record.status)
    is_due = (now - record.since).total_seconds() >= wait_s
    return following if is_due else record


def after_power_failure(record: VmRecord, at: datetime) -> VmRecord:
    """Return the record as it is after the host machine went down at `at`."""
    has_power = record.status in {VmStatus.RUNNING, VmStatus.STOPPING}
    if not has_power or record.is_deleting:
        return record
    return enter(record, VmStatus.TERMINATED, at)
