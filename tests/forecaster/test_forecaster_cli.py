"""Laws of `python -m forecaster`, and of `smartscheduler forecaster`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from export_files import export
from intensity_worlds import START, two_grids
from typer.testing import CliRunner

import functions.cli
from forecaster.cli import app
from forecaster.climatology.profile import climatology_from_json
from forecaster.history import load_folder
from forecaster.series import HOUR

HEADER = "zone,datetime_utc,carbon_intensity"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with 40 days of two grid zones."""
    folder = tmp_path_factory.mktemp("data")
    for zone, history in two_grids(24 * 40).items():
        rows = [
            f"{zone},{(START + i * HOUR).isoformat()},{value:.1f}"
            for i, value in enumerate(history.gco2eq_per_kwh)
        ]
        (folder / f"{zone}.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    return folder


@pytest.fixture(scope="module")
def model(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a model that has seen two batches."""
    out = tmp_path_factory.mktemp("trained") / "model"
    code, stdout, stderr = run(
        *("train", "--data", data, "--out", out, "--steps", 2, "--end", "2024-02-05", "--seed", 3)
    )
    assert code == 0, stderr
    assert "AA" in stdout
    assert "Skill against yesterday" in stdout
    return out


def run(*arguments: object) -> tuple[int, str, str]:
    """Run the command; return its exit code, stdout and stderr."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return done.exit_code, done.stdout, done.stderr


def test_what_is_trained_says_how_good_it_was(model: Path) -> None:
    """The manifest has the scores of the hours after those it learned from."""
    manifest = json.loads((model / "model.json").read_text())
    assert manifest["metrics"]["mean"]["mae"] > 0
    assert manifest["settings"]["seed"] == 3
    assert manifest["data"]["end"].startswith("2024-02-05")


def test_a_backtest_is_printed_written_and_drawn(data: Path, model: Path, tmp_path: Path) -> None:
    """Tables for a person, JSON and CSV for programs, pictures to look at."""
    span = ("--data", data, "--from", "2024-02-06", "--to", "2024-02-07", "--artifact", model)
    code, stdout, stderr = run("backtest", *span, "--json", "--hours", "0,12")
    assert code == 0, stderr
    found = json.loads(stdout)
    assert found["zones"]["AA"]["origins"] == 4
    assert (found["from"], found["to"]) == ("2024-02-06", "2024-02-07")
    assert found["origin_hours_utc"] == [0, 12]
    assert "warning" not in found
    csv, plots = tmp_path / "forecasts.csv", tmp_path / "plots"
    code, stdout, stderr = run("backtest", *span, "--forecasts", csv, "--plots", plots)
    assert code == 0, stderr
    assert len(csv.read_text().splitlines()) == 1 + 2 * 2 * 24
    assert len(list(plots.glob("*.png"))) == 5
    for words in (
        "grid zone",
        "hours ahead",
        "origins in",
        "Skill against yesterday",
        "[p10, p90]",
    ):
        assert words in stdout
    assert max(map(len, stdout.splitlines())) <= 80


def test_a_backtest_over_what_was_learned_warns(data: Path, model: Path) -> None:
    """Or a figure of memory would pass for one of foresight."""
    span = ("--data", data, "--from", "2024-02-01", "--to", "2024-02-06", "--artifact", model)
    code, stdout, stderr = run("backtest", *span, "--json", "--leave-out", "BB")
    assert code == 0
    assert "learned from hours up to 2024-02-05" in " ".join(stderr.split())
    assert "2024-02-05" in json.loads(stdout)["warning"]
    assert list(json.loads(stdout)["zones"]) == ["AA"]


def test_a_forecast_is_for_people_and_programs(data: Path, model: Path) -> None:
    """As a table and as the document that the bucket has."""
    origin = ("--history", data, "--origin", "2024-02-06T05:00Z", "--artifact", model)
    code, stdout, stderr = run("forecast", *origin, "--horizon-h", 30, "--json")
    assert code == 0, stderr
    made = json.loads(stdout)
    assert made["origin"] == "2024-02-06T05:00:00Z"
    assert made["basis"] == "lifecycle"
    assert data.name in made["source"]
    assert len(made["zones"][0]["p50"]) == 30
    code, stdout, stderr = run("forecast", *origin)
    assert code == 0, stderr
    assert "+24 h" in stdout


def test_exports_are_imported(tmp_path: Path) -> None:
    """Files in, a folder out that the other commands read."""
    out = tmp_path / "history"
    files = [export(tmp_path, year, 60) for year in (2021, 2022)]
    code, stdout, stderr = run("import", *files, "--out", out)
    assert code == 0, stderr
    assert "IT-NO" in stdout
    assert "60 new hours of IT-NO" in stderr
    assert list(load_folder(out)) == ["IT-NO"]
    code, _, stderr = run("import", *files, "--out", out)
    assert code == 0
    assert "imported before" in stderr


def test_climatology_is_written_with_what_to_know(data: Path, tmp_path: Path) -> None:
    """The file can be read again, and leaves out what it is told to."""
    out = tmp_path / "profile.json"
    code, _, stderr = run("climatology", "--data", data, "--out", out, "--leave-out", "BB")
    assert code == 0, stderr
    assert climatology_from_json(out.read_text()).grid_zones == ("AA",)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["forecast", "--origin", "2024-02-06"], "--origin: expected a time with its time zone"),
        (["forecast", "--origin", "soon"], "--origin: expected a time such as"),
        (["forecast", "--origin", "2024-02-06T00:30Z"], "origin: expected a full hour"),
        (["backtest", "--from", "2024-02-30", "--to", "2024-03-01"], "--from: expected a date"),
        (["backtest", "--from", "2024-02-02", "--to", "2024-02-01"], "begin before end"),
        (
            ["backtest", "--from", "2024-02-02", "--to", "2024-02-03", "--hours", "noon"],
            "--hours: expected such as 0,6,12,18 or all, found 'noon'",
        ),
        (["forecast", "--origin", "2024-02-06T00:00Z", "--artifact", "nowhere"], "nowhere"),
        (["train", "--out", "x", "--end", "tomorrow"], "--end: expected a date"),
    ],
)
def test_bad_input_is_one_clear_line(data: Path, arguments: list[str], says: str) -> None:
    """A wrong argument gives exit code 2 and a message without a traceback."""
    code, _, stderr = run(*arguments, "--data", data)
    assert code == 2
    assert says in stderr.replace("\n", " ")
    assert "Traceback" not in stderr


def test_an_artifact_of_another_schema_is_one_clear_line(
    data: Path, model: Path, tmp_path: Path
) -> None:
    """It says which it expected and what to do."""
    manifest = json.loads((model / "model.json").read_text()) | {"schema_version": 99}
    (tmp_path / "model.json").write_text(json.dumps(manifest))
    (tmp_path / "model.safetensors").write_bytes((model / "model.safetensors").read_bytes())
    origin = ("--origin", "2024-02-06T00:00Z", "--artifact", tmp_path)
    code, _, stderr = run("forecast", "--history", data, *origin)
    assert code == 2
    assert "schema version" in stderr


def test_smartscheduler_has_the_same_commands(data: Path) -> None:
    """`smartscheduler forecaster ...` is the same app, with the same errors."""
    arguments = ["forecaster", "forecast", "--history", str(data), "--origin", "soon"]
    done = CliRunner().invoke(functions.cli.app, arguments)
    assert done.exit_code == 2
    assert "--origin: expected a time" in done.stderr


def test_help_loads_no_torch() -> None:
    """Whoever asks what there is must not wait for it."""
    code = (
        "import sys; from functions.cli import app\n"
        "for command in ([], ['train'], ['backtest'], ['forecast'], ['import']):\n"
        "    try: app(['forecaster', *command, '--help'])\n"
        "    except SystemExit: pass\n"
        "print({'torch', 'lightning', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "set()"
    assert done.stdout.count("Usage:") == 5
