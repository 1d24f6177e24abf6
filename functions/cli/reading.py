"""Reads all documents of a job from the bucket, for people to look at; writes nothing."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import TypeVar

from forecaster.series import Forecast, IntensityDay, IntensityHour
from functions.domain.accounting.document import Receipt
from functions.domain.lifecycle.state import JobState
from functions.domain.plan.document import Plan
from functions.domain.regions import PLACES
from functions.handlers.documents import Documents
from functions.handlers.finding import no_such_job
from functions.report.documents import JobDocuments
from functions.report.metrics import MetricPoint, parse_metrics
from vm_runtime.contract import object_names as names
from vm_runtime.contract.checkpoint import CheckpointManifest, Latest
from vm_runtime.contract.job import Job
from vm_runtime.contract.lease import Lease
from vm_runtime.contract.ledger import LedgerEntry, VmLifetime
from vm_runtime.contract.progress import Progress
from vm_runtime.storage.port import LARGEST_READ_BYTES, BlobStore

T = TypeVar("T")

_LONGEST = timedelta(days=14)
"""Recorded hours are read for so long from the submission on; nobody looks at more in one view."""


class JobReader:
    """Reads one job again and again; what never changes is read once."""

    def __init__(self, store: BlobStore, job_id: str) -> None:
        """Read `job_id` from `store`."""
        self._documents = Documents(store)
        self._store = store
        self._job_id = job_id
        self._plans: dict[str, Plan] = {}
        self._forecasts: dict[datetime, Forecast] = {}
        self._days: dict[str, tuple[int, IntensityDay]] = {}
        self._metrics: tuple[int, tuple[MetricPoint, ...]] = 0, ()

    def read(self, now: datetime) -> JobDocuments:
        """Return what the bucket says at `now`.

        Raises:
            InvalidInputError: there is no such job, or a document is malformed.
        """
        job = self._job()
        plans = self._all_plans()
        latest = self._find(Latest, names.latest(self._job_id))
        state = self._find(JobState, names.state(self._job_id))
        days = list(self._recorded(job, now))
        folder = names.ledger_folder(self._job_id)
        return JobDocuments(
            read_at=now,
            job=job,
            state=state,
            plans=plans,
            forecasts=tuple(self._forecasts_of(plans)),
            actual=_by_hour(days),
            intensity_source=days[-1].source if days else "",
            progress=self._find(Progress, names.progress(self._job_id)),
            lease=self._find(Lease, names.lease(self._job_id)),
            latest=latest,
            manifest=self._manifest(latest),
            ledger=self._all(LedgerEntry, folder, lifetimes=False),
            lifetimes=self._all(VmLifetime, folder, lifetimes=True),
            receipt=self._receipt(state),
            metrics=self._curve(),
        )

    def _find(self, kind: type[T], name: str) -> T | None:
        return self._documents.peek(kind, name)

    def _receipt(self, state: JobState | None) -> Receipt | None:
        """Return the receipt of a job that is over; that of one retried since is out of date."""
        is_over = state is not None and state.phase.is_final
        return self._find(Receipt, names.receipt(self._job_id)) if is_over else None

    def _curve(self) -> tuple[MetricPoint, ...]:
        name = names.metrics(self._job_id)
        for info in self._store.list(name):
            is_new = info.name == name and info.generation != self._metrics[0]
            if is_new and info.size_bytes <= LARGEST_READ_BYTES:
                text = self._store.read(name).data.decode(errors="replace")
                self._metrics = info.generation, parse_metrics(text, name=name)
        return self._metrics[1]

    def _job(self) -> Job:
        job = self._find(Job, names.job(self._job_id))
        if job is None:
            raise no_such_job(self._store, self._job_id)
        return job

    def _all_plans(self) -> tuple[Plan, ...]:
        prefix = names.plan(self._job_id, "")[: -len(".json")]
        for name in self._documents.names(prefix):
            if name not in self._plans:
                self._plans[name] = self._documents.get(Plan, name)
        return tuple(self._plans[name] for name in sorted(self._plans))

    def _forecasts_of(self, plans: Iterable[Plan]) -> Iterable[Forecast]:
        for origin in sorted({plan.forecast_origin for plan in plans}):
            if origin not in self._forecasts:
                found = self._find(Forecast, names.forecast(origin))
                if found is None:
                    continue
                self._forecasts[origin] = found
            yield self._forecasts[origin]

    def _manifest(self, latest: Latest | None) -> CheckpointManifest | None:
        if latest is None or latest.checkpoint_id is None:
            return None
        name = names.manifest(self._job_id, latest.checkpoint_id)
        return self._find(CheckpointManifest, name)

    def _all(self, kind: type[T], folder: str, *, lifetimes: bool) -> tuple[T, ...]:
        found = [
            self._find(kind, name)
            for name in self._documents.names(folder)
            if name.endswith("-vm.json") == lifetimes
        ]
        return tuple(document for document in found if document is not None)

    def _recorded(self, job: Job, now: datetime) -> Iterable[IntensityDay]:
        last = min(now, job.submitted_at + _LONGEST).date()
        for region in job.allowed_regions:
            day = job.submitted_at.date()
            while day <= last:
                found = self._day(names.intensity(PLACES[region].grid_zone, day))
                if found is not None:
                    yield found
                day += timedelta(days=1)

    def _day(self, name: str) -> IntensityDay | None:
        for info in self._store.list(name):
            if name not in self._days or self._days[name][0] != info.generation:
                day = self._documents.get(IntensityDay, name)
                self._days[name] = (info.generation, day)
            return self._days[name][1]
        return None


def job_ids(store: BlobStore) -> list[str]:
    """Return the ids of all jobs in the bucket, sorted."""
    return Documents(store).job_ids()


def _by_hour(days: Iterable[IntensityDay]) -> Mapping[str, Mapping[datetime, IntensityHour]]:
    table: dict[str, dict[datetime, IntensityHour]] = {}
    for day in days:
        table.setdefault(day.grid_zone, {}).update({hour.start: hour for hour in day.hours})
    return table
