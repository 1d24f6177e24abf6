"""Trains, scores and runs the forecaster from the command line: `python -m forecaster`."""

import dataclasses
import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated

import typer
from pydantic import TypeAdapter
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from forecaster.artifact import save_artifact
from forecaster.backtest import DAY_H, Report, backtest
from forecaster.climatology import fit_climatology
from forecaster.climatology.profile import write_profile
from forecaster.history import load_folder
from forecaster.inference import Forecaster, load_forecaster
from forecaster.series import Forecast, IntensityHistory
from forecaster.windows import tabulate

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Forecasts the carbon intensity of grids, 24 hours ahead and on to a week.",
)
VALIDATION_DAYS = 182
"""Of 2024 that are in the data the shipped model was made from."""
SHOWN_HOURS = (1, 6, 12, 18, 24)

Data = Annotated[
    Path,
    typer.Option(
        "--data", "--history", help="Folder with CSV files.", exists=True, file_okay=False
    ),
]
Model = Annotated[
    Path | None, typer.Option("--model", help="Folder of an artifact; the shipped one if omitted.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@app.command("train")
def train_command(
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder for the artifact.")],
    steps: Annotated[int | None, typer.Option(min=1, help="Optimizer steps.")] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same bits.")] = 0,
    until: Annotated[
        str | None, typer.Option(help="Learn from hours before this date; validate on those after.")
    ] = None,
) -> None:
    """Train a model on CSV files, score it on later hours, and save both as an artifact."""
    # Lightning takes seconds to import, and only this command needs it.
    from forecaster.training import TrainingSettings, train  # noqa: PLC0415

    with _clear_errors():
        histories = _load(data)
        settings = TrainingSettings(seed=seed)
        if steps is not None:
            settings = dataclasses.replace(settings, steps=steps)
        if until is not None:
            settings = dataclasses.replace(settings, end=_midnight(until, "--until"))
        with _progress() as progress:
            task = progress.add_task("training", total=settings.steps)
            weights, manifest = train(
                histories,
                settings=settings,
                on_step=lambda step: progress.update(task, completed=step),
            )
        save_artifact(out, weights=weights, manifest=manifest)
        newest = tabulate(histories, sorted(histories))
        last = newest.start + timedelta(hours=newest.gco2eq_per_kwh.shape[1])
        days = min((last - settings.end).days, VALIDATION_DAYS)
        if days < 1:
            _say(f"{out}: saved; no hours after {settings.end.date()} to score it on")
            return
        report = _backtest(
            load_forecaster(out), histories, settings.end, settings.end + timedelta(days=days)
        )
        manifest = dataclasses.replace(manifest, metrics=_rounded(report))
        save_artifact(out, weights=weights, manifest=manifest)
    Console().print(_table(report))


@app.command("backtest")
def backtest_command(
    data: Data,
    begin: Annotated[str, typer.Option("--from", help="First day, such as 2024-01-01 (UTC).")],
    end: Annotated[str, typer.Option("--to", help="Last day.")],
    model: Model = None,
    as_json: AsJson = False,  # noqa: FBT002 - typer makes it a flag
) -> None:
    """Score forecasts of 24 h, made each day at 00:00 UTC, against the baselines."""
    with _clear_errors():
        first = _midnight(begin, "--from")
        last = _midnight(end, "--to") + timedelta(days=1)
        report = _backtest(load_forecaster(model), _load(data), first, last)
    if as_json:
        typer.echo(json.dumps(_rounded(report), indent=1))
    else:
        Console().print(_table(report))


@app.command("forecast")
def forecast_command(
    history: Data,
    origin: Annotated[str, typer.Option(help="Full hour, such as 2024-06-01T00:00Z.")],
    hours: Annotated[int, typer.Option(min=1, max=168, help="How far.")] = DAY_H,
    model: Model = None,
    as_json: AsJson = False,  # noqa: FBT002 - typer makes it a flag
) -> None:
    """Forecast all grid zones in a folder from one origin."""
    with _clear_errors():
        forecast = load_forecaster(model).forecast(
            _load(history),
            datetime.fromisoformat(origin),
            horizon_h=hours,
            source=f"CSV files in {history.name}",
        )
    if as_json:
        typer.echo(TypeAdapter(Forecast).dump_json(forecast, indent=1).decode())
        return
    Console().print(_forecast_table(forecast))
    for zone in forecast.left_out:
        _say(f"{zone.grid_zone} left out: {zone.reason}")


@app.command("climatology")
def climatology_command(
    data: Data,
    out: Annotated[Path, typer.Option(help="JSON file to write.")],
    leave_out: Annotated[
        list[str] | None, typer.Option(help="Grid zone to leave out; may be given again.")
    ] = None,
) -> None:
    """Compute mean and spread by month, kind of day and hour, and write them as JSON."""
    with _clear_errors():
        histories = _load(data)
        for grid_zone in leave_out or []:
            histories.pop(grid_zone, None)
        climatology = fit_climatology(histories)
    longest = max(history.end - history.start for history in histories.values())
    short = [
        f"{zone} rests on {climatology.spans[zone]} alone"
        for zone, history in histories.items()
        if history.end - history.start < longest / 2
    ]
    write_profile(out, climatology, note="; ".join(short))
    _say(f"{out}: {len(climatology.grid_zones)} grid zones, {out.stat().st_size / 1024:.0f} KiB")


@contextmanager
def _clear_errors() -> Iterator[None]:
    """Print what is wrong with the input as one line instead of a traceback."""
    try:
        yield
    except ValueError as error:
        Console(stderr=True).print(f"error: {error}", style="red", markup=False, highlight=False)
        raise typer.Exit(1) from error


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def _load(folder: Path) -> dict[str, IntensityHistory]:
    files = len({*folder.glob("*.csv"), *folder.glob("*.csv.gz")})
    with _progress() as progress:
        task = progress.add_task("reading", total=files)
        return load_folder(folder, on_file=lambda _path: progress.advance(task))


def _backtest(
    forecaster: Forecaster,
    histories: dict[str, IntensityHistory],
    begin: datetime,
    end: datetime,
) -> Report:
    with _progress() as progress:
        task = progress.add_task("forecasting", total=(end - begin).days)
        return backtest(
            forecaster,
            histories,
            begin=begin,
            end=end,
            on_origin=lambda _origin: progress.advance(task),
        )


def _midnight(text: str, option: str) -> datetime:
    try:
        return datetime.combine(date.fromisoformat(text), time(), tzinfo=UTC)
    except ValueError as error:
        raise ValueError(f"{option}: expected a date such as 2024-01-01, found {text!r}") from error


def _rounded(report: Report) -> dict[str, dict[str, float]]:
    """Return all figures to four places; JSON knows no NaN, so these are absent."""
    return {
        grid_zone: {
            name: round(value, 4) for name, value in figures.items() if math.isfinite(value)
        }
        for grid_zone, figures in report.as_dict().items()
    }


def _table(report: Report) -> Table:
    columns = {
        "MAE": ("mae", 1),
        "yesterday": ("persistence_mae", 1),
        "last week": ("last_week_mae", 1),
        "ridge": ("ridge_mae", 1),
        "climatology": ("climatology_mae", 1),
        "skill": ("skill", 3),
        "rank": ("rank_correlation", 2),
        "in p10-p90": ("coverage", 2),
        "days": ("origins", 0),
    }
    table = Table(
        title=f"24 h ahead, {report.begin.date()} to {report.end.date()}, MAE in gCO2eq/kWh",
        box=SIMPLE_HEAD,
        caption=f"not scored: {', '.join(report.not_scored)}" if report.not_scored else None,
    )
    table.add_column("grid zone")
    for name in columns:
        table.add_column(name, justify="right")
    for grid_zone, figures in report.as_dict().items():
        _add_row(table, grid_zone, [(figures[key], digits) for key, digits in columns.values()])
    return table


def _add_row(table: Table, label: str, figures: Sequence[tuple[float, int]]) -> None:
    cells = (f"{value:.{digits}f}" if math.isfinite(value) else "-" for value, digits in figures)
    table.add_row(label, *cells)


def _forecast_table(forecast: Forecast) -> Table:
    shown = [hour for hour in SHOWN_HOURS if hour <= forecast.horizon_h]
    table = Table(
        box=SIMPLE_HEAD, title=f"From {forecast.origin.isoformat()}, gCO2eq/kWh, p50 (p10-p90)"
    )
    for name in ("grid zone", "method", *(f"+{hour} h" for hour in shown)):
        table.add_column(name)
    for zone in forecast.zones:
        cells = (
            f"{zone.p50[hour - 1]:.0f} ({zone.p10[hour - 1]:.0f}-{zone.p90[hour - 1]:.0f})"
            for hour in shown
        )
        table.add_row(zone.grid_zone, zone.method, *cells)
    return table


def _say(message: str) -> None:
    Console(stderr=True).print(message, markup=False, highlight=False)


if __name__ == "__main__":
    app()
