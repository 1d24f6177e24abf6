"""All documents of one job, as read at one moment. Knows nothing of where they were read."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from forecaster.series import Forecast, IntensityHour
from functions.domain.accounting.document import Receipt
from functions.domain.lifecycle.state import JobState
from functions.domain.plan.document import Plan
from functions.domain.regions import PLACES
from functions.report.metrics import MetricPoint
from vm_runtime.contract.checkpoint import CheckpointManifest, Latest
from vm_runtime.contract.job import Job
from vm_runtime.contract.lease import Lease
from vm_runtime.contract.ledger import LedgerEntry, VmLifetime
from vm_runtime.contract.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDocuments:
    """What the bucket says about a job; a document that is not there yet is `None` or absent."""

    read_at: datetime
    """When they were read, on the deployment's clock."""
    job: Job
    state: JobState | None = None
    plans: tuple[Plan, ...] = ()
    """Ascending by origin."""
    forecasts: tuple[Forecast, ...] = ()
    """Ascending by origin; those that the plans rest on."""
    actual: Mapping[str, Mapping[datetime, IntensityHour]]
    """Recorded hours by grid zone and begin of the hour."""
    intensity_source: str = ""
    """Who published the recorded hours; says `simulated` where they are."""
    progress: Progress | None = None
    lease: Lease | None = None
    latest: Latest | None = None
    manifest: CheckpointManifest | None = None
    """Manifest of the checkpoint that `latest` points to."""
    ledger: tuple[LedgerEntry, ...] = ()
    """Ascending by incarnation."""
    lifetimes: tuple[VmLifetime, ...] = ()
    """Ascending by incarnation."""
    receipt: Receipt | None = None
    metrics: tuple[MetricPoint, ...] = ()
    """What the training measured, ascending by step."""

    @property
    def plan(self) -> Plan | None:
        """The plan in force; the newest one if the state names none and none is void."""
        if self.state is not None and self.state.seq and self.state.plan_id is None:
            return None
        named = self.state.plan_id if self.state else None
        newest = self.plans[-1] if self.plans else None
        return next((plan for plan in self.plans if plan.plan_id == named), newest)

    @property
    def forecast(self) -> Forecast | None:
        """The newest forecast."""
        return self.forecasts[-1] if self.forecasts else None

    @property
    def grid_zones(self) -> tuple[str, ...]:
        """Grid zones of the allowed regions, in their order."""
        return tuple(PLACES[name].grid_zone for name in self.job.allowed_regions)

    @property
    def is_simulated(self) -> bool:
        """Whether any carbon data behind it are simulated."""
        sources = [self.intensity_source, *(plan.forecast_source for plan in self.plans)]
        if self.receipt:
            sources.append(self.receipt.source)
        return any("simulated" in source.lower() for source in sources)

    def lifetime(self, incarnation: int) -> VmLifetime | None:
        """Return what the control plane saw of a VM, `None` if nothing yet."""
        return next((seen for seen in self.lifetimes if seen.incarnation == incarnation), None)
