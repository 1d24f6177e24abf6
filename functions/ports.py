"""What the handlers need from the world; adapters and the embedded cloud provide it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from functions.domain.lifecycle.disk import DataDiskSpec, Disk, Snapshot
from functions.domain.lifecycle.vm import Operation, Vm, VmSpec
from functions.wire import WakeUp
from vm_runtime.contract.clock import Clock
from vm_runtime.storage.port import BlobStore

if TYPE_CHECKING:
    # It loads numpy, which three of the four functions have no use for.
    from forecaster.series import Forecast, IntensityHistory, IntensityHour


class VmFleet(Protocol):
    """All managed VMs of the project. No call waits for an operation to end.

    Every mutating call is idempotent by its `request_id`. All raise `UnavailableError`
    (the call may have succeeded) and `PermissionDeniedError`.
    """

    def list(self) -> Sequence[Vm]:
        """Return all managed VMs in all zones, in one call."""
        ...

    def insert(self, spec: VmSpec, *, request_id: str) -> Operation:
        """Start to create a VM; if the name exists, return a done operation without failure.

        No capacity or quota is never raised: it surfaces in the operation returned, or later.
        """
        ...

    def operation(self, name: str, compute_zone: str) -> Operation:
        """Look at an operation; an unknown one is done without failure."""
        ...

    def stop(self, vm: Vm, *, request_id: str) -> None:
        """Power off by force; a VM that is gone or down is fine."""
        ...

    def delete(self, vm: Vm, *, request_id: str) -> None:
        """Delete it with its boot disk; a VM that is gone is fine."""
        ...

    def start(self, vm: Vm, metadata: Mapping[str, str], *, request_id: str) -> Operation:
        """Give a stopped VM these values of metadata, then start it; others stay as they are.

        One that is gone or up is a done operation without failure. No capacity or quota is never
        raised: it surfaces in the operation, and the VM stays stopped.
        """
        ...

    def set_interval_end(self, vm: Vm, end: datetime, *, request_id: str) -> None:
        """Tell a running VM when to stop, by its metadata; a VM that is gone is fine."""
        ...


class DiskFleet(Protocol):
    """All managed disks and snapshots of the project. No call waits for an operation to end.

    Every mutating call is idempotent by its `request_id`. All raise `UnavailableError`
    (the call may have succeeded) and `PermissionDeniedError`. Operations are looked at with
    `VmFleet.operation`.
    """

    def disks(self) -> Sequence[Disk]:
        """Return all managed disks in all zones, boot disks among them, in one call."""
        ...

    def snapshots(self) -> Sequence[Snapshot]:
        """Return all managed snapshots, in one call."""
        ...

    def take_snapshot(
        self, disk: Disk, name: str, labels: dict[str, str], *, request_id: str
    ) -> Operation:
        """Start to make a snapshot; if the name exists, return a done operation without failure.

        The operation is in the disk's compute zone. A refusal is one that has failed.
        """
        ...

    def copy_disk(self, spec: DataDiskSpec, snapshot: Snapshot, *, request_id: str) -> Operation:
        """Start to make a disk from a snapshot; if the name exists, as `take_snapshot`.

        No capacity or quota is never raised: it surfaces in the operation returned, or later.
        """
        ...

    def attach(self, disk: Disk, vm: Vm, *, request_id: str) -> None:
        """Attach it to a running VM of its compute zone; one that is gone or has it is fine.

        Raises:
            InvalidInputError: that VM can never have that disk; the message says why.
        """
        ...

    def delete_disk(self, disk: Disk, *, request_id: str) -> None:
        """Delete it; one that is gone, attached, or not labelled as ours any more is left."""
        ...

    def delete_snapshot(self, snapshot: Snapshot, *, request_id: str) -> None:
        """Delete it; one that is gone or not labelled as ours any more is left."""
        ...


class Publisher(Protocol):
    """The topic `interval-plan`."""

    def publish(self, message: WakeUp) -> None:
        """Publish; returns when the topic has it. Raises `UnavailableError`."""
        ...


class Alarm(Protocol):
    """The Cloud Scheduler jobs that `forecast` and `submit` may touch."""

    def aim_boundary(self, at: datetime, *later: datetime) -> None:
        """Make the boundary job wake all functions at `at` (rounded up to its granularity).

        And at each of `later`, which lie within a few hours after it. More wake-ups than asked
        for may come: they change nothing.
        """
        ...

    def tick_now(self) -> None:
        """Trigger `forecast` now instead of at the full hour."""
        ...


class IntensitySource(Protocol):
    """Who publishes carbon intensity: average, life cycle. One source for all grid zones."""

    @property
    def name(self) -> str:
        """Source and basis as printed beside numbers; says `simulated` where it is.

        It is stored with each hour, and hours of another name are never joined to them.
        """
        ...

    def recent_hours(self, grid_zone: str, now: datetime) -> "Sequence[IntensityHour]":
        """Return the hours before `now` that the source gives, ascending.

        Raises:
            IntensityUnavailableError: none can be had now; the message says why.
        """
        ...


class Forecaster(Protocol):
    """The model, behind the adapter that knows torch."""

    def forecast(
        self,
        histories: "dict[str, IntensityHistory]",
        origin: datetime,
        *,
        horizon_h: int,
        source: str,
    ) -> "Forecast":
        """Return the forecast of every grid zone in `histories` that has recent data."""
        ...


class CallerCheck(Protocol):
    """Who may call a function; asked before anything of a request is believed."""

    def admit(self, authorization: str) -> None:
        """Return if the HTTP header `Authorization` is the caller's.

        Raises:
            CallerRefusedError: it is not.
            UnavailableError: it cannot be told now.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How many jobs are looked at at once, and for how long."""

    threads: int = 1
    """1: one after the other, in the caller's thread, as a simulation wants it."""
    time_limit_s: float = float("inf")
    """No job is begun later than that after a function's start; real seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """All that handlers may touch; built in `bootstrap` only."""

    store: BlobStore
    fleet: VmFleet
    disks: DiskFleet
    publisher: Publisher
    alarm: Alarm
    intensity: IntensitySource
    forecaster: Forecaster
    clock: Clock
    pace: Pace = field(default_factory=Pace)
