"""Draws the pictures of a backtest as PNG files; the only file that knows matplotlib."""

from collections.abc import Callable, Mapping
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from forecaster.backtest import DAY_H, Trial, ZoneTrial
from forecaster.climatology import Array
from forecaster.scores import Report

UNIT = "gCO2eq/kWh"
COLOURS = {
    "ours": "#1b7f5c",
    "ridge": "#c2571a",
    "persistence": "#6b7280",
    "last_week": "#a78bfa",
    "climatology": "#d4a72c",
}
NAMES = {
    "ours": "this forecaster",
    "ridge": "ridge on a week",
    "persistence": "yesterday",
    "last_week": "last week",
    "climatology": "climatology",
}
RIGHT_COVERAGE = 0.8
"""Share of outcomes that belongs between p10 and p90."""
FAN_DAYS = 7
DARK = 0.6
"""Skill whose colour is so dark that only white can be read on it."""


def draw_all(folder: Path, trial: Trial, report: Report) -> list[Path]:
    """Write five pictures into `folder`, which is made if it is not there; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures: Mapping[str, Callable[[], Figure]] = {
        "error_by_lead_time": lambda: error_by_lead_time(report),
        "error_by_grid_zone": lambda: error_by_grid_zone(report),
        "error_by_zone_and_lead_time": lambda: error_by_zone_and_lead_time(report),
        "fan_chart": lambda: fan_chart(trial),
        "calibration": lambda: calibration(trial, report),
    }
    paths = []
    for name, draw in pictures.items():
        path = folder / f"{name}.png"
        with mpl.rc_context({"axes.spines.top": False, "axes.spines.right": False}):
            draw().savefig(path, dpi=120)
        paths.append(path)
    return paths


def error_by_lead_time(report: Report) -> Figure:
    """Draw the mean absolute error against the lead time, ours and the baselines'."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes: Axes = figure.subplots()
    hours = [hour for hour, figures in report.lead_times.items() if figures]
    for name, colour in COLOURS.items():
        key = "mae" if name == "ours" else f"{name}_mae"
        values = [report.lead_times[hour][key] for hour in hours]
        width = 2.5 if name == "ours" else 1.4
        axes.plot(hours, values, color=colour, linewidth=width, label=NAMES[name])
    axes.set(
        title=f"Error by lead time, {_span(report)}, mean of {len(report.zones)} grid zones",
        xlabel="hours after the origin",
        ylabel=f"mean absolute error, {UNIT}",
        ylim=(0, None),
        xlim=(hours[0], hours[-1]),
        xticks=[hours[0], *range(6, hours[-1] + 1, 6 if hours[-1] <= DAY_H else DAY_H)],
    )
    axes.grid(axis="y", alpha=0.3)
    axes.legend(frameon=False)
    return figure


def error_by_grid_zone(report: Report) -> Figure:
    """Draw each grid zone's error as a share of its own persistence error."""
    names = sorted(report.zones, key=lambda zone: report.zones[zone]["skill"], reverse=True)
    figure = Figure(figsize=(8, 1.5 + 0.38 * len(names)), layout="constrained")
    axes: Axes = figure.subplots()
    rows = np.arange(len(names))[::-1]
    shares = {
        name: [
            report.zones[zone]["mae" if name == "ours" else f"{name}_mae"]
            / report.zones[zone]["persistence_mae"]
            for zone in names
        ]
        for name in ("ours", "ridge")
    }
    axes.barh(rows, shares["ours"], 0.62, color=COLOURS["ours"], label=NAMES["ours"])
    axes.plot(
        shares["ridge"], rows, "D", color=COLOURS["ridge"], markersize=6, label=NAMES["ridge"]
    )
    axes.axvline(1, color=COLOURS["persistence"], linestyle="--", label=NAMES["persistence"])
    for row, zone in zip(rows, names, strict=True):
        said = f"{report.zones[zone]['mae']:.1f} {UNIT}"
        axes.text(0.01, row, said, va="center", color="white")
    axes.set_yticks(rows, names)
    axes.set(
        title=f"Error by grid zone, {_span(report)}",
        xlabel="mean absolute error, as a share of that of yesterday's hours (left is better)",
        xlim=(0, None),
    )
    axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=3)
    return figure


def error_by_zone_and_lead_time(report: Report) -> Figure:
    """Draw each grid zone's skill against yesterday at each lead time, as colours."""
    names = sorted(report.zones, key=lambda zone: report.zones[zone]["skill"], reverse=True)
    hours = range(1, report.horizon_h + 1)
    skills = np.array(
        [
            [report.zone_lead_times[zone][hour].get("skill", np.nan) for hour in hours]
            for zone in names
        ]
    )
    figure = Figure(figsize=(10, 1.6 + 0.38 * len(names)), layout="constrained")
    axes: Axes = figure.subplots()
    # White is as good as yesterday's hours; worse is brown.
    picture = axes.imshow(skills, cmap="BrBG", vmin=-1, vmax=1, aspect="auto")
    if report.horizon_h <= DAY_H:
        for (row, column), value in np.ndenumerate(skills):
            colour = "white" if abs(value) > DARK else "black"
            said = f"{round(float(value), 2) + 0:.2f}".replace("0.", ".")
            axes.text(column, row, said, ha="center", va="center", color=colour, fontsize=7)
    axes.set_yticks(range(len(names)), names)
    step = 1 if report.horizon_h <= DAY_H else DAY_H
    axes.set_xticks(range(step - 1, report.horizon_h, step), map(str, hours[step - 1 :: step]))
    axes.set(title=f"Skill against yesterday, {_span(report)}", xlabel="hours after the origin")
    figure.colorbar(picture, ax=axes, label="share of yesterday's error that is gone")
    return figure


def fan_chart(trial: Trial) -> Figure:
    """Draw some days of forecasts with their intervals over what came.

    The grid zones are the best, the middle and the worst by skill, and the span the middle of
    the backtest: nothing is picked by eye.
    """
    zones = _best_middle_worst(trial)
    first = _middle(trial)
    figure = Figure(figsize=(10, 2.6 * len(zones)), layout="constrained")
    rows = np.atleast_1d(figure.subplots(len(zones), 1, sharex=True))
    for axes, (said, zone) in zip(rows, zones, strict=True):
        for index in first:
            low, mid, high = zone.quantiles[index]
            # One day of each, or longer forecasts would cover one another.
            day = slice(0, min(trial.horizon_h, DAY_H))
            begin = np.datetime64(trial.origins[index].replace(tzinfo=None), "m")
            times = begin + 30 + 60 * np.arange(day.stop)
            axes.fill_between(times, low[day], high[day], color=COLOURS["ours"], alpha=0.22, lw=0)
            axes.plot(times, mid[day], color=COLOURS["ours"], linewidth=1.6)
            axes.plot(times, zone.actual[index, day], color="black", linewidth=1)
            axes.axvline(begin, color="black", alpha=0.12, linewidth=0.8)
        axes.set_title(f"{zone.grid_zone} ({said})", loc="left")
        axes.set_ylabel(UNIT)
    ours = COLOURS["ours"]
    rows[0].legend(
        [
            Patch(color=ours, alpha=0.22),
            Line2D([], [], color=ours),
            Line2D([], [], color="black", linewidth=1),
        ],
        ["p10 to p90", "p50", "what came"],
        frameon=False,
        ncols=3,
        loc="lower right",
        bbox_to_anchor=(1, 1),
    )
    days = [np.datetime64(trial.origins[index].replace(tzinfo=None), "m") for index in first]
    rows[-1].set_xticks(days, [str(day.astype("datetime64[D]")) for day in days])
    rows[-1].set_xlabel("day (UTC)")
    figure.suptitle("Forecasts of 24 h made each day, from what was known then")
    return figure


def calibration(trial: Trial, report: Report) -> Figure:
    """Draw the coverage of the interval by grid zone, and where outcomes fall by quantile."""
    figure = Figure(figsize=(10, 4.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    names = sorted(report.zones, key=lambda zone: report.zones[zone]["coverage"])
    shares = [report.zones[zone]["coverage"] for zone in names]
    left.hlines(names, RIGHT_COVERAGE, shares, color=COLOURS["ours"], alpha=0.5)
    left.plot(shares, names, "o", color=COLOURS["ours"], markersize=8)
    left.axvspan(0.76, 0.84, color="black", alpha=0.08, label="0.76 to 0.84")
    left.axvline(RIGHT_COVERAGE, color="black", linestyle="--", label="right: 0.8")
    left.set(title="Outcomes between p10 and p90, by grid zone", xlim=(0.5, 1), xlabel="share")
    left.grid(axis="y", alpha=0.2)
    left.legend(frameon=False, loc="lower right")
    below = _share_below(trial)
    right.plot([0, 1], [0, 1], color="black", linestyle="--", label="right")
    right.plot([0.1, 0.5, 0.9], below, "o-", color=COLOURS["ours"], label="all grid zones")
    right.set(
        title="Outcomes below a quantile",
        xlabel="quantile that was forecast",
        ylabel="share of outcomes below it",
        xlim=(0, 1),
        ylim=(0, 1),
    )
    right.legend(frameon=False)
    figure.suptitle(f"Calibration, {_span(report)}")
    return figure


def _share_below(trial: Trial) -> Array:
    shares = [
        [(zone.actual < zone.quantiles[:, q])[zone.there].mean() for q in range(3)]
        for zone in trial.zones
    ]
    mean: Array = np.array(shares, dtype=np.float64).mean(axis=0)
    return mean


def _best_middle_worst(trial: Trial) -> list[tuple[str, ZoneTrial]]:
    def share(zone: ZoneTrial) -> float:
        ours = np.abs(zone.quantiles[:, 1] - zone.actual)[zone.there].mean()
        return float(ours / np.abs(zone.baselines["persistence"] - zone.actual)[zone.there].mean())

    ordered = sorted(trial.zones, key=share)
    picked = {
        "most gained on yesterday": ordered[0],
        "middle": ordered[len(ordered) // 2],
        "least gained": ordered[-1],
    }
    # With fewer than three grid zones some are the same.
    found: dict[str, tuple[str, ZoneTrial]] = {}
    for said, zone in picked.items():
        found.setdefault(zone.grid_zone, (said, zone))
    return list(found.values())


def _middle(trial: Trial) -> list[int]:
    """Return the first origin of each of some days in the middle of the span."""
    by_day = {origin.date(): index for index, origin in reversed(list(enumerate(trial.origins)))}
    days = sorted(by_day)
    begin = max((len(days) - FAN_DAYS) // 2, 0)
    return [by_day[day] for day in days[begin : begin + FAN_DAYS]]


def _span(report: Report) -> str:
    return f"{report.begin.date()} to {report.last_day}"
