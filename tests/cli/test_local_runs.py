"""`smartscheduler local` for real: processes that are interrupted or killed, and go on."""

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from local_world import is_alive
from typer.testing import CliRunner
from waiting import until

from functions.cli.app import app
from functions.domain.accounting.document import Receipt
from functions.here import train_here
from vm_runtime.contract import object_names as names
from vm_runtime.contract.checkpoint import CheckpointManifest, Latest
from vm_runtime.contract.codec import decode
from vm_runtime.contract.progress import Progress
from vm_runtime.launch import LocalRun, run_locally
from vm_runtime.script import ExitCode

AT = datetime(2024, 3, 12, 6, 30, tzinfo=UTC)
SPEED = 120.0
"""An hour in 30 real seconds: a busy machine needs ten to start a process."""
PATIENCE_S = 280.0
pytestmark = pytest.mark.timeout(900)

# Works in tenths of a second, keeps its count on SIGTERM, and says who it is.
COMMAND = """
import os, pathlib, signal, sys, time
here = pathlib.Path(__file__).parent
kept = here / "kept.txt"
count = int(kept.read_text()) if kept.exists() else 0
def stop(number, frame):
    kept.write_text(str(count))
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
with (here / "pids.txt").open("a") as file:
    file.write(f"{os.getpid()} {count}\\n")
while not (here / "enough.txt").exists():
    time.sleep(0.1)
    count += 1
(here / "done.txt").write_text(str(count))
"""

# Slow enough to be killed within; what it learns does not depend on that.
SCRIPT = """
import sys, time
import torch
from torch import nn
from torch.nn import functional
from vm_runtime.trainer import Callback, IntervalTrainer

class Slow(Callback):
    def on_batch_end(self, loss):
        time.sleep(float(sys.argv[1]))

torch.manual_seed(3)
data = torch.utils.data.TensorDataset(torch.rand(240, 4), torch.randint(0, 3, (240,)))
model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
IntervalTrainer(
    model=model, train_dataset=data, loss_fn=functional.cross_entropy, optimizer=optimizer,
    epochs=2, batch_size=4, seed=7, callbacks=[Slow()], checkpoint_every_s=60.0,
).fit()
"""


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """Recorded hours of one grid zone: a week before the start, and three days after."""
    rows = [
        f"DE,{AT.replace(minute=0) + timedelta(hours=h):%Y-%m-%dT%H:%M:%SZ},{300 + 5 * (h % 24)}\n"
        for h in range(-170, 72)
    ]
    file = tmp_path / "recorded" / "DE.csv"
    file.parent.mkdir()
    file.write_text("zone,datetime_utc,carbon_intensity\n" + "".join(rows))
    return file.parent


def command(history: Path, *words: str, speed: float = SPEED) -> list[str]:
    """Return a command line that has no time to wait for cleaner hours."""
    program = [sys.executable, "-c", "from functions.cli import app; app()", "local"]
    options = ["--grid-zone", "DE", "--work", "3h", "--deadline", "220m", "--grace", "30"]
    trial = ["--history", str(history), "--at", f"{AT:%Y-%m-%dT%H:%MZ}", "--speed", f"{speed:g}"]
    return [*program, *options, *trial, *words]


def ended(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Wait, and return exit code and output."""
    output, _ = process.communicate(timeout=PATIENCE_S)
    return process.returncode, output


def begin(words: list[str], folder: Path) -> "subprocess.Popen[str]":
    """Start a command in a folder."""
    return subprocess.Popen(  # noqa: S603 - ourselves
        words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def stays(folder: Path) -> list[tuple[int, int]]:
    """Return process and first count of each stay of the command."""
    file = folder / "pids.txt"
    lines = file.read_text().splitlines() if file.exists() else []
    return [(int(pid), int(count)) for pid, count in (line.split() for line in lines)]


def document(kind: type, folder: Path, name: str) -> object:
    """Return a document of the folder's bucket."""
    path = folder / ".smartscheduler" / "bucket" / name
    return decode(kind, path.read_bytes(), name=name) if path.exists() else None


def test_a_command_is_interrupted_and_goes_on(
    tmp_path: Path, history: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C lets it save; meanwhile nobody else may have the folder; then it finishes."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "count.py").write_text(COMMAND)
    words = command(history, "--", sys.executable, "count.py")
    first = begin(words, tmp_path)
    until(lambda: stays(tmp_path), timeout_s=PATIENCE_S)
    code, output = ended(begin(words, tmp_path))
    assert (code, f"held by process {first.pid}" in output) == (2, True), output
    os.kill(first.pid, signal.SIGINT)
    code, output = ended(first)
    assert code == 130, output
    assert "The same command goes on" in " ".join(output.split())
    kept = int((tmp_path / "kept.txt").read_text())

    (tmp_path / "enough.txt").touch()
    code, output = ended(begin([*words], tmp_path))
    assert code == 0, output
    assert (tmp_path / "done.txt").read_text() == str(kept)
    assert stays(tmp_path)[1][1] == kept > 0
    assert not any(is_alive(pid) for pid, _ in stays(tmp_path))
    receipt = document(Receipt, tmp_path, names.receipt("count"))
    assert isinstance(receipt, Receipt)
    assert receipt.complete
    assert receipt.emissions_gco2eq > 0
    assert receipt.usd is None
    assert {row.grid_zone for row in receipt.rows} == {"DE"}
    assert (tmp_path / ".smartscheduler" / "report.html").stat().st_size > 10_000
    other = CliRunner().invoke(app, ["local", *words[4:], "more"])
    assert other.exit_code == 2
    assert "another one (args: was" in " ".join(other.output.split())
    bucket = (tmp_path / ".smartscheduler" / "bucket").as_uri()
    for name in ("status", "receipt"):
        told = CliRunner().invoke(app, [name, "count", "--bucket", bucket])
        assert told.exit_code == 0, told.output


def test_a_script_survives_a_power_failure_bit_by_bit(tmp_path: Path, history: Path) -> None:
    """Killed with all that it had started; run again it ends with the weights of one stay."""
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    words = command(history, "--json", "train.py", "0.05")

    def has_checkpoint() -> bool:
        latest = document(Latest, tmp_path, names.latest("train"))
        return isinstance(latest, Latest) and latest.step > 0

    first = begin(words, tmp_path)
    until(has_checkpoint, timeout_s=PATIENCE_S)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate(timeout=PATIENCE_S)
    interrupted = document(Latest, tmp_path, names.latest("train"))
    assert isinstance(interrupted, Latest)
    assert not interrupted.finished

    code, output = ended(begin(words, tmp_path))
    assert code == 0, output
    events = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    assert {"story", "plan", "progress", "receipt", "end"} <= {each["event"] for each in events}
    assert events[-1] == {"event": "end", "exit_code": 0, "phase": "finished"}
    progress = document(Progress, tmp_path, names.progress("train"))
    assert isinstance(progress, Progress)
    assert progress.incarnation > 1
    assert weights(tmp_path / ".smartscheduler" / "bucket") == weights_of_one_stay(script, tmp_path)


def weights(bucket: Path) -> str:
    """Return the digest of the weights of a finished job."""
    latest = decode(Latest, (bucket / names.latest("train")).read_bytes(), name="LATEST")
    assert latest.finished
    assert latest.checkpoint_id is not None
    manifest = bucket / names.manifest("train", latest.checkpoint_id)
    return decode(CheckpointManifest, manifest.read_bytes(), name="manifest").weights_sha256


def weights_of_one_stay(script: Path, folder: Path) -> str:
    """Return the digest of the weights of a run that nobody interrupts."""
    run = LocalRun(
        script=script,
        args=("0",),
        folder=folder / "uninterrupted",
        job_id="train",
        until=None,
        power_w=100.0,
    )
    assert run_locally(run, {}) is ExitCode.FINISHED
    return weights(run.folder)


def test_a_failure_is_told_and_mended(
    tmp_path: Path, history: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From Python: it fails with its exit code; called again once it is mended, it finishes."""
    monkeypatch.chdir(tmp_path)
    program = tmp_path / "work.py"
    program.write_text("raise SystemExit(3)\n")

    def call() -> tuple[int, str]:
        outcome = train_here(
            [sys.executable, "work.py"],
            grid_zone="DE",
            work_h=3.0,
            deadline=AT + timedelta(minutes=220),
            history=history,
            at=AT,
            speed=SPEED,
        )
        return outcome.exit_code, outcome.message

    code, message = call()
    assert code == 1
    assert "expected exit code 0, found 3" in message
    program.write_text("import time; time.sleep(1.5)\n")
    assert call() == (0, "")
