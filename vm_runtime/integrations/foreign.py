"""A job around another library's trainer: its checkpoint files in the bucket, its progress told.

Knows files and the session; nothing of any trainer.
"""

import logging
import shutil
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, Self

from vm_runtime.checkpoint import Checkpoints
from vm_runtime.contract.ledger import SegmentKind
from vm_runtime.session import Session, StopReason, current_session

_log = logging.getLogger(__name__)

MORE_TO_DO = 75
"""Exit code of a script that was stopped, as a loop of one's own has it (`Run`)."""


class ForeignTraining:
    """One stay of another library's training in a job."""

    def __init__(self, session: Session, *, checkpoint_every_s: float | None) -> None:
        """Do nothing yet.

        Args:
            session: the job.
            checkpoint_every_s: what a crash may lose at most, seconds on the job's clock; `None`:
                checkpoints at a stop and at the end only.
        """
        self._session = session
        self._every_s = checkpoint_every_s
        self._checkpoints = Checkpoints(
            session.store, session.job.job_id, session.incarnation, session.clock
        )
        self._saved_at: datetime = session.clock.now()
        self._step = 0
        self._total: int | None = None
        self.is_finished = False
        """Whether the final checkpoint is committed."""

    @classmethod
    def of_this_process(cls, checkpoint_every_s: float | None) -> Self | None:
        """Return one in the job around this process, `None` without: then it simply trains."""
        session = current_session()
        return None if session is None else cls(session, checkpoint_every_s=checkpoint_every_s)

    def begin(self, target: Path) -> Path | None:
        """Wait for the job's turn and lay the latest checkpoint's files into `target`.

        Returns:
            `target`, `None` if there is no checkpoint yet.

        Raises:
            LeaseLostError: another VM has the job.
            CheckpointError: there are checkpoints, but none is intact.
            SystemExit: it has to stop before it could begin.
        """
        reason = self._session.begin()
        if reason is not None:
            self.leave(reason)
        self._session.spend(SegmentKind.LOAD)
        self._checkpoints.take_over()
        with self._checkpoints.restore() as restored:
            if restored is None:
                return None
            for file in restored.manifest.files:
                (target / file.name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(restored.folder / file.name, target / file.name)
            self._step = restored.manifest.step
        return target

    def start(self) -> None:
        """Book the time from now on as training."""
        self._saved_at = self._session.clock.now()
        self._session.spend(SegmentKind.TRAIN)

    def look(self) -> StopReason | None:
        """Return why to stop, `None` to go on; to be asked after each step.

        Raises:
            LeaseLostError: another VM has the job.
        """
        self._session.check_lease()
        return self._session.stop_reason()

    @property
    def is_due(self) -> bool:
        """Whether it is time for a checkpoint."""
        elapsed_s = (self._session.clock.now() - self._saved_at).total_seconds()
        return self._every_s is not None and elapsed_s >= self._every_s

    def report(self, step: int, total: int | None, metrics: Mapping[str, Any]) -> None:
        """Tell how far it is.

        Args:
            step: optimizer steps done.
            total: of how many, if known.
            metrics: whatever is a number among them is told.
        """
        self._step, self._total = step, total
        self._session.report(
            steps_done=step,
            steps_total=total,
            seconds_per_step=None,
            metrics=_numbers(metrics),
            committed_step=self._checkpoints.latest.step,
        )

    def save(self, folder: Path, *, finished: bool, weights_sha256: str) -> None:
        """Commit all files in `folder`: payload, manifest, LATEST; then training goes on.

        Raises:
            LeaseLostError: another VM has the job; LATEST was left as it is.
            CheckpointError: it could not be written; the last one is untouched.
        """
        session = self._session
        session.spend(SegmentKind.CHECKPOINT)
        session.check_lease()
        session.save_metrics()
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        self._checkpoints.commit(
            self._step,
            {path.relative_to(folder).as_posix(): _content(path) for path in files},
            finished=finished,
            weights_sha256=weights_sha256,
            check_wanted=session.check_lease,
        )
        self.is_finished = finished
        self.report(self._step, self._total, {})
        self.start()

    def leave(self, reason: StopReason) -> NoReturn:
        """End the session, stopped, and the script with it: nothing after the loop runs by mistake.

        Raises:
            SystemExit: always.
        """
        self._session.end(finished=False, stopped_because=reason)
        raise SystemExit(MORE_TO_DO)

    def finish(self) -> None:
        """End the session: all work is done, and committed as finished."""
        self._session.end(finished=True, stopped_because=None)


def _content(path: Path) -> Callable[[BinaryIO], object]:
    def write(stream: BinaryIO) -> None:
        with path.open("rb") as file:
            shutil.copyfileobj(file, stream)

    return write


def _numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    found = {}
    for name, value in metrics.items():
        try:
            found[name] = float(value)
        except (TypeError, ValueError):
            continue
    return found
