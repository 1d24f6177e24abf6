"""The place in which a reader tries the guides: data, a script, a bucket, and stand-ins.

Commands that are ours run for real. What acts on an account, builds this project or takes longer
than a test may is taken by the stand-ins in `guide_programs`, which refuse what could not be meant.
"""

import gzip
import math
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from export_files import NEWER
from guide_blocks import ROOT
from idx_files import write_digits_as_mnist
from sample_job import JOB_ID, finished_job, put_job

from forecaster.series import HOUR
from vm_runtime.contract import object_names
from vm_runtime.storage import open_store

PROGRAMS = Path(__file__).parent / "guide_programs"
STOOD_IN = ("gcloud", "git", "make", "pip", "python", "smartscheduler", "terraform")
LINKED = ("Makefile", "docs", "forecaster", "functions", "infra", "pyproject.toml", "vm_runtime")
TRAINED = ("early", "model", "older", "weights")
"""What a reader has trained; the shipped artifact takes its place."""
BEGIN, END = datetime(2023, 1, 1, tzinfo=UTC), datetime(2024, 7, 1, tzinfo=UTC)
LEVELS = {"DE": 380.0, "ES": 150.0, "FR": 60.0}
METRICS = b"step,name,value,incarnation,time\n45,train_loss,0.8,1,2025-06-02T08:00:00+00:00\n"
ONE_COMMAND_S = 280


class Scene:
    """A folder, and one shell session in it."""

    def __init__(self, folder: Path) -> None:
        """Lay out everything a guide may speak of."""
        self.folder = folder
        self._bin = folder / "bin"
        self._session = folder / "session"
        self._session.touch()
        self._bin.mkdir()
        for name in STOOD_IN:
            (self._bin / name).symlink_to(PROGRAMS / "stand_in.py")
        for name in LINKED:
            (folder / name).symlink_to(ROOT / name)
        for name in TRAINED:
            (folder / name).symlink_to(ROOT / "forecaster" / "weights")
        _write_history(folder / "history")
        (folder / "live").symlink_to(folder / "history")
        _write_exports(folder)
        shutil.copy(ROOT / "vm_runtime" / "examples" / "digits.py", folder / "train.py")
        write_digits_as_mnist(folder / "mnist-data")
        self.bucket = (folder / "bucket").as_uri()
        store = open_store(self.bucket)
        put_job(store, finished_job())
        store.write(object_names.metrics(JOB_ID), METRICS)

    def run(self, commands: str) -> None:
        """Run them as a reader's shell does, in one session with those before.

        Raises:
            AssertionError: one of them failed; with what it said.
        """
        script = (
            f"set -euo pipefail\nsource {self._session}\n{commands}\ndeclare -px > {self._session}"
        )
        done = subprocess.run(  # noqa: S603 - our own guides
            ["/bin/bash", "-c", script],
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=ONE_COMMAND_S,
            check=False,
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"

    def _environment(self) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("SMARTSCHEDULER_", "COV_", "PYTEST_"))
        }
        return {
            **kept,
            "PATH": f"{self._bin}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "GUIDE_ROOT": str(ROOT),
            "GUIDE_PYTHON": sys.executable,
            "GUIDE_BUCKET": self.bucket,
            "SMARTSCHEDULER_BUCKET": self.bucket,
            "HOME": str(self.folder),
            "COLUMNS": "80",
        }


def _write_history(folder: Path) -> None:
    """Write hours of some grid zones: a day's wave, a week's and a year's."""
    folder.mkdir()
    hours = int((END - BEGIN) / HOUR)
    for grid_zone, level in LEVELS.items():
        with gzip.open(folder / f"{grid_zone}.csv.gz", "wt") as file:
            file.write("zone,datetime_utc,carbon_intensity\n")
            for hour in range(hours):
                wave = sum(math.sin(hour * 2 * math.pi / span + level) for span in (24, 168, 8766))
                value = level * (1 + 0.2 * wave)
                file.write(f"{grid_zone},{BEGIN + hour * HOUR:%Y-%m-%dT%H:%M:%SZ},{value:.1f}\n")


def _write_exports(folder: Path) -> None:
    """Write two days of Germany's yearly exports, as the data portal has them."""
    for year in (2023, 2024):
        rows = [
            f"{datetime(year, 1, 1, tzinfo=UTC) + hour * HOUR:%Y-%m-%d %H:%M:%S},"
            f"Germany,Germany,DE,{300 + hour},{380 + hour},35.12,30.82,entsoe.eu,false,"
            for hour in range(48)
        ]
        text = "\n".join([NEWER, *rows]) + "\n"
        (folder / f"DE_{year}_hourly.csv").write_text(text, encoding="utf-8")
