"""`python -m vm_runtime train.py --job DIR`: the same on one's own machine."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from vm_process import COUNT, until

from vm_runtime.__main__ import job_id_from, time_from
from vm_runtime.contract.base import JobId
from vm_runtime.contract.codec import decode
from vm_runtime.contract.ledger import LedgerEntry
from vm_runtime.contract.progress import Progress, RunState

FINISHED, FAILED, MORE_TO_DO = 0, 1, 75
JOB_ID = re.compile(JobId.__metadata__[0].metadata[0].pattern)  # type: ignore[attr-defined]


class Folder:
    """A script and a job folder."""

    def __init__(self, root: Path) -> None:
        """Write the script."""
        self.script = root / "Count Up.py"
        self.script.write_text(COUNT)
        self.job = root / "job"
        self.runs: list[subprocess.Popen[str]] = []

    def start(self, *args: str, **options: object) -> subprocess.Popen[str]:
        """Run the script in the folder."""
        command = [sys.executable, "-m", "vm_runtime", str(self.script), "--job", str(self.job)]
        run = subprocess.Popen(  # noqa: S603 - our own program
            [*command, *args], stderr=subprocess.PIPE, text=True, **options
        )
        self.runs.append(run)
        return run

    def progress(self) -> Progress:
        """Return the last report."""
        path = self.job / "jobs/count-up/progress.json"
        return decode(Progress, path.read_bytes(), name=path.name)

    def is_training(self) -> bool:
        """Whether steps are reported."""
        path = self.job / "jobs/count-up/progress.json"
        return path.exists() and self.progress().state is RunState.TRAINING


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    """A folder whose processes end with the test."""
    folder = Folder(tmp_path)
    yield folder
    for run in folder.runs:
        run.kill()
        run.communicate()


def test_it_stops_safely_and_goes_on(folder: Folder) -> None:
    """SIGTERM ends it with 75, the same command finishes it with 0, once more finds it done."""
    run = folder.start("--", "100000")
    until(folder.is_training)
    run.send_signal(signal.SIGTERM)
    run.communicate(timeout=20)
    assert run.returncode == MORE_TO_DO
    done = folder.progress().steps_done
    assert folder.progress().state is RunState.STOPPED
    run = folder.start("--", str(done + 10))
    run.communicate(timeout=20)
    assert run.returncode == FINISHED
    assert (folder.progress().incarnation, folder.progress().steps_done) == (2, done + 10)
    entry = (folder.job / "jobs/count-up/ledger/000002.json").read_bytes()
    assert decode(LedgerEntry, entry, name="ledger").first_step == done


def test_it_stops_at_the_time_given(folder: Folder) -> None:
    """`--until` is the interval's end."""
    end = (datetime.now(UTC) + timedelta(seconds=3)).isoformat()
    run = folder.start("--until", end, "--", "100000")
    run.communicate(timeout=20)
    assert run.returncode == MORE_TO_DO
    assert "interval end" in folder.progress().message


def test_bad_arguments_are_told(folder: Folder) -> None:
    """A time without an offset gives one clear line and harms nothing."""
    run = folder.start("--until", "2026-03-01T12:00:00")
    _, error = run.communicate(timeout=20)
    assert run.returncode == FAILED
    assert "expected --until with an offset" in error
    assert "Traceback" not in error
    assert not folder.job.exists()


def test_nothing_here_imports_torch() -> None:
    """The runtime starts fast: what the script needs, the script imports."""
    code = (
        "import sys, vm_runtime.__main__, vm_runtime.vm_session\n"
        "slow = ('torch', 'lightning', 'google.cloud.storage')\n"
        "sys.exit(any(name in sys.modules for name in slow))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0  # noqa: S603


@pytest.mark.parametrize("name", ["train", "Count Up", "2_layers", "ä", "x" * 60, "-a-", "_"])
def test_every_script_name_gives_a_job_id(name: str) -> None:
    """Whatever the script is called, its job has a valid id."""
    assert JOB_ID.fullmatch(job_id_from(name))


def test_a_clock_time_is_the_next_such_time() -> None:
    """`HH:MM` means today if that is yet to come, else tomorrow."""
    now = datetime(2026, 3, 1, 12, 30).astimezone()
    assert time_from("13:00", now) - now == timedelta(minutes=30)
    assert time_from("12:30", now) - now == timedelta(hours=24)
    assert time_from("2026-03-01T13:00:00+00:00", now) == datetime(2026, 3, 1, 13, tzinfo=UTC)
