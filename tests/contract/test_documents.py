"""Documents survive the bucket, and refuse what is wrong: all of it at once."""

import json

import pytest
from document_strategies import documents, jobs
from hypothesis import given

from functions.domain.plan.document import Plan
from vm_runtime.contract.codec import (
    DocumentError,
    UnknownSchemaVersionError,
    decode,
    encode,
    json_schema,
)
from vm_runtime.contract.job import Job

GOOD = {
    "schema_version": 1,
    "job_id": "digits",
    "machine_type": "e2-standard-8",
    "power_w": 250,
    "allowed_regions": ["europe-west3"],
    "submitted_at": "2024-03-05T00:00:00Z",
}


def read(**changes: object) -> Job:
    """Decode a good job with some fields changed."""
    return decode(Job, json.dumps(GOOD | changes).encode(), name="jobs/digits/job.json")


@given(documents)
def test_every_document_survives_a_round_trip(document: object) -> None:
    """What was written is what is read, for every kind."""
    assert decode(type(document), encode(document), name="x") == document


@given(documents)
def test_a_document_is_the_same_bytes_each_time(document: object) -> None:
    """Encoding is deterministic, also after a round trip."""
    data = encode(document)

    assert encode(decode(type(document), data, name="x")) == data


def test_all_problems_are_named_at_once() -> None:
    """Every wrong field is in the message, with what was found."""
    with pytest.raises(DocumentError) as caught:
        read(job_id="Big!", power_w=-1, allowed_regions=[], colour="green", script="../up.py")

    message = str(caught.value)
    assert message.startswith("jobs/digits/job.json: 5 problem(s)")
    for word in ("job_id", "'Big!'", "power_w", "-1", "allowed_regions", "colour", "../up.py"):
        assert word in message


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_an_unknown_schema_version_is_refused(version: object) -> None:
    """A document of another version is not guessed at."""
    with pytest.raises(UnknownSchemaVersionError, match="expected schema_version 1"):
        read(schema_version=version)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[1, 2]", b'"text"'])
def test_what_is_no_document_is_refused_with_its_name(data: bytes) -> None:
    """Truncated and foreign content names the object it was found in."""
    with pytest.raises(DocumentError, match=r"jobs/digits/job\.json"):
        decode(Job, data, name="jobs/digits/job.json")


@pytest.mark.parametrize(
    "changes",
    [
        {"submitted_at": "2024-03-05T00:00:00"},
        {"deadline": "2024-03-04T00:00:00Z"},
        {"power_w": "NaN"},
        {"work_h": 0},
        {"slot_minutes": 7},
        {"script": "/etc/passwd"},
        {"job_id": "a" * 41},
        {"allowed_regions": ["europe-west3", "europe-west3"]},
    ],
)
def test_a_job_that_makes_no_sense_is_refused(changes: dict[str, object]) -> None:
    """Naive times, a deadline before submission, no work, paths that lead out, and so on."""
    with pytest.raises(DocumentError, match=next(iter(changes))):
        read(**changes)


def test_times_are_normalised_to_utc() -> None:
    """An offset is understood, and the same moment is the same document."""
    assert read(submitted_at="2024-03-05T02:00:00+02:00") == read()


@given(jobs)
def test_the_deadline_defaults_to_twice_the_work(job: Job) -> None:
    """Design 5: `submitted_at` + 2 x work, unless one is given; none without known work."""
    deadline = job.effective_deadline

    if job.deadline is None and job.work_h is not None:
        assert deadline is not None
        left_h = (deadline - job.submitted_at).total_seconds() / 3600
        assert left_h == pytest.approx(2 * job.work_h, rel=1e-6)
    else:
        assert deadline == job.deadline


def test_a_schema_names_every_required_field() -> None:
    """The JSON Schema says what a person must write."""
    assert set(GOOD) - {"schema_version"} == set(json_schema(Job)["required"])


def test_a_plan_and_a_job_of_before_the_limits_are_read() -> None:
    """Fields that came later have defaults: what lies in a bucket stays readable."""
    job = read()
    assert job.overheads is None
    assert job.max_carbon_intensity_gco2eq_per_kwh is None
    assert (job.min_interval_minutes, job.price_weight_g_per_usd, job.start_s) == (0, 0.0, 180.0)
    old = {
        "schema_version": 1,
        "plan_id": "2024-03-05T0000Z",
        "job_id": "digits",
        "created_at": "2024-03-05T00:00:00Z",
        "forecast_origin": "2024-03-05T00:00:00Z",
        "work_left_h": 1,
        "deadline": None,
        "intervals": [],
        "expected_gco2eq": 0,
        "meets_deadline": True,
        "reason": "",
        "alternatives": [],
        "forecast_source": "simulated",
    }
    plan = decode(Plan, json.dumps(old).encode(), name="plan")
    assert (plan.set_aside, plan.impossible, plan.caveats) == ((), None, ())
