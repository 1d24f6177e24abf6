"""Lays figures out for a person."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from forecaster.scores import Figures, Report
from forecaster.series import Forecast

Columns = dict[str, tuple[str, int]]
"""Heading to the name of the figure and its digits."""

ERRORS: Columns = {
    "MAE": ("mae", 1),
    "yesterday": ("persistence_mae", 1),
    "last week": ("last_week_mae", 1),
    "ridge": ("ridge_mae", 1),
    "climatology": ("climatology_mae", 1),
}
ERROR_COLUMNS: Columns = ERRORS | {"origins": ("origins", 0)}
SKILL_COLUMNS: Columns = {
    "skill": ("skill", 3),
    "ridge": ("ridge_skill", 3),
    "rank": ("rank_correlation", 2),
    "ridge ": ("ridge_rank_correlation", 2),
    "yesterday": ("persistence_rank_correlation", 2),
    "covered": ("coverage", 2),
    "width": ("width", 1),
}
LEAD_COLUMNS: Columns = ERRORS | {"skill": ("skill", 3), "covered": ("coverage", 2)}
WINDOW_COLUMNS: Columns = {
    "MAE": ("mae", 1),
    "skill": ("skill", 3),
    "ridge": ("ridge_skill", 3),
    "own": ("own_skill", 3),
    "ridge ": ("own_ridge_skill", 3),
    "rank": ("rank_correlation", 2),
    "covered": ("coverage", 2),
    "origins": ("origins", 0),
}
SHOWN_LEAD_TIMES = (1, 3, 6, 9, 12, 15, 18, 21, 24, 48, 72, 96, 120, 144, 168)
SHOWN_HOURS = (1, 6, 12, 18, 24, 48, 72, 96, 120, 144, 168)


def zone_tables(report: Report) -> list[Table]:
    """Show errors, skills and calibration by grid zone beside the baselines'."""
    span = f"{report.begin.date()} to {report.last_day}"
    tables = [
        _table(
            f"{report.horizon_h} h ahead, {span}, mean absolute error in gCO2eq/kWh",
            "grid zone",
            ERROR_COLUMNS,
            f"not scored: {', '.join(report.not_scored)}" if report.not_scored else None,
        ),
        _table(
            "Skill against yesterday; rank correlation within the day; interval",
            "grid zone",
            SKILL_COLUMNS,
        ),
    ]
    for table, columns in zip(tables, (ERROR_COLUMNS, SKILL_COLUMNS), strict=True):
        for zone, figures in report.zones.items():
            _add_row(table, zone, figures, columns)
        table.add_section()
        _add_row(table, "mean", report.mean, columns)
    return tables


def headline(report: Report) -> str:
    """Return what to remember of a backtest, in words."""
    mean = report.mean
    return (
        f"Skill against yesterday {mean['skill']:.3f} ({report.skill_p5:.3f} to"
        f" {report.skill_p95:.3f} with other weeks drawn), ridge {mean['ridge_skill']:.3f};"
        f" mean of own skills {mean['own_skill']:.3f}, ridge {mean['own_ridge_skill']:.3f};"
        f" rank within the day {mean['rank_correlation']:.3f}, ridge"
        f" {mean['ridge_rank_correlation']:.3f}, yesterday"
        f" {mean['persistence_rank_correlation']:.3f}; {mean['coverage']:.0%} in [p10, p90]."
    )


def lead_time_tables(report: Report) -> list[Table]:
    """Show errors by hours ahead: means beside the baselines', and by grid zone."""
    table = _table("By lead time, mean of grid zones", "hours ahead", LEAD_COLUMNS)
    shown = [hour for hour in SHOWN_LEAD_TIMES if report.lead_times.get(hour)]
    for hour in shown:
        _add_row(table, str(hour), report.lead_times[hour], LEAD_COLUMNS)
    columns = {str(hour): (str(hour), 1) for hour in shown}
    by_zone = _table("MAE by grid zone and lead time (hours ahead)", "grid zone", columns)
    for zone, by_hour in report.zone_lead_times.items():
        figures = {str(hour): by_hour[hour].get("mae", math.nan) for hour in shown}
        _add_row(by_zone, zone, figures, columns)
    return [table, by_zone]


def window_table(report: Report) -> Table:
    """Show the figures of each part of the span, and their spread."""
    table = _table("By part of the span, mean of grid zones", "origins in", WINDOW_COLUMNS)
    for name, figures in report.windows.items():
        _add_row(table, name, figures, WINDOW_COLUMNS)
    if len(report.windows) > 1:
        table.add_section()
        for said, reduce in (("mean", np.mean), ("spread", np.std), ("worst", None)):
            _add_row(table, said, _reduced(list(report.windows.values()), reduce), WINDOW_COLUMNS)
    return table


def forecast_table(forecast: Forecast) -> Table:
    """Show some hours of a forecast by grid zone."""
    shown = [hour for hour in SHOWN_HOURS if hour <= forecast.horizon_h]
    table = Table(
        box=SIMPLE_HEAD,
        title=f"From {forecast.origin.isoformat()}, gCO2eq/kWh, {forecast.basis}, p50 (p10-p90)",
        caption=f"{forecast.source}; model {forecast.model_version}",
    )
    for name in ("grid zone", "method", "history", *(f"+{hour} h" for hour in shown)):
        table.add_column(name)
    for zone in forecast.zones:
        cells = (
            f"{zone.p50[hour - 1]:.0f} ({zone.p10[hour - 1]:.0f}-{zone.p90[hour - 1]:.0f})"
            for hour in shown
        )
        table.add_row(zone.grid_zone, zone.method, f"{zone.history_h} h", *cells)
    return table


def _table(title: str, first: str, columns: Columns, caption: str | None = None) -> Table:
    table = Table(title=title, box=SIMPLE_HEAD, caption=caption, padding=(0, 1, 0, 0))
    table.add_column(first, no_wrap=True)
    for name in columns:
        table.add_column(name.strip(), justify="right", no_wrap=True)
    return table


def _add_row(table: Table, label: str, figures: Mapping[str, float], columns: Columns) -> None:
    values = ((figures.get(key, float("nan")), digits) for key, digits in columns.values())
    cells = (f"{value:.{digits}f}" if math.isfinite(value) else "-" for value, digits in values)
    table.add_row(label, *cells)


def _reduced(rows: Sequence[Figures], reduce: object) -> Figures:
    """Return mean, spread or, without a function, the worst of each figure."""
    found = {}
    for key, _ in WINDOW_COLUMNS.values():
        values = np.array([row.get(key, np.nan) for row in rows])
        values = values[np.isfinite(values)]
        if not values.size or key == "origins":
            continue
        if callable(reduce):
            found[key] = float(reduce(values))
        elif key == "coverage":
            found[key] = float(values[np.abs(values - 0.8).argmax()])
        else:
            found[key] = float(values.max() if key.endswith("mae") else values.min())
    return found
