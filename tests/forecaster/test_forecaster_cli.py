"""Laws of `python -m forecaster`."""

import json
from pathlib import Path

import pytest
from intensity_worlds import START, two_grids
from typer.testing import CliRunner

from forecaster.__main__ import app
from forecaster.climatology.profile import climatology_from_json
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


def run(*arguments: object) -> tuple[int, str, str]:
    """Run the command; return its exit code, stdout and stderr."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return done.exit_code, done.stdout, done.stderr


def test_train_backtest_and_forecast_go_together(data: Path, tmp_path: Path) -> None:
    """What `train` saves, `backtest` scores and `forecast` uses."""
    out = tmp_path / "model"
    code, stdout, stderr = run(
        *("train", "--data", data, "--out", out, "--steps", 2, "--until", "2024-02-05")
    )
    assert code == 0, stderr
    assert "AA" in stdout
    assert json.loads((out / "model.json").read_text())["metrics"]["mean"]["mae"] > 0
    span = ("--from", "2024-02-06", "--to", "2024-02-07")
    code, stdout, stderr = run("backtest", "--data", data, *span, "--model", out, "--json")
    assert code == 0, stderr
    assert json.loads(stdout)["AA"]["origins"] == 2
    origin = ("--origin", "2024-02-06T05:00Z", "--hours", 30)
    code, stdout, stderr = run("forecast", "--history", data, *origin, "--model", out, "--json")
    assert code == 0, stderr
    made = json.loads(stdout)
    assert made["origin"] == "2024-02-06T05:00:00Z"
    assert len(made["zones"][0]["p50"]) == 30
    code, stdout, stderr = run("forecast", "--history", data, *origin, "--model", out)
    assert code == 0, stderr
    assert "+24 h" in stdout


def test_climatology_is_written_with_what_to_know(data: Path, tmp_path: Path) -> None:
    """The file can be read again, and leaves out what it is told to."""
    out = tmp_path / "profile.json"
    code, _, stderr = run("climatology", "--data", data, "--out", out, "--leave-out", "BB")
    assert code == 0, stderr
    assert climatology_from_json(out.read_text()).grid_zones == ("AA",)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["forecast", "--origin", "2024-02-06"], "origin: expected a time with its time zone"),
        (["forecast", "--origin", "soon"], "Invalid isoformat string"),
        (["backtest", "--from", "2024-02-30", "--to", "2024-03-01"], "--from: expected a date"),
        (["backtest", "--from", "2024-02-02", "--to", "2024-02-01"], "begin before end"),
        (["forecast", "--origin", "2024-02-06T00:00Z", "--model", "nowhere"], "nowhere"),
    ],
)
def test_bad_input_is_one_clear_line(data: Path, arguments: list[str], says: str) -> None:
    """A wrong argument gives exit code 1 and a message without a traceback."""
    code, _, stderr = run(*arguments, "--data", data)
    assert code == 1
    assert says in stderr.replace("\n", " ")
    assert "Traceback" not in stderr
