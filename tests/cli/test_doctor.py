"""`doctor`: what is wrong, and the command that mends it; each check by itself."""

import json
import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import requests
import responses
from sample_job import finished_job, put_job
from typer.testing import CliRunner, Result

from functions.cli import app
from functions.cli.doctor import here, run
from functions.cli.doctor.findings import Finding, Verdict, good, run_all
from functions.cli.doctor.google import APIS, Deployment, check_clock, check_credentials
from functions.domain.regions import REGIONS
from vm_runtime.storage import open_store

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
ROOTS = {
    "APIs": r"https://serviceusage\.",
    "quota": r"https://compute\..*/regions",
    "topic": r"https://pubsub\.",
    "functions": r"https://cloudfunctions\.",
    "schedules": r"https://cloudscheduler\.",
    "templates": r"https://compute\..*/instanceTemplates",
    "key": r"https://secretmanager\.",
}
NAMES = [f"smartscheduler-{name}" for name in ("forecast", "move-vm", "start-vm", "stop-vm")]
WELL: dict[str, Any] = {
    "APIs": {
        "services": [
            {"name": f"projects/1/services/{api}.googleapis.com", "state": "ENABLED"}
            for api in APIS
        ]
    },
    "quota": {
        "items": [
            {"name": name, "quotas": [{"metric": "CPUS", "limit": 72, "usage": 8}]}
            for name in REGIONS
        ]
    },
    "topic": {"name": "projects/p/topics/smartscheduler-interval-plan"},
    "functions": {"functions": [{"name": f"x/{name}", "state": "ACTIVE"} for name in NAMES]},
    "schedules": {
        "jobs": [
            {"name": f"x/smartscheduler-{name}", "state": "ENABLED"}
            for name in ("forecast", "heartbeat", "boundary")
        ]
    },
    "templates": {"items": [{"name": "smartscheduler-default-1"}]},
    "key": {"versions": [{"name": "1"}]},
}


@pytest.fixture(autouse=True)
def nobody_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of whoever runs the tests counts."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    for name in ("BUCKET", "PROJECT", "LOCATION", "ELECTRICITY_MAPS_KEY"):
        monkeypatch.delenv(f"SMARTSCHEDULER_{name}", raising=False)


def call(*arguments: object) -> Result:
    """Return the outcome of one call."""
    return CliRunner().invoke(app, ["doctor", *map(str, arguments)])


def findings(answers: dict[str, Any]) -> dict[str, Finding]:
    """Return what the checks of a deployment find, given the answers of Google's APIs."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as google:
        for name, root in ROOTS.items():
            body = answers.get(name, WELL[name])
            status = body if isinstance(body, int) else 200
            google.get(re.compile(root), json={} if status != 200 else body, status=status)
        deployment = Deployment(project="p", location="europe-west1", get=requests.get)
        return {each.check: each for each in run_all(deployment.checks())}


def test_deployment_that_is_well_is_found_well() -> None:
    """All checks pass on a deployment as infra/ makes it."""
    assert {each.verdict for each in findings({}).values()} == {Verdict.GOOD}


@pytest.mark.parametrize(
    ("check", "answer", "verdict", "told", "mend"),
    [
        ("APIs", {"services": []}, Verdict.BAD, "pubsub.googleapis.com", "gcloud services enable"),
        (
            "quota",
            {"items": [{"name": "europe-west3", "quotas": [
                {"metric": "CPUS", "limit": 8, "usage": 8}]}]},
            Verdict.WARNING, "europe-west3", "iam-admin/quotas?project=p",
        ),
        ("topic", 404, Verdict.BAD, "not there", "terraform apply"),
        ("functions", {"functions": [{"name": f"x/{NAMES[0]}", "state": "FAILED"}]},
         Verdict.BAD, "smartscheduler-forecast failed", "terraform apply"),
        ("schedules", {"jobs": [{"name": "x/smartscheduler-forecast", "state": "PAUSED"},
                                {"name": "x/smartscheduler-heartbeat", "state": "ENABLED"}]},
         Verdict.BAD, "paused: smartscheduler-forecast", "gcloud scheduler jobs resume"),
        ("templates", {}, Verdict.BAD, "none", "terraform apply"),
        ("key", {}, Verdict.WARNING, "no version", "gcloud secrets versions add"),
        ("quota", 403, Verdict.BAD, "compute.regions.list", "add-iam-policy-binding p"),
        ("APIs", 401, Verdict.BAD, "credentials", "gcloud auth application-default login"),
        ("topic", 503, Verdict.BAD, "HTTP 503", "try again"),
    ],
)  # fmt: skip
def test_each_trouble_is_found_alone_with_its_remedy(
    check: str, answer: object, verdict: Verdict, told: str, mend: str
) -> None:
    """The one check names trouble and remedy; all others are as well as before."""
    found = findings({check: answer})

    assert found[check].verdict is verdict
    assert told in found[check].found
    assert mend in found[check].mend
    assert {each.verdict for name, each in found.items() if name != check} == {Verdict.GOOD}


def test_network_that_is_down_is_told_by_each_check() -> None:
    """No check breaks the others, whatever it meets."""

    def unreachable(url: str) -> Any:  # noqa: ANN401 - never returns
        raise requests.ConnectionError(url)

    deployment = Deployment(project="p", location="europe-west1", get=unreachable)
    found = run_all([*deployment.checks(), ("fine", lambda: good("fine", "yes"))])

    assert [each.verdict for each in found] == [Verdict.BAD] * len(ROOTS) + [Verdict.GOOD]
    assert all("ConnectionError" in each.found for each in found[:-1])


@pytest.mark.parametrize(
    ("skew_s", "verdict"), [(0, Verdict.GOOD), (9, Verdict.GOOD), (90, Verdict.BAD), (-90, "bad")]
)
def test_clock_is_compared_with_that_of_the_bucket(skew_s: int, verdict: Verdict) -> None:
    """A clock that goes wrong by more than some seconds is told, and which way."""
    with responses.RequestsMock() as google:
        date = format_datetime(NOW - timedelta(seconds=skew_s), usegmt=True)
        google.get("https://storage.googleapis.com/", headers={"Date": date}, status=400)
        found = check_clock(requests.get, now=lambda: NOW)

    assert found.verdict == verdict
    assert ("fast" if skew_s > 0 else "slow") in found.found or verdict is Verdict.GOOD


def test_credentials_that_cannot_be_had_are_told() -> None:
    """The command that gives them is named."""

    def none() -> None:
        raise RuntimeError("Your default credentials were not found.\nSee ...")

    found = check_credentials(none)

    assert found.verdict is Verdict.BAD
    assert found.found == "Your default credentials were not found."
    assert found.mend == "gcloud auth application-default login"


def test_packages_that_are_old_or_missing_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pip command mends it."""
    monkeypatch.setattr(here, "_least", lambda: {"torch": "99.0"})
    found = here.check_packages()

    assert (found.verdict, found.mend) == (Verdict.BAD, "pip install 'torch>=99.0'")
    monkeypatch.setattr(here, "_least", dict)
    monkeypatch.setattr(here, "_version", lambda name: None if name == "plotly" else "1.0")
    found = here.check_packages()
    assert (found.verdict, found.mend) == (
        Verdict.WARNING,
        "pip install 'smartscheduler[demo]'",
    )


def test_without_network_credentials_and_settings_it_says_so() -> None:
    """A machine with nothing gets remedies, not a traceback."""
    done = call("--offline")

    assert done.exit_code == 0
    assert "no bucket is set" in done.stdout
    assert "smartscheduler.toml" in done.stdout
    assert "Traceback" not in done.output


def test_stale_forecast_makes_the_exit_code_1(tmp_path: Path) -> None:
    """A deployment whose tick stands still is found by its bucket alone."""
    url = (tmp_path / "bucket").as_uri()
    put_job(open_store(url), finished_job())
    done = call("--bucket", url, "--json")
    found = {each["check"]: each for each in json.loads(done.stdout)}

    assert done.exit_code == 1
    assert found["bucket"]["verdict"] == "good"
    assert found["forecast"]["verdict"] == "bad"
    assert "h old" in found["forecast"]["found"]


def test_bucket_that_is_not_there_is_told(tmp_path: Path) -> None:
    """A folder that does not exist, and one that nobody may read, are no traceback."""
    done = call("--bucket", (tmp_path / "none").as_uri(), "--offline")

    assert done.exit_code == 1
    assert "mkdir -p" in done.stdout
    assert "Traceback" not in done.output


def test_project_without_credentials_is_looked_at_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every check says what it needs; none hides another."""

    def none() -> None:
        raise RuntimeError("no credentials")

    monkeypatch.setattr(run, "_session", none)
    monkeypatch.setattr(run, "_plain_get", lambda url: requests.get(url, timeout=1))
    with responses.RequestsMock() as google:
        date = format_datetime(datetime.now(UTC), usegmt=True)
        google.get("https://storage.googleapis.com/", headers={"Date": date})
        done = call("--project", "p", "--json")
    found = {each["check"]: each["verdict"] for each in json.loads(done.stdout)}

    assert done.exit_code == 1
    assert found["clock"] == "good"
    assert found["python"] == "good"
    assert found["credentials"] == "bad"
    assert {found[name] for name in ROOTS if name != "schedules"} == {"bad"}
