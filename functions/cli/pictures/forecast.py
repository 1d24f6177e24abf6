"""Grid zones x hours of a forecast, and the span that its hours may lie in."""

from pathlib import Path
from typing import Any

import numpy as np

from forecaster.series import HOUR, Forecast, ZoneForecast
from functions.cli.pictures.canvas import COLOURS, UNIT, canvas, heat_colours, heat_scale, time_axis

_LINES = 6
"""More lines than that cannot be told apart: the cleanest ones are drawn."""


def draw_forecast(file: Path, forecast: Forecast) -> None:
    """Draw the forecast: all grid zones as a heat map, the cleanest ones with their span."""
    zones = sorted(forecast.zones, key=lambda each: float(np.mean(each.p50)))
    source = (
        f"{forecast.source}. Made {forecast.origin:%Y-%m-%d %H:%M} UTC, model"
        f" {forecast.model_version}. Average intensity, life cycle."
    )
    with canvas(file, height=2.2 + 0.27 * len(zones) + 3.2, source=source) as figure:
        upper, lower = figure.subplots(2, 1, height_ratios=(1 + 0.27 * len(zones), 3.2))
        _heat(figure, upper, zones, forecast)
        _spans(lower, zones[:_LINES], forecast)


def _heat(figure: Any, axes: Any, zones: list[ZoneForecast], forecast: Forecast) -> None:  # noqa: ANN401 - of matplotlib
    hours = max(len(each.p50) for each in zones)
    cells = np.full((len(zones), hours), np.nan)
    for row, each in enumerate(zones):
        cells[row, : len(each.p50)] = each.p50
    edges = [forecast.origin + i * HOUR for i in range(hours + 1)]
    mesh = axes.pcolormesh(
        edges,
        np.arange(len(zones) + 1) - 0.5,
        cells,
        cmap=heat_colours(),
        norm=heat_scale(),
        edgecolors="white",
        linewidth=0.4,
    )
    axes.set_yticks(range(len(zones)), [each.grid_zone for each in zones])
    axes.invert_yaxis()
    axes.set_title("Forecast carbon intensity, median; cleanest grid zone on top")
    time_axis(axes)
    axes.set_xlabel("")
    figure.colorbar(mesh, ax=axes, label=UNIT, pad=0.01)


def _spans(axes: Any, zones: list[ZoneForecast], forecast: Forecast) -> None:  # noqa: ANN401 - of matplotlib
    for each, colour in zip(zones, COLOURS, strict=False):
        times = [forecast.origin + i * HOUR + HOUR / 2 for i in range(len(each.p50))]
        axes.plot(times, each.p50, color=colour, label=each.grid_zone)
        axes.fill_between(times, each.p10, each.p90, color=colour, alpha=0.15, linewidth=0)
    axes.set_title(f"The {len(zones)} cleanest: median, and the span of 10 % to 90 %")
    axes.set_ylabel(UNIT)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.25)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    time_axis(axes)
