"""Train on this machine in the clean hours of its grid, from Python: see `docs/local.md`."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from functions.cli.local.command import job_id_of
from functions.cli.local.folder import NAME, Folder
from functions.cli.local.training import Outcome, train
from functions.cli.local.wanted import Wanted, check_command, check_script, grid_zone_of
from functions.report.documents import JobDocuments

__all__ = ["Outcome", "Quiet", "train_here"]


class Quiet:
    """Shows nothing; subclass it to look on."""

    def show(self, documents: JobDocuments) -> None:
        """See how things are: called twice a second."""

    def trouble(self, text: str) -> None:
        """Hear of something that a person should know."""


def train_here(  # noqa: PLR0913 - what the training is
    what: str | Path | Sequence[str],
    *,
    grid_zone: str,
    args: Sequence[str] = (),
    work_h: float | None = None,
    deadline: datetime | None = None,
    power_w: float = 100.0,
    max_carbon_intensity_gco2eq_per_kwh: float | None = None,
    min_interval_minutes: int = 0,
    folder: Path | None = None,
    history: Path | None = None,
    at: datetime | None = None,
    speed: float = 600.0,
    restart: bool = False,
    watcher: Quiet | None = None,
) -> Outcome:
    """Train in clean hours until it is over, in a process of its own; called again, it goes on.

    Args:
        what: a script that uses IntervalTrainer or Run; or a command, as a list of words.
        grid_zone: whose electricity this machine uses, such as `DE`.
        args: arguments of the script.
        work_h: compute time that it needs, hours; `None`: not known.
        deadline: when it must be done, aware; `None`: first start + 2 x work.
        power_w: power of this machine while it trains, watts.
        max_carbon_intensity_gco2eq_per_kwh: limit, kept as long as the deadline can be met.
        min_interval_minutes: shortest stay.
        folder: its state; `None`: `.smartscheduler` beside the script or in the current folder.
        history: recorded hours to try it on, a folder or a CSV file; `None`: live.
        at: when the clock starts, with `history`.
        speed: how fast the clock runs, with `history`.
        restart: whether to begin anew; what is in the folder is set aside.
        watcher: looks on.

    Raises:
        SchedulerError: it cannot be done; the message says what to mend.
    """
    here = Path.cwd()
    wraps = not isinstance(what, (str, Path))
    script = None if wraps else here / str(what)
    words = [str(word) for word in what] if not isinstance(what, (str, Path)) else [str(what)]
    if script is None:
        check_command(words, here)
    else:
        check_script(script)
    named = next((word for word in words if word.endswith((".py", ".sh"))), words[0])
    wanted = Wanted(
        job_id=job_id_of(Path(named).stem),
        grid_zone=grid_zone_of(grid_zone),
        work_folder=here,
        script=script,
        args=tuple(words) if wraps else tuple(args),
        work_h=work_h,
        deadline="" if deadline is None else deadline.astimezone(UTC).isoformat(),
        power_w=power_w,
        max_carbon_intensity_gco2eq_per_kwh=max_carbon_intensity_gco2eq_per_kwh,
        min_interval_minutes=min_interval_minutes,
        history=None if history is None else history.absolute(),
        at=at,
        speed=speed if history is not None else 1.0,
    )
    place = Folder(folder or (script.parent if script else here) / NAME)
    with _threads_kept():
        return train(wanted, place, watcher or Quiet(), restart=restart)


@contextmanager
def _threads_kept() -> Iterator[None]:
    """Leave torch the threads that the caller has given it: the forecaster takes one."""
    torch: Any = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch else None
    try:
        yield
    finally:
        if threads is not None:
            torch.set_num_threads(threads)
