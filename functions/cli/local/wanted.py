"""What `smartscheduler local` is to do: checked before anything is written or waited for."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Literal

from functions.cli.quantities import deadline_of
from functions.domain.regions import GRID_ZONES, LOCAL_REGIONS, check_job
from functions.errors import InvalidInputError
from functions.near_name import did_you_mean
from vm_runtime.contract.base import Count, JobId, NonNegative, Positive, Utc, document
from vm_runtime.contract.job import LOCAL_MACHINE, Job

_START_S, _REAL_START_S = 60.0, 3.0
"""What a start costs here: no VM has to boot, imports and the checkpoint have to be loaded."""


@document
class Wanted:
    """The command line, as far as it says what the training is; kept in the folder."""

    job_id: JobId
    """Made of the script's or command's name."""
    grid_zone: str
    """Whose electricity this machine uses."""
    work_folder: Path
    """Current folder of script or command."""
    script: Path | None = None
    """Python script, run inside the session; `None`: a command is wrapped."""
    args: tuple[str, ...] = ()
    """Arguments of the script, or the command with its arguments."""
    work_h: Positive | None = None
    """Compute time that it needs, hours; `None`: not known."""
    deadline: str = ""
    """As given: hours after the first start, or a time; empty: none."""
    power_w: Positive = 100.0
    """Power of this machine while it trains, watts."""
    max_carbon_intensity_gco2eq_per_kwh: Positive | None = None
    """Limit, kept as long as the deadline can be met."""
    min_interval_minutes: Count = 0
    """Shortest stay."""
    grace_s: NonNegative = 60.0
    """Real seconds from SIGTERM to SIGKILL."""
    retries: Count = 0
    """How often it is started again after it failed."""
    history: Path | None = None
    """Recorded hours to try it on; `None`: live."""
    at: Utc | None = None
    """When the clock starts, with recorded hours."""
    speed: Positive = 1.0
    """How fast it runs."""
    schema_version: Literal[1] = 1
    """Version of this document."""

    def job(self, now: datetime) -> Job:
        """Return the job document of a training that begins at `now`.

        Raises:
            InvalidInputError: what is wanted cannot be done.
        """
        deadline = deadline_of(self.deadline, now) if self.deadline else None
        job = Job(
            job_id=self.job_id,
            machine_type=LOCAL_MACHINE,
            power_w=self.power_w,
            allowed_regions=(LOCAL_REGIONS[self.grid_zone].name,),
            submitted_at=now,
            script=self.shown,
            args=self.args if self.script else (),
            work_h=self.work_h,
            deadline=deadline,
            start_overhead_s=max(_START_S, _REAL_START_S * self.speed),
            max_carbon_intensity_gco2eq_per_kwh=self.max_carbon_intensity_gco2eq_per_kwh,
            min_interval_minutes=self.min_interval_minutes,
            max_failures=self.retries + 1,
        )
        check_job(job)
        return job

    @property
    def shown(self) -> str:
        """Name of the script, or of the file that notes the command."""
        return self.script.name if self.script else "command.txt"

    def source(self) -> dict[str, bytes]:
        """Return what was run, for the record."""
        if self.script:
            return {self.shown: self.script.read_bytes()}
        return {self.shown: " ".join(self.args).encode() + b"\n"}

    def differences(self, other: "Wanted") -> list[str]:
        """Return a line for each thing that `other` wants otherwise."""
        mine, theirs = asdict(self), asdict(other)
        return [
            f"{name}: was {mine[name]!r}, is {theirs[name]!r}"
            for name in mine
            if mine[name] != theirs[name]
        ]


def grid_zone_of(text: str) -> str:
    """Return the grid zone that is meant, in whatever case.

    Raises:
        InvalidInputError: it is none of the thirteen.
    """
    wanted = text.strip().upper().replace("_", "-")
    if wanted in GRID_ZONES:
        return wanted
    raise InvalidInputError(
        f"--grid-zone: expected one of {', '.join(sorted(GRID_ZONES))}, found {text!r}"
        f"{did_you_mean(wanted, GRID_ZONES)}."
    )


def check_script(script: Path) -> None:
    """See to it now that Python can read the script, not in the small hours.

    Raises:
        InvalidInputError: it cannot; the message says where and what to do.
    """
    try:
        source = script.read_bytes()
    except OSError as error:
        names = [path.name for path in script.absolute().parent.glob("*.py")]
        raise InvalidInputError(
            f"{script}: expected a training script that can be read, found none"
            f" ({error.strerror})"
            f"{did_you_mean(script.name, names)}."
        ) from error
    try:
        compile(source, str(script), "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        where = f", line {line}" if line else ""
        what = getattr(error, "msg", None) or str(error)
        raise InvalidInputError(
            f"{script}{where}: expected Python, found: {what}. Mend it; another kind of program"
            " follows `--`."
        ) from error


def check_command(command: Sequence[str], folder: Path) -> None:
    """See to it now that the command can be started.

    Raises:
        InvalidInputError: it cannot; the message says why and what to do.
    """
    name = command[0]
    path = folder / name
    found = shutil.which(str(path) if os.sep in name else name)
    if found is None:
        why = "is not executable: chmod +x it" if path.is_file() else "is not there"
        raise InvalidInputError(
            f"{name}: expected a command that can be started, found that it {why}, or name its"
            " interpreter (`-- python my_train.py`)."
        )
    with Path(found).open("rb") as file:
        first = file.readline(512)
    if first.startswith(b"#!") and first.endswith(b"\r\n"):
        raise InvalidInputError(
            f"{name}: expected a script with Unix line ends, found Windows ones, with which its"
            f" interpreter {first[2:].strip().decode(errors='replace')!r} is not found. Convert"
            f" it: sed -i 's/\\r$//' {name}"
        )
    for argument in command[1:2]:
        if argument.endswith(".py") and not (folder / argument).is_file():
            check_script(folder / argument)
