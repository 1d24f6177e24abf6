"""`init`, `logs`, `forecast`, `plan` and the pictures, as a person calls them."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sample_job import finished_job, put_job, running_job, sample_forecast
from typer.testing import CliRunner, Result

from functions.cli import app
from functions.cli.logs import lines, vm_query, whereabouts
from vm_runtime.contract.codec import encode
from vm_runtime.storage import open_store


@pytest.fixture
def bucket(tmp_path: Path) -> str:
    """Return the URL of a bucket with one finished job."""
    url = (tmp_path / "cloud" / "bucket").as_uri()
    put_job(open_store(url), finished_job())
    return url


def run(*arguments: object) -> Result:
    """Return the outcome of one call."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_what_init_writes_runs_and_can_be_submitted(tmp_path: Path) -> None:
    """The script trains, the job passes the check, can be planned, and is accepted."""
    folder = tmp_path / "My first Job"
    assert run("init", folder, "--deadline-h", "30").exit_code == 0
    trained = subprocess.run(  # noqa: S603 - this interpreter, the script that was written
        [sys.executable, folder / "train.py", "--epochs", "1"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )

    assert trained.returncode == 0, trained.stderr
    assert "finished after step 32" in trained.stdout
    done = run("submit", folder / "job.json", "--check")
    assert done.exit_code == 0, done.output
    assert "my-first-job: well-formed" in done.stdout
    url = (tmp_path / "bucket").as_uri()
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    forecast = replace(sample_forecast(), origin=now)
    open_store(url).write(f"forecasts/{now:%Y-%m-%dT%H%MZ}.json", encode(forecast))
    done = run("plan", "--job", folder / "job.json", "--bucket", url, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["meets_deadline"]
    assert run("submit", folder / "job.json", "--bucket", url).exit_code == 0


def test_init_overwrites_nothing_unasked(tmp_path: Path) -> None:
    """What a person wrote stays, unless they say so."""
    (tmp_path / "train.py").write_text("mine")
    done = run("init", tmp_path)

    assert done.exit_code == 2
    assert "--force" in done.stderr
    assert (tmp_path / "train.py").read_text() == "mine"
    assert not (tmp_path / "job.json").exists()
    assert run("init", tmp_path, "--force").exit_code == 0
    assert (tmp_path / "train.py").read_text() != "mine"


def test_init_knows_the_regions(tmp_path: Path) -> None:
    """A typo gets a guess, and nothing is written."""
    done = run("init", tmp_path / "new", "--region", "europe-wst3")

    assert done.exit_code == 2
    assert "(did you mean europe-west3?)" in done.stderr
    assert not (tmp_path / "new").exists()


def test_job_file_with_windows_line_ends_is_read(tmp_path: Path) -> None:
    """An editor on Windows, with its byte order mark, harms nothing."""
    run("init", tmp_path)
    text = (tmp_path / "job.json").read_text()
    (tmp_path / "job.json").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())

    assert run("submit", tmp_path / "job.json", "--check").exit_code == 0


def test_submit_without_a_bucket_says_where_to_name_it(tmp_path: Path) -> None:
    """All three ways are told."""
    run("init", tmp_path)
    done = CliRunner().invoke(
        app, ["submit", str(tmp_path / "job.json")], env={"SMARTSCHEDULER_BUCKET": ""}
    )

    assert done.exit_code == 2
    assert "smartscheduler.toml" in done.stderr


def test_script_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """A folder without the script is named."""
    run("init", tmp_path)
    (tmp_path / "train.py").unlink()
    done = run("submit", tmp_path / "job.json", "--check")

    assert done.exit_code == 2
    assert "expected the job's script 'train.py'" in done.stderr


def test_logs_tell_the_story_and_where_the_rest_is(bucket: str, tmp_path: Path) -> None:
    """Events, the last progress with its metrics, and the VMs' own files."""
    (tmp_path / "cloud" / "vms").mkdir()
    (tmp_path / "cloud" / "vms" / "ss-digits-1.log").touch()
    done = run("logs", "digits", "--bucket", bucket, "--follow")

    assert done.exit_code == 0
    assert "ss-digits-1 gone without notice, 30 steps lost" in done.stdout
    assert "loss 0.031" in done.stdout
    assert "ss-digits-1.log" in done.stderr
    found = [
        json.loads(line)
        for line in run("logs", "digits", "--bucket", bucket, "--json").stdout.splitlines()
    ]
    assert {"event", "progress"} <= {line["kind"] for line in found}
    assert [line["at"] for line in found] == sorted(line["at"] for line in found)


def test_logs_on_google_give_link_and_command() -> None:
    """There is no client of Cloud Logging among the packages: the console has the lines."""
    told = list(whereabouts("digits", "gs://b", "p"))

    assert any(line.startswith("VMs and functions: https://console.cloud.google") for line in told)
    assert any("gcloud logging read" in line and "--project=p" in line for line in told)
    assert "^ss-digits-[0-9]+$" in vm_query("digits")


def test_log_of_a_running_job_ends_with_its_progress() -> None:
    """What was reported last stands last."""
    assert lines(running_job())[-1].kind == "progress"


def test_forecast_of_the_bucket_is_shown_with_the_cleanest_hours(bucket: str) -> None:
    """A person sees grid zones by hour; a program gets the document, as long as asked for."""
    done = run("forecast", "fr", "europe-west3", "--bucket", bucket, "--hours", "12")

    assert done.exit_code == 0, done.output
    assert "FR " in done.stdout
    assert "ES " not in done.stdout
    assert "Caution: made" in done.stdout
    found = json.loads(run("forecast", "DE", "--bucket", bucket, "--hours", "12", "--json").stdout)
    assert [zone["grid_zone"] for zone in found["zones"]] == ["DE"]
    assert len(found["zones"][0]["p50"]) == 12


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "expected --bucket URL"),
        (("--history", "DIR", "--live"), "Give one"),
        (("--at", "2025-01-01T00:00Z", "--live"), "expected --history with it"),
        (("--history", "DIR"), "--history: "),
    ],
)
def test_forecast_says_what_it_can_be_made_from(
    tmp_path: Path, arguments: tuple[str, ...], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Contradictions and nothing at all are told before any work."""
    monkeypatch.delenv("SMARTSCHEDULER_BUCKET", raising=False)
    given = [str(tmp_path) if each == "DIR" else each for each in arguments]
    done = run("forecast", *given)

    assert done.exit_code == 2
    assert told in done.stderr


def test_plan_without_a_forecast_says_where_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command that makes one is named."""
    monkeypatch.delenv("SMARTSCHEDULER_BUCKET", raising=False)
    run("init", tmp_path)
    done = run("plan", "--job", tmp_path / "job.json")

    assert done.exit_code == 2
    assert "smartscheduler forecast --history DIR --json" in done.stderr


PICTURES = {
    "forecast": ("forecast",),
    "plan": ("plan", "--at", "2025-06-02T06:10Z", "--job", "JOB"),
    "receipt": ("receipt", "digits"),
    "report": ("report", "digits", "-o", "PAGE"),
    "status": ("status", "digits"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_commands_with_series_draw_them(name: str, bucket: str, tmp_path: Path) -> None:
    """Each picture is there, is an SVG, and names unit and source."""
    pytest.importorskip("matplotlib", reason="pictures need the extra `demo`")
    deadline = datetime(2025, 6, 2, 6, tzinfo=UTC) + timedelta(hours=20)
    run("init", tmp_path)
    job = json.loads((tmp_path / "job.json").read_text()) | {"deadline": deadline.isoformat()}
    job["submitted_at"] = "2025-06-02T06:00:00Z"
    (tmp_path / "job.json").write_text(json.dumps(job))
    places = {"JOB": tmp_path / "job.json", "PAGE": tmp_path / "page.html"}
    file = tmp_path / "new" / f"{name}.svg"
    arguments = [places.get(each, each) for each in PICTURES[name]]
    done = run(*arguments, "--bucket", bucket, "--plot", file)

    assert done.exit_code == 0, done.output
    text = file.read_text(encoding="utf-8")
    assert "<svg" in text
    expected = ("metrics.csv", "optimizer step") if name == "status" else ("simulated", "gCO2eq")
    for word in expected:
        assert word in text


def test_picture_of_a_strange_kind_is_refused(bucket: str, tmp_path: Path) -> None:
    """The kinds are named."""
    done = run("forecast", "--bucket", bucket, "--plot", tmp_path / "x.bmp")

    assert done.exit_code == 2
    assert "expected a file .png, .svg, .pdf" in done.stderr


def test_report_of_all_jobs_is_one_small_page(bucket: str, tmp_path: Path) -> None:
    """Jobs and grids, without the code of any library."""
    file = tmp_path / "index.html"
    assert run("report", "--all", "--bucket", bucket, "-o", file).exit_code == 0
    text = file.read_text()

    assert "1 job, 0 not over" in text
    assert "digits" in text
    assert "Simulated carbon data" in text
    assert len(text) < 100_000


def test_report_wants_a_job_or_all(bucket: str) -> None:
    """Neither, or both, is a mistake."""
    for arguments in ((), ("digits", "--all")):
        done = run("report", *arguments, "--bucket", bucket)

        assert done.exit_code == 2
        assert "--all" in done.stderr
