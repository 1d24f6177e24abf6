"""All jobs and the grids at one moment, as a person looks at them. Pure."""

from dataclasses import dataclass
from datetime import datetime

from forecaster.series import Forecast
from functions.domain.lifecycle.state import JobState
from vm_runtime.contract.job import Job
from vm_runtime.contract.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLine:
    """One job among many; a document that is not there, or cannot be read, is `None`."""

    job_id: str
    job: Job | None = None
    state: JobState | None = None
    progress: Progress | None = None
    emissions_gco2eq: float | None = None
    """By its receipt; `None`: there is none yet."""
    trouble: str = ""
    """Why a document of it could not be read; empty if all could."""

    @property
    def phase(self) -> str:
        """The phase, in a word."""
        if self.trouble:
            return "unreadable"
        return self.state.phase.value if self.state else "not planned yet"

    @property
    def is_over(self) -> bool:
        """Whether nothing will happen to it any more."""
        return self.state is not None and self.state.phase.is_final

    @property
    def message(self) -> str:
        """What a person should know."""
        return self.trouble or (self.state.message if self.state else "")

    @property
    def steps(self) -> str:
        """Steps done, of how many."""
        if self.progress is None:
            return "none yet"
        total = self.progress.steps_total
        return f"{self.progress.steps_done} of {'an unknown number' if total is None else total}"

    @property
    def share_done(self) -> float | None:
        """Share of all steps that is done, 0 to 1; `None`: not known."""
        if self.progress is None or not self.progress.steps_total:
            return None
        return min(self.progress.steps_done / self.progress.steps_total, 1.0)

    @property
    def compute_zone(self) -> str:
        """Where its newest VM is; empty if there is none."""
        return self.state.target.compute_zone if self.state and self.state.target else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What there is in a bucket."""

    read_at: datetime
    jobs: tuple[JobLine, ...]
    """Those that are not over first, then the last ones changed; not all if there are many."""
    total: int
    """All jobs in the bucket."""
    forecast: Forecast | None
    """The newest forecast."""
