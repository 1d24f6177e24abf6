"""`smartscheduler simulate`: figures with their basis, clear errors, and pictures."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from planning_world import ORIGIN
from typer.testing import CliRunner

from forecaster.climatology.profile import load_climatology
from forecaster.simulated import simulate_history
from functions.cli import app

HOURS = 24 * 18


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a folder of recorded (in truth simulated) hours of two grid zones."""
    folder = tmp_path_factory.mktemp("history")
    made = simulate_history(load_climatology(), ("DE", "FR"), ORIGIN, HOURS, seed=7)
    for zone, series in made.items():
        lines = ["zone,datetime_utc,carbon_intensity"]
        lines += [
            f"{zone},{ORIGIN + timedelta(hours=hour):%Y-%m-%dT%H:%M:%SZ},{value:.2f}"
            for hour, value in enumerate(series.gco2eq_per_kwh)
        ]
        (folder / f"{zone}.csv").write_text("\n".join(lines) + "\n")
    return folder


def _run(history: Path, *args: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(
        app,
        [
            "simulate",
            "--history",
            str(history),
            *("--regions", "DE,FR", "--forecast", "persistence", "--from", "2026-03-10"),
            *args,
        ],
        env={"COLUMNS": "200"},
    )
    return result.exit_code, result.stdout, result.stderr


def test_json_has_every_way_and_names_basis_source_and_baseline(history: Path) -> None:
    """The document's form is fixed: programs read it."""
    code, out, _ = _run(
        history, "--work", "6h", "--deadline", "30h", "--to", "2026-03-12", "--json"
    )

    document = json.loads(out)
    assert code == 0
    assert set(document) == {
        *("schema_version", "basis", "source", "baseline", "overheads", "submitted"),
        *("replanned", "forecast_every_h", "notes", "left_out", "jobs", "impossible", "ways"),
        *("share_of_oracle_by_home", "mean_share_of_oracle_over_homes", "each_job"),
    }
    assert "lifecycle" in document["basis"]
    assert [each["way"].split(" (")[0] for each in document["ways"]] == [
        "run now, here",
        "best fixed region, at once",
        "best single window",
        "eco4cast's threshold rule",
        "this plan, re-planned",
        "oracle",
        "bound",
    ]
    assert document["jobs"] == 2
    plan = document["ways"][4]
    assert plan["missed"] == 0
    assert 0 < plan["emissions_gco2eq"] < document["ways"][0]["emissions_gco2eq"]
    assert (
        out == _run(history, "--work", "6h", "--deadline", "30h", "--to", "2026-03-12", "--json")[1]
    )


def test_whole_hours_are_replayed_and_said_and_ask_for_whole_hours(history: Path) -> None:
    """Every way ends at a full hour; what is no full hour is refused by name."""
    args = ("--deadline", "30h", "--to", "2026-03-12", "--whole-hours", "--json")
    code, out, _ = _run(history, "--work", "6h", *args)

    document = json.loads(out)
    assert code == 0
    assert "whole hours" in document["overheads"]
    ends = [way["finish_h"] for job in document["each_job"] for way in job["ways"].values()]
    assert all(end is None or end == int(end) for end in ends)

    code, _, err = _run(history, "--work", "390m", *args)

    assert code == 2
    assert "--whole-hours: expected works and deadlines of full hours, found 390" in " ".join(
        err.split()
    )


def test_jobs_of_a_file_are_replayed(history: Path, tmp_path: Path) -> None:
    """Each row may name its regions and power; the table counts them."""
    file = tmp_path / "jobs.csv"
    file.write_text(
        "job_id,submitted_at,work,deadline,regions,power\n"
        "a,2026-03-10T08:30Z,4h,24h,DE,1kW\n"
        "b,2026-03-11,90m,1d,,\n"
    )

    code, out, _ = _run(history, "--jobs", str(file))

    assert code == 0
    assert "2 jobs, submitted 2026-03-10 09:00" in out
    assert "this plan, re-planned" in out
    assert "source: folder" in out


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ("a,2026-03-10,minus 4h,24h,,", ("row 2", "column work", "minus 4h")),
        ("a,2026-03-10,0h,24h,,", ("row 2", "column work")),
        ("a,tomorrow,4h,24h,,", ("row 2", "column submitted_at", "tomorrow")),
        ("a,2026-03-10,4h,24h,DE Atlantis,", ("row 2", "column regions", "Atlantis")),
        ("a,2026-03-10,4h,24h,,many", ("row 2", "column power", "many")),
        ("a,2026-03-10,4h,24h", ("row 2", "expected 6 cells, found 4")),
        ("a,2026-03-10,4h,24h,,\na,2026-03-11,4h,24h,,", ("row 3", "column job_id")),
        ("", ("expected a row for each job",)),
    ],
)
def test_a_wrong_cell_is_named_by_row_and_column(
    history: Path, tmp_path: Path, row: str, named: tuple[str, ...]
) -> None:
    """What was expected, what was found, and where; exit code 2."""
    file = tmp_path / "jobs.csv"
    file.write_text(f"job_id,submitted_at,work,deadline,regions,power\n{row}\n")

    code, _, error = _run(history, "--jobs", str(file))

    assert code == 2
    assert all(name in error for name in named), error


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (("--forecast", "crystal"), "--forecast"),
        (("--regions", "mars"), "--regions"),
        (("--every", "90m"), "--every"),
        (("--plot", "x.pdf"), "--plot"),
        (("--from", "2027-01-01"), "--from, --to"),
        (("--regions", "PL"), "--history"),
        (("--machine", "a2-highgpu-1g"), "has no a2-highgpu-1g"),
    ],
)
def test_a_wrong_option_is_named(history: Path, args: tuple[str, ...], named: str) -> None:
    """Each ends with one paragraph and exit code 2."""
    code, _, error = _run(history, *args)

    assert code == 2
    assert named in error


def test_pictures_are_drawn(history: Path, tmp_path: Path) -> None:
    """A PNG, and a page that loads nothing from elsewhere and says what it rests on."""
    for name in ("way.png", "way.html"):
        code, _, error = _run(history, "--to", "2026-03-11", "--plot", str(tmp_path / name))
        assert code == 0, error

    assert (tmp_path / "way.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "way.html").read_text()
    assert "<script src=" not in page
    assert "Baseline: run now, here" in page
    assert "ran in FR" in page
    assert '"showSendToCloud": false' in page  # nothing of it leaves the machine
