"""`smartscheduler plan`: the planner alone, on files."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from functions.cli import app
from functions.domain.plan.document import Plan
from functions.domain.plan.prices import DEFAULT_PRICES
from vm_runtime.contract.codec import decode, encode

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples" / "plan"
AT = "2026-03-02T06:00Z"


def run(*arguments: object) -> Result:
    """Return the outcome of one call on the examples, changed by `arguments`."""
    base = {"--job": EXAMPLES / "job.json", "--forecast": EXAMPLES / "forecast.json", "--at": AT}
    given = {str(name): value for name, value in zip(arguments[::2], arguments[1::2], strict=True)}
    options = [str(each) for pair in (base | given).items() for each in pair]
    flags = [] if "--text" in options else ["--json"]
    options = [each for each in options if each not in ("--text", "yes")]
    return CliRunner().invoke(app, ["plan", *options, *flags])


def changed(folder: Path, name: str, **changes: Any) -> Path:  # noqa: ANN401 - JSON
    """Return a copy of an example with some fields changed."""
    document = json.loads((EXAMPLES / name).read_text()) | changes
    file = folder / name
    file.write_text(json.dumps(document))
    return file


def test_the_worked_example_of_the_guide() -> None:
    """`docs/planner.md` reckons it by hand: 3 min x 400 + 120 min x 100, 250 W, is 55 g."""
    done = run()
    assert done.exit_code == 0, done.output
    plan = decode(Plan, done.stdout.encode(), name="plan")
    (interval,) = plan.intervals
    assert f"{interval.start:%H:%M}-{interval.end:%H:%M}" == "07:57-10:00"
    assert interval.compute_zone == "europe-west3-b"
    assert plan.expected_gco2eq == pytest.approx(0.25 * (3 * 400 + 120 * 100) / 60)
    by_way = {each.policy.value: each for each in plan.alternatives}
    grams = {name: round(each.emissions_gco2eq, 2) for name, each in by_way.items()}
    assert grams == {
        "run now, here": 201.25,
        "best single window": 55.0,
        "best fixed region": 102.5,
        "threshold rule": 25.0,
        "this plan": 55.0,
        "perfect knowledge": 50.0,
    }
    assert by_way["threshold rule"].undone_h == pytest.approx(63 / 60)
    assert by_way["this plan"].usd == pytest.approx(0.345 * 123 / 60)
    assert by_way["this plan"].delay_h == pytest.approx((240 - 123) / 60)


def test_same_input_same_bytes() -> None:
    """Deterministic, also from one process to the next: no clock, no random state."""
    assert run().stdout_bytes == run().stdout_bytes
    assert b"2026-03-02T06:00:00Z" in run().stdout_bytes


def test_text_shows_ways_and_heat_strip() -> None:
    """A person sees the sentence, every way and the hours."""
    text = run("--text", "yes").stdout
    for word in ("Waits 1 h 57 min for Frankfurt", "threshold rule", "perfect knowledge", "DE  "):
        assert word in text
    assert "Billing Catalog" in text


def test_state_and_progress_say_where_it_runs_and_what_is_left(tmp_path: Path) -> None:
    """A VM that runs goes on for nothing, a block is kept, and progress tells the work."""
    state = tmp_path / "state.json"
    target = {
        "incarnation": 1,
        "vm": "ss-digits-1",
        "compute_zone": "europe-west9-c",
        "purpose": "start",
        "interval_start": "2026-03-02T05:00:00Z",
        "interval_end": "2026-03-02T08:00:00Z",
        "reserved_at": "2026-03-02T05:00:00Z",
    }
    block = {"place": "europe-west3", "until": "2026-03-02T09:00:00Z", "reason": "no capacity"}
    state.write_text(
        json.dumps({"schema_version": 1, "job_id": "digits", "target": target, "blocked": [block]})
    )
    progress = tmp_path / "progress.json"
    progress.write_text(
        json.dumps(
            {
                "schema_version": 1,
                "job_id": "digits",
                "vm": "ss-digits-1",
                "incarnation": 1,
                "state": "training",
                "heartbeat_at": "2026-03-02T05:59:00Z",
                "steps_done": 100,
                "steps_total": 160,
                "seconds_per_step": 60,
            }
        )
    )
    plan = decode(Plan, run("--state", state, "--progress", progress).stdout.encode(), name="plan")
    assert plan.work_left_h == pytest.approx(1.0)
    assert [each.compute_zone for each in plan.intervals] == ["europe-west9-c"]
    assert plan.expected_gco2eq == pytest.approx(50.0)
    assert plan.left_out[0].grid_zone == "DE"


def test_prices_can_be_replaced(tmp_path: Path) -> None:
    """The user's own table counts, and is named in the plan."""
    prices = json.loads(encode(DEFAULT_PRICES)) | {"source": "my contract"}
    prices["prices"] = [dict(each, usd_per_h=10.0) for each in prices["prices"]]
    (tmp_path / "prices.json").write_text(json.dumps(prices))
    plan = json.loads(run("--prices", tmp_path / "prices.json").stdout)
    assert plan["expected_usd"] == pytest.approx(20.5)
    assert plan["price_source"] == "my contract, 2026-07-30"


@pytest.mark.parametrize(
    ("name", "changes", "told"),
    [
        ("job.json", {"work_h": 0}, "work_h: Input should be greater than 0, found 0"),
        ("job.json", {"work_h": -3}, "work_h: Input should be greater than 0, found -3"),
        (
            "job.json",
            {"deadline": "2026-03-02T05:00:00Z"},
            "1 problem(s): deadline: expected a time after",
        ),
        ("job.json", {"work_h": 9}, "do not fit between"),
        ("job.json", {"allowed_regions": ["europe-west2"]}, "GB: the forecast does not cover it"),
        ("job.json", {"allowed_regions": ["europe-wst3"]}, "allowed_regions"),
        ("job.json", {"machine_type": "a4-highgpu-8g"}, "machine_type"),
        ("job.json", {"min_interval_minutes": 1000}, "min_interval_minutes: found 1000 min"),
        ("job.json", {"network_kwh_per_gb": 0.1}, "network_kwh_per_gb: expected state_gb"),
        ("forecast.json", {"zones": []}, "the forecast does not cover it"),
        ("forecast.json", {"origin": "2026-03-01T06:00:00Z"}, "Forecast anew"),
        ("forecast.json", {"origin": "2026-03-02T06:30:00Z"}, "origin"),
        ("forecast.json", {"schema_version": 2}, "schema_version"),
    ],
)
def test_bad_input_names_the_field(
    tmp_path: Path, name: str, changes: dict[str, Any], told: str
) -> None:
    """One paragraph: which field of which file, what was expected and found; code 2 or 4."""
    option = "--job" if name == "job.json" else "--forecast"
    done = run(option, changed(tmp_path, name, **changes))
    # A forecast that covers no region may do so later: 4.
    assert done.exit_code == (4 if "does not cover it" in told else 2), done.output
    assert told in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_gaps_in_a_forecast_are_named(tmp_path: Path) -> None:
    """An hour without a number is no number, let alone 0."""
    zones = json.loads((EXAMPLES / "forecast.json").read_text())["zones"]
    zones[0]["p50"][3] = None
    done = run("--forecast", changed(tmp_path, "forecast.json", zones=zones))
    assert done.exit_code == 2
    assert "zones.0.p50.3" in done.stderr
    zones[0]["p50"][3] = 100
    done = run("--forecast", changed(tmp_path, "forecast.json", zones=[zones[0], zones[0]]))
    assert "zones: expected each grid zone once" in done.stderr


@pytest.mark.parametrize("at", ["yesterday", "2026-03-02T06:00"])
def test_a_time_that_is_none_is_refused(at: str) -> None:
    """A time without its zone is not guessed at."""
    done = run("--at", at)
    assert done.exit_code == 2
    assert "--at: expected a time" in done.stderr
