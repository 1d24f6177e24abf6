"""`backtest`: how good forecasts would have been, beside what anyone could have said."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from forecaster.backtest import Trial, run_backtest
from forecaster.cli.options import (
    ArtifactOption,
    DataOption,
    JsonOption,
    MixedOption,
    clear_errors,
    load,
    midnight,
    progress_bar,
    say,
)
from forecaster.cli.tables import headline, lead_time_tables, window_table, zone_tables
from forecaster.forecasts_csv import write_forecasts
from forecaster.scores import Report, score, seasons
from forecaster.series import IntensityHistory

if TYPE_CHECKING:
    from forecaster.inference import Forecaster


class Windows(StrEnum):
    """Into which parts the span is cut, to show the spread."""

    SEASON = "season"
    MONTH = "month"


def backtest(  # noqa: PLR0913 - all but three are options
    *,
    data: DataOption,
    begin: Annotated[str, typer.Option("--from", help="First day, such as 2024-01-01 (UTC).")],
    end: Annotated[str, typer.Option("--to", help="Last day.")],
    forecasts: Annotated[
        Path | None, typer.Option(help="CSV file (.csv or .csv.gz) for all forecasts.")
    ] = None,
    plots: Annotated[Path | None, typer.Option(help="Folder for PNG pictures.")] = None,
    hours: Annotated[
        str, typer.Option(help="Hours of the day (UTC) to forecast from: 0, or 0,6,12, or all.")
    ] = "0",
    horizon_h: Annotated[int, typer.Option("--horizon-h", min=1, max=168, help="How far.")] = 24,
    windows: Annotated[Windows, typer.Option(help="Parts of the span.")] = Windows.SEASON,
    leave_out: Annotated[
        list[str] | None, typer.Option(help="Grid zone that is not scored; may be given again.")
    ] = None,
    artifact: ArtifactOption = None,
    mixed: MixedOption = False,
    as_json: JsonOption = False,
) -> None:
    """Score forecasts made each day against yesterday, last week, ridge and climatology."""
    with clear_errors():
        first, after = midnight(begin, "--from"), midnight(end, "--to") + timedelta(days=1)
        at = _hours(hours)
        # torch takes a second or two to import, and `--help` does not need it.
        from forecaster.inference import load_forecaster  # noqa: PLC0415

        forecaster = load_forecaster(artifact)
        histories = load(data, accept_mixed_releases=mixed)
        trial = behind_a_bar(
            forecaster,
            histories,
            (first, after),
            hours=at,
            horizon_h=horizon_h,
            leave_out=leave_out or (),
        )
        months = 1 if windows is Windows.MONTH else 3
        report = score(trial, windows=seasons(trial.origins, months=months))
        _write(trial, report, forecasts=forecasts, plots=plots)
    warning = _seen_in_training(forecaster, first)
    if warning:
        say(warning)
    if as_json:
        found = report.as_dict() | {"origin_hours_utc": at} | _if_any("warning", warning)
        typer.echo(json.dumps(found, indent=1))
        return
    console = Console()
    for table in (*zone_tables(report), *lead_time_tables(report), window_table(report)):
        console.print(table)
    console.print(headline(report), highlight=False, markup=False)


def behind_a_bar(  # noqa: PLR0913 - the half are options
    forecaster: "Forecaster",
    histories: dict[str, IntensityHistory],
    span: tuple[datetime, datetime],
    *,
    hours: Sequence[int] = (0,),
    horizon_h: int = 24,
    leave_out: Sequence[str] = (),
) -> Trial:
    """Run a backtest over `[begin, end)` behind a progress bar."""
    begin, end = span
    with progress_bar() as progress:
        task = progress.add_task("forecasting", total=(end - begin).days * len(hours))
        return run_backtest(
            forecaster,
            histories,
            begin=begin,
            end=end,
            hours=hours,
            horizon_h=horizon_h,
            leave_out=leave_out,
            on_origin=lambda _origin: progress.advance(task),
        )


def _write(trial: Trial, report: Report, *, forecasts: Path | None, plots: Path | None) -> None:
    if forecasts is not None:
        say(f"{forecasts}: {write_forecasts(forecasts, trial)} hours forecast")
    if plots is not None:
        from forecaster.plots import draw_all  # noqa: PLC0415 - loads matplotlib

        for path in draw_all(plots, trial, report):
            say(str(path))


def _hours(text: str) -> list[int]:
    if text == "all":
        return list(range(24))
    try:
        return sorted({int(hour) for hour in text.split(",")})
    except ValueError as error:
        raise ValueError(f"--hours: expected such as 0,6,12,18 or all, found {text!r}") from error


def _seen_in_training(forecaster: "Forecaster", begin: datetime) -> str:
    """Return a warning if the model learned from hours that are forecast here."""
    end = datetime.fromisoformat(forecaster.manifest.data.get("end", begin.isoformat()))
    if begin >= end:
        return ""
    return (
        f"warning: the model learned from hours up to {end.date()}: figures of days before that"
        f" say how well it remembers, not how well it forecasts; use --from {end.date()} or later"
    )


def _if_any(name: str, text: str) -> dict[str, str]:
    return {name: text} if text else {}
