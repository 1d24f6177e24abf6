"""The job file that a person writes."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from functions.cli.jobfile import read_job, read_source
from functions.errors import InvalidInputError

NOW = datetime(2025, 6, 2, 6, tzinfo=UTC)
GOOD = {
    "job_id": "digits",
    "machine_type": "e2-standard-4",
    "power_w": 150,
    "allowed_regions": ["europe-west3", "europe-west9"],
    "work_h": 6,
}


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Any], Path]:
    """Return how to write a job file."""

    def make(content: object) -> Path:
        file = tmp_path / "job.json"
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        return file

    return make


def test_submission_time_and_version_are_filled_in(write: Callable[[Any], Path]) -> None:
    """A person need not write what the computer knows."""
    job = read_job(write(GOOD), NOW)
    assert job.submitted_at == NOW
    assert job.schema_version == 1


def test_all_problems_are_named_at_once(write: Callable[[Any], Path]) -> None:
    """Nobody has to mend a file one error at a time."""
    bad = GOOD | {"power_w": -1, "work_h": "six", "regions": [], "allowed_regions": []}
    with pytest.raises(InvalidInputError) as caught:
        read_job(write(bad), NOW)
    for key in ("power_w", "work_h", "regions", "allowed_regions"):
        assert key in str(caught.value)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"allowed_regions": ["europe-west33"]}, "did you mean europe-west3?"),
        ({"machine_type": "zz9-huge-1"}, "unknown family"),
        ({"deadline": "2025-06-01T00:00Z"}, "after submitted_at"),
        ({"deadline": "2025-06-02T08:00Z"}, "do not fit"),
        ({"deadline": "2025-06-03T08:00"}, "timezone"),
        ({"schema_version": 9}, "expected schema_version 1, found 9"),
    ],
)
def test_job_that_cannot_run_is_refused(
    write: Callable[[Any], Path], change: dict[str, Any], told: str
) -> None:
    """What the planner could never do is refused before anything is written."""
    with pytest.raises(InvalidInputError, match=r".") as caught:
        read_job(write(GOOD | change), NOW)
    assert told in str(caught.value)


@pytest.mark.parametrize("content", ["{", "[]", "7"])
def test_what_is_no_json_object_is_refused(write: Callable[[Any], Path], content: str) -> None:
    """The file is named, and what was found."""
    with pytest.raises(InvalidInputError, match=r"job\.json: expected"):
        read_job(write(content), NOW)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    """A wrong path is told as such."""
    with pytest.raises(InvalidInputError, match="expected a job file"):
        read_job(tmp_path / "no.json", NOW)


def test_source_has_all_files_but_caches(tmp_path: Path) -> None:
    """Names are relative with forward slashes; caches and repositories stay at home."""
    for name in ("train.py", "model/net.py", "__pycache__/train.pyc", ".git/config"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(name)
    source = read_source(tmp_path, "train.py")
    assert dict(source) == {"model/net.py": b"model/net.py", "train.py": b"train.py"}


def test_source_without_script_is_refused(tmp_path: Path) -> None:
    """The script must be there before the job is."""
    (tmp_path / "other.py").touch()
    with pytest.raises(InvalidInputError, match=r"'train\.py'"):
        read_source(tmp_path, "train.py")
    with pytest.raises(InvalidInputError, match="no folder"):
        read_source(tmp_path / "no", "train.py")
