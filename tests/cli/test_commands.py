"""The console command as a person calls it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from memory_blobs import MemoryBlobStore
from sample_job import finished_job, put_job
from typer.testing import CliRunner, Result

from functions.cli import app
from functions.cli.reading import JobReader, job_ids
from functions.cli.schemas import schema_files
from vm_runtime.contract import object_names
from vm_runtime.contract.codec import decode
from vm_runtime.contract.job import Job
from vm_runtime.storage import open_store

HEAVY = (
    "torch",
    "plotly",
    "google.api_core",
    "functions_framework",
    "flask",
    "lightning",
    "sklearn",
)


@pytest.fixture
def bucket(tmp_path: Path) -> str:
    """Return the URL of a bucket with one finished job."""
    url = (tmp_path / "bucket").as_uri()
    put_job(open_store(url), finished_job())
    return url


def run(*arguments: object) -> Result:
    """Return the outcome of one call."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_help_loads_nothing_heavy() -> None:
    """`--help` answers at once: no torch, no plotly, no Google client."""
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from functions.cli import app\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    found = subprocess.run(  # noqa: S603 - this interpreter, our own code
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert found.strip() == "[]"


def test_version_is_printed() -> None:
    """The version is one line."""
    assert run("--version").stdout.startswith("smartscheduler ")


def test_submitted_job_is_in_the_bucket_with_its_source(tmp_path: Path) -> None:
    """`submit` writes what `forecast` and the VM need, and `list` shows it."""
    source, url = tmp_path / "source", (tmp_path / "bucket").as_uri()
    source.mkdir()
    (source / "train.py").write_text("print('hello')")
    job = {
        "job_id": "mine",
        "machine_type": "e2-standard-4",
        "power_w": 150,
        "allowed_regions": ["europe-west3"],
        "work_h": 2,
    }
    (tmp_path / "job.json").write_text(json.dumps(job))
    done = run("submit", tmp_path / "job.json", "--source", source, "--bucket", url)
    assert done.exit_code == 0, done.output
    store = open_store(url)
    stored = decode(Job, store.read(object_names.job("mine")).data, name="job")
    assert stored.work_h == 2
    assert store.read(object_names.source_folder("mine") + "train.py").data == b"print('hello')"
    assert "mine" in run("list", "--bucket", url).stdout


def test_job_id_that_is_taken_is_refused(tmp_path: Path, bucket: str) -> None:
    """A second job of the same name does not overwrite the first."""
    (tmp_path / "digits.py").touch()
    job = json.loads(open_store(bucket).read(object_names.job("digits")).data)
    (tmp_path / "job.json").write_text(json.dumps(job))
    done = run("submit", tmp_path / "job.json", "--source", tmp_path, "--bucket", bucket)
    assert done.exit_code == 2
    assert "Choose another" in done.stderr


def test_status_shows_phase_and_events(bucket: str) -> None:
    """A person sees where the job is; a program gets the documents."""
    text = run("status", "digits", "--bucket", bucket).stdout
    assert "finished" in text
    assert "30 steps lost" in text
    parts = json.loads(run("status", "digits", "--bucket", bucket, "--json").stdout)
    assert parts["state"]["phase"] == "finished"
    assert parts["plan"]["plan_id"] == "2025-06-02T0600Z"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("status", "other"), "Jobs there: digits"),
        (("status", "digits", "--bucket", "ftp://x"), "expected file:///FOLDER or gs://BUCKET"),
    ],
)
def test_expected_errors_are_one_paragraph_and_exit_code_2(
    bucket: str, arguments: tuple[str, ...], told: str
) -> None:
    """A person's mistake gives one clear error, not a traceback."""
    arguments = arguments if "--bucket" in arguments else (*arguments, "--bucket", bucket)
    done = run(*arguments)
    assert done.exit_code == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_malformed_document_is_an_expected_error(bucket: str) -> None:
    """A document of another version names itself and what to do."""
    name = object_names.progress("digits")
    open_store(bucket).write(name, b'{"schema_version": 7}')
    done = run("status", "digits", "--bucket", bucket)
    assert done.exit_code == 2
    assert "expected schema_version 1, found 7" in done.stderr


def test_bugs_are_told_as_ours_and_shown_with_debug(
    monkeypatch: pytest.MonkeyPatch, bucket: str
) -> None:
    """What nobody expected is not dressed up as a user's mistake; `--debug` has the traceback."""
    monkeypatch.setattr(JobReader, "read", lambda *_: 1 / 0)
    done = run("status", "digits", "--bucket", bucket)
    assert done.exit_code == 70
    assert done.stderr.startswith("internal error: ZeroDivisionError")
    assert len(done.stderr.strip().splitlines()) == 1
    done = run("--debug", "status", "digits", "--bucket", bucket)
    assert isinstance(done.exception, ZeroDivisionError)


def test_report_is_written(tmp_path: Path, bucket: str) -> None:
    """`report` makes the folder and the page."""
    pytest.importorskip("plotly", reason="the report needs the extra `demo`")
    file = tmp_path / "new" / "report.html"
    assert run("report", "digits", "--bucket", bucket, "-o", file).exit_code == 0
    assert file.read_text().startswith("<!doctype html>")


def test_committed_schemas_are_up_to_date() -> None:
    """docs/schemas holds what the classes say: `smartscheduler schemas` mends it."""
    folder = Path(__file__).parents[2] / "docs" / "schemas"
    found = {file.name: file.read_text() for file in folder.glob("*.json")}
    assert found == schema_files()


def test_schemas_are_written(tmp_path: Path) -> None:
    """The command writes every schema."""
    assert run("schemas", "--out", tmp_path / "schemas").exit_code == 0
    assert {file.name for file in (tmp_path / "schemas").iterdir()} == set(schema_files())


def test_reader_sees_every_document() -> None:
    """What was written to the bucket comes back, in order and by kind."""
    store = MemoryBlobStore()
    documents = finished_job()
    put_job(store, documents)
    assert JobReader(store, "digits").read(documents.read_at) == documents
    assert job_ids(store) == ["digits"]


def test_reader_sees_recorded_hours_that_came_later() -> None:
    """A day that grew is read again, though days are kept between reads."""
    store = MemoryBlobStore()
    put_job(store, finished_job())
    reader = JobReader(store, "digits")
    name = object_names.intensity("DE", finished_job().read_at.date())
    before = reader.read(finished_job().read_at)
    day = json.loads(store.read(name).data)
    day["hours"] = day["hours"][:3]
    store.write(name, json.dumps(day).encode())
    after = reader.read(finished_job().read_at)
    assert len(before.actual["DE"]) == 12
    assert len(after.actual["DE"]) == 3
