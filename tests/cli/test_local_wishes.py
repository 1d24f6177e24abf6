"""What `smartscheduler local` refuses, and how it says so; its folder; its output."""

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from functions.cli.app import app
from functions.cli.local.carbon import source_of
from functions.cli.local.folder import Folder, Saved
from functions.cli.local.machine import timing_of
from functions.cli.local.output import Output
from functions.cli.local.wanted import Wanted, check_command, check_script
from functions.cli.local.wanted import grid_zone_of as known_grid_zone
from functions.cli.quantities import deadline_of
from functions.domain.regions import GRID_ZONES
from functions.errors import InvalidInputError

NOW = datetime(2024, 3, 5, 6, tzinfo=UTC)


def wanted(folder: Path, **changes: object) -> Wanted:
    """Return a wish for a script."""
    script = folder / "train.py"
    script.write_text("print('hello')\n")
    base = Wanted(job_id="train", grid_zone="DE", work_folder=folder, script=script)
    return replace(base, **changes)  # type: ignore[arg-type]


def refused(*words: str) -> str:
    """Return what the command says when it refuses, in one line."""
    result = CliRunner().invoke(app, ["local", *words])
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    return " ".join(result.output.split())


@pytest.mark.parametrize("grid_zone", GRID_ZONES)
def test_each_grid_zone_makes_a_job_of_this_machine(grid_zone: str, tmp_path: Path) -> None:
    """Here is the only place, in whatever case the zone was written."""
    zone = known_grid_zone(grid_zone.lower())
    job = wanted(tmp_path, grid_zone=zone, work_h=6.0, deadline="24h").job(NOW)
    assert job.allowed_regions[0].startswith("local-")
    assert len(job.allowed_regions) == 1
    assert job.effective_deadline == NOW + timedelta(hours=24)


def test_bad_words_get_a_helpful_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 2, what was expected, what was found, and a guess."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SMARTSCHEDULER_ELECTRICITY_MAPS_KEY", raising=False)
    monkeypatch.delenv("SMARTSCHEDULER_INTENSITY_SOURCE", raising=False)
    Path("train.py").write_text("print(1)\n")
    Path("broken.py").write_bytes(b"x = 1\r\nif x\r\n    pass\r\n")
    assert "did you mean DE?" in refused("--grid-zone", "DEE", "train.py")
    assert "expected one of BE" in refused("train.py")
    assert "did you mean" in refused("--grid-zone", "DE", "trein.py")
    assert "broken.py, line 2: expected Python" in refused("--grid-zone", "DE", "broken.py")
    assert "found nothing" in refused("--grid-zone", "DE")
    assert "--work: expected a duration" in refused("--grid-zone", "DE", "--work", "x", "train.py")
    assert "--at: expected --history" in refused(
        "--grid-zone", "DE", "--at", "2024-03-05T06:00Z", "train.py"
    )
    assert "SMARTSCHEDULER_ELECTRICITY_MAPS_KEY" in refused("--grid-zone", "BR-CS", "train.py")
    assert "is not there" in refused("--grid-zone", "DE", "--", "no-such-command")
    assert "--deadline: expected a duration" in refused(
        "--grid-zone", "DE", "--deadline", "soon", "train.py"
    )


def test_windows_line_ends(tmp_path: Path) -> None:
    """Python reads them; a program whose interpreter would not be found is refused."""
    script = tmp_path / "train.py"
    script.write_bytes(b"x = 1\r\nprint(x)\r\n")
    check_script(script)
    program = tmp_path / "train.sh"
    program.write_bytes(b"#!/bin/sh\r\necho hello\r\n")
    with pytest.raises(InvalidInputError, match="not executable"):
        check_command(["./train.sh"], tmp_path)
    program.chmod(0o755)
    with pytest.raises(InvalidInputError, match="Unix line ends"):
        check_command(["./train.sh"], tmp_path)
    program.write_bytes(b"#!/bin/sh\necho hello\n")
    check_command(["./train.sh"], tmp_path)


def test_deadlines() -> None:
    """A duration counts from the first start; a time must say where it is so late."""
    assert deadline_of("90m", NOW) == NOW + timedelta(minutes=90)
    assert deadline_of("2024-03-06T00:00+02:00", NOW) == datetime(2024, 3, 5, 22, tzinfo=UTC)
    with pytest.raises(InvalidInputError, match="offset"):
        deadline_of("2024-03-06T00:00", NOW)


def test_a_folder_is_held_by_one(tmp_path: Path) -> None:
    """The second is told who holds it; once that one is gone, it is free."""
    folder = Folder(tmp_path / "state")
    holds = (
        "import sys; from pathlib import Path; from functions.cli.local.folder import Folder\n"
        "with Folder(Path(sys.argv[1])).held():\n print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(  # noqa: S603 - ourselves
        [sys.executable, "-c", holds, str(folder.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(InvalidInputError, match=f"held by process {other.pid}"), folder.held():
            pass
        other.kill()
    with folder.held():
        pass


def test_a_folder_knows_its_training(tmp_path: Path) -> None:
    """Saved in one piece; another wish is told apart by name; nothing is deleted."""
    folder = Folder(tmp_path / "state")
    folder.path.mkdir()
    first = wanted(tmp_path, work_h=6.0)
    assert folder.load() is None
    folder.save(Saved(wanted=first, saved_at=NOW))
    found = folder.load()
    assert found == Saved(wanted=first, saved_at=NOW)
    assert first.differences(replace(first, work_h=7.0)) == ["work_h: was 6.0, is 7.0"]
    aside = folder.set_aside()
    assert aside is not None
    assert (aside / "local.json").exists()
    assert folder.load() is None


def test_recorded_hours_are_checked(tmp_path: Path) -> None:
    """The week before the start must be there; the message says which times are possible."""
    history = tmp_path / "history"
    history.mkdir()
    rows = [
        f"DE,{NOW + timedelta(hours=h):%Y-%m-%dT%H:%M:%SZ},{300 + h % 24}\n" for h in range(240)
    ]
    (history / "DE.csv").write_text("zone,datetime_utc,carbon_intensity\n" + "".join(rows))
    wish = wanted(tmp_path, history=history, at=NOW + timedelta(hours=200), speed=600.0)
    hours = source_of(wish, tmp_path / "state").recent_hours("DE", NOW + timedelta(hours=200))
    assert len(hours) == 168
    for at in (None, NOW + timedelta(hours=2), NOW + timedelta(hours=900)):
        with pytest.raises(InvalidInputError, match="2024-03-12T06:00Z to 2024-03-15T06:00Z"):
            source_of(replace(wish, at=at), tmp_path / "state")
    file = replace(wish, history=history / "DE.csv")
    assert "recorded" in source_of(file, tmp_path / "state").name
    with pytest.raises(InvalidInputError, match="expected hours of FR"):
        source_of(replace(wish, grid_zone="FR"), tmp_path / "state")


@pytest.mark.parametrize("speed", [1.0, 600.0])
def test_a_stop_is_given_its_time(speed: float) -> None:
    """No force before the grace is over, at any speed of the clock."""
    timing = timing_of(speed, 120.0)
    assert timing.force_stop_after_s / speed >= 120.0
    assert timing.shutdown_grace_s / speed >= 120.0


def test_output_is_what_script_and_command_print(tmp_path: Path) -> None:
    """Whole lines, once; of the runtime's own only what a person must know."""
    log = tmp_path / "ss-train-1.log"
    log.write_text("from an earlier run\n")
    output = Output(tmp_path)
    quiet = {"severity": "INFO", "message": "waiting", "logger": "vm_runtime.vm_session"}
    loud = {**quiet, "severity": "WARNING", "message": "SIGKILL to the command"}
    printed = {"severity": "INFO", "message": "epoch 1", "logger": "script"}
    with log.open("a") as file:
        file.write("plain\n{not json}\nha")
        file.flush()
        assert output.take() == ["plain", "{not json}"]
        file.write("lf\n" + "".join(json.dumps(each) + "\n" for each in (quiet, loud, printed)))
    assert output.take() == ["half", "SIGKILL to the command", "epoch 1"]
    assert output.take() == []
