"""`pause`, `resume`, `cancel` and `retry` as a person calls them."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sample_job import finished_job, put_job
from typer.testing import CliRunner, Result

from functions.cli import app
from functions.domain.lifecycle.state import JobState, Phase
from functions.handlers.documents import Documents
from vm_runtime.contract import object_names
from vm_runtime.contract.job import Job
from vm_runtime.storage import open_store

NAME = object_names.state("digits")


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Return the URL of a bucket with one job that is under way."""
    store = open_store((tmp_path / "bucket").as_uri())
    done = finished_job()
    deadline = datetime.now(UTC) + timedelta(hours=100)
    put_job(store, replace(done, job=replace(done.job, deadline=deadline)))
    put(store.url, JobState(job_id="digits", seq=3, plan_id="2025-06-02T0600Z"))
    return store.url


def put(url: str, state: JobState) -> None:
    """Write the job's state."""
    store = open_store(url)
    store.write(NAME, b"{}")
    documents = Documents(store)
    documents.write(NAME, state)


def phase(url: str) -> Phase:
    """Return the job's phase."""
    return Documents(open_store(url)).get(JobState, NAME).phase


def run(*arguments: object) -> Result:
    """Return the outcome of one call."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_pause_and_resume_say_what_follows(url: str) -> None:
    """Each names the next command; `list` and `status` show the phase."""
    paused = run("pause", "digits", "--bucket", url)
    assert "smartscheduler resume digits" in paused.stdout
    assert phase(url) is Phase.PAUSED
    assert "paused" in run("list", "--bucket", url).stdout
    assert "paused" in run("status", "digits", "--bucket", url).stdout

    resumed = run("resume", "digits", "--bucket", url)

    assert "within 5 minutes" in resumed.stdout
    assert "deadline" not in resumed.stdout
    assert phase(url) is Phase.ACTIVE


def test_resume_says_that_the_deadline_cannot_be_met(url: str) -> None:
    """By how much, and what happens instead."""
    documents = Documents(open_store(url))
    state = documents.get(JobState, NAME)
    put(url, replace(state, phase=Phase.PAUSED))
    job = finished_job().job
    documents.write(object_names.job("digits"), replace(job, deadline=None, work_h=3.0))
    open_store(url).delete(object_names.progress("digits"))

    told = run("resume", "digits", "--bucket", url).stdout

    assert "h late" in told
    assert "as early as can be" in told


def test_resume_takes_a_new_deadline(url: str) -> None:
    """As a duration from now; what is none is refused and changes nothing."""
    state = Documents(open_store(url)).get(JobState, NAME)
    put(url, replace(state, phase=Phase.PAUSED))

    for none in ("soon", "999999999999d", "2026-12-01T00:00", "2020-01-01T00:00Z"):
        refused = run("resume", "digits", "--bucket", url, "--deadline", none)
        assert (refused.exit_code, "deadline: expected" in refused.stderr) == (2, True), none
        assert phase(url) is Phase.PAUSED
    now = datetime.now(UTC)
    assert run("resume", "digits", "--bucket", url, "--deadline", "48h").exit_code == 0

    deadline = Documents(open_store(url)).get(Job, object_names.job("digits")).deadline
    assert deadline is not None
    assert timedelta(hours=48) <= deadline - now < timedelta(hours=49)
    assert phase(url) is Phase.ACTIVE


def test_cancel_prints_json_for_programs(url: str) -> None:
    """The same facts, by name."""
    told = json.loads(run("cancel", "digits", "--bucket", url, "--json").stdout)

    assert (told["job_id"], told["verb"], told["phase"]) == ("digits", "cancel", "cancelled")
    assert told["changed"] is True
    again = run("cancel", "digits", "--bucket", url)
    assert (again.exit_code, again.stdout) == (0, "digits is cancelled already: nothing changed.\n")


def test_retry_puts_the_mended_script_in_place(url: str, tmp_path: Path) -> None:
    """The usual way out of a failure: mend, retry."""
    put(url, JobState(job_id="digits", phase=Phase.FAILED, message="KeyError"))
    script = finished_job().job.script
    folder = tmp_path / "mended"
    folder.mkdir()
    (folder / script).write_text("print('mended')\n")

    told = run("retry", "digits", "--source", folder, "--bucket", url)

    stored = open_store(url).read(object_names.source_folder("digits") + script)
    assert told.exit_code == 0
    assert stored.data == b"print('mended')\n"
    assert phase(url) is Phase.ACTIVE


def test_a_refused_retry_leaves_the_source_as_it_is(url: str, tmp_path: Path) -> None:
    """A script must not change under a job that runs."""
    script = finished_job().job.script
    (tmp_path / script).write_text("print('another')\n")
    folder = object_names.source_folder("digits")
    before = [info.generation for info in open_store(url).list(folder)]

    told = run("retry", "digits", "--source", tmp_path, "--bucket", url)

    after = [info.generation for info in open_store(url).list(folder)]
    assert told.exit_code == 2
    assert "found it active" in told.stderr
    assert after == before


@pytest.mark.parametrize("command", ["pause", "resume", "cancel", "retry", "status"])
def test_a_typo_is_answered_with_the_likeliest_job(url: str, command: str) -> None:
    """One paragraph, exit code 2, no traceback."""
    told = run(command, "digit", "--bucket", url)

    assert told.exit_code == 2
    assert "did you mean digits?" in told.stderr
    assert "Traceback" not in told.stderr


def test_a_receipt_from_before_a_retry_is_out_of_date(url: str) -> None:
    """The job is under way again: neither `status` nor `receipt` shows the old one."""
    assert "emissions" not in run("status", "digits", "--bucket", url).stdout

    told = run("receipt", "digits", "--bucket", url)

    assert told.exit_code == 2
    assert "expected a receipt" in told.stderr
