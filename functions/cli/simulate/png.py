"""The picture as PNG, by matplotlib."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from matplotlib import dates
from matplotlib.figure import Figure

from functions.cli.simulate.picture import COLOURS, LOG_FROM, OTHER_COLOUR, PLAN_COLOUR, runs_in
from functions.domain.simulation.summary import Summary, Way


def write_png(file: Path, hours: dict[str, Any], summary: Summary, caption: str) -> None:
    """Write the picture to `file`."""
    figure = Figure(figsize=(11, 9), layout="constrained")
    upper, lower = figure.subplots(2, 1, height_ratios=(3, 2))
    _draw_hours(upper, hours)
    _draw_savings(lower, summary)
    figure.supxlabel(caption, fontsize=7, wrap=True)
    figure.savefig(file, dpi=130)


def _draw_hours(axes: Any, hours: dict[str, Any]) -> None:  # noqa: ANN401 - of matplotlib
    of_time: Any = dates
    times = hours["times"]
    edges = of_time.date2num([*times, times[-1] + timedelta(hours=1)])
    for colour, (zone, values) in zip(COLOURS, hours["lines"].items(), strict=False):
        axes.stairs(values, edges, baseline=None, color=colour, linewidth=1.2, label=zone)
        for xs, value in runs_in(zone, hours):
            axes.plot(xs, [value] * 2, color=colour, linewidth=7, alpha=0.85, solid_capstyle="butt")
    lowest, highest = (f(values.min() for values in hours["lines"].values()) for f in (min, max))
    if highest > LOG_FROM * max(lowest, 1.0):
        # Else the clean zones, which are those that are used, would lie on one line.
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
    else:
        axes.set_ylim(bottom=0)
    axes.xaxis.set_major_formatter(of_time.ConciseDateFormatter(axes.xaxis.get_major_locator()))
    axes.xaxis_date()
    axes.set_ylabel("gCO2eq/kWh, recorded")
    axes.set_title(
        f"{hours['title']}\nthick: where this plan ran; it saved {100 * hours['saved']:.0f} %"
        " against running now, here (the median job)",
        fontsize=10,
    )
    axes.legend(fontsize=8, ncols=2, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    axes.grid(alpha=0.25)


def _draw_savings(axes: Any, summary: Summary) -> None:  # noqa: ANN401 - of matplotlib
    rows = [row for row in summary.rows if row.way != Way.NOW][::-1]
    saved = [100 * row.saved_against_now_here for row in rows]
    colours = [PLAN_COLOUR if row.way == Way.PLAN else OTHER_COLOUR for row in rows]
    bars = axes.barh([row.way for row in rows], saved, color=colours)
    labels = [
        f"{value:.1f} %" + (f", {row.missed} deadlines missed" if row.missed else "")
        for value, row in zip(saved, rows, strict=True)
    ]
    axes.bar_label(bars, labels, padding=3, fontsize=9)
    axes.margins(x=0.25)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlabel("grams saved against running now, here, % (recorded intensity)")
    axes.set_title(f"all {summary.jobs} jobs", fontsize=10)
