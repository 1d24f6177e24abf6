"""Grid zones x hours with the way that a job takes through them."""

from pathlib import Path
from typing import Any

import numpy as np

from forecaster.series import HOUR
from functions.cli.pictures.canvas import MARK, UNIT, canvas, heat_colours, heat_scale, time_axis
from functions.report.documents import JobDocuments
from functions.report.timeline import HeatMap, heat_map, planned, ran


def draw_way(file: Path, documents: JobDocuments) -> None:
    """Draw where the job ran and will run, over the intensity of each hour."""
    heat = heat_map(documents)
    plan = documents.plan
    parts = [documents.intensity_source and f"recorded: {documents.intensity_source}"]
    parts.append(f"forecast: {plan.forecast_source}" if plan else "")
    source = "; ".join(part for part in parts if part) or "no carbon data yet"
    with canvas(file, height=1.9 + 0.36 * max(len(heat.rows), 3), source=source) as figure:
        axes = figure.subplots()
        _cells(figure, axes, heat)
        _bars(axes, documents, heat)
        axes.set_title(f"Job {documents.job.job_id}: where and when\n{_told(documents)}")


def _told(documents: JobDocuments) -> str:
    receipt, plan = documents.receipt, documents.plan
    if receipt:
        return f"emitted {receipt.emissions_gco2eq:.0f} gCO2eq from {receipt.energy_kwh:.2f} kWh"
    return f"{plan.expected_gco2eq:.0f} gCO2eq expected for what is left" if plan else "no plan yet"


def _cells(figure: Any, axes: Any, heat: HeatMap) -> None:  # noqa: ANN401 - of matplotlib
    values = [
        [np.nan if cell.gco2eq_per_kwh is None else cell.gco2eq_per_kwh for cell in row.cells]
        for row in heat.rows
    ]
    edges = [*heat.hours, heat.hours[-1] + HOUR]
    mesh = axes.pcolormesh(
        edges,
        np.arange(len(heat.rows) + 1) - 0.5,
        np.array(values),
        cmap=heat_colours(),
        norm=heat_scale(),
        edgecolors="white",
        linewidth=0.4,
    )
    recorded = max((sum(cell.actual for cell in row.cells) for row in heat.rows), default=0)
    if 0 < recorded < len(heat.hours):
        axes.axvline(heat.start + recorded * HOUR, color="#333333", linewidth=0.8)
        axes.annotate(
            "recorded | forecast",
            (heat.start + recorded * HOUR, -0.5),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            fontsize=7,
        )
    axes.set_yticks(range(len(heat.rows)), [row.grid_zone for row in heat.rows])
    axes.invert_yaxis()
    time_axis(axes)
    figure.colorbar(mesh, ax=axes, label=UNIT, pad=0.01)


def _bars(axes: Any, documents: JobDocuments, heat: HeatMap) -> None:  # noqa: ANN401 - of matplotlib
    rows = {row.grid_zone: index for index, row in enumerate(heat.rows)}
    kinds = (
        ("ran", ran(documents), MARK, "solid"),
        ("planned", planned(documents), "none", "solid"),
    )
    for name, stretches, face, line in kinds:
        label: str | None = name
        for each in stretches:
            if each.grid_zone not in rows or each.end <= heat.start:
                continue
            axes.barh(
                rows[each.grid_zone],
                each.end - max(each.start, heat.start),
                left=max(each.start, heat.start),
                height=0.42,
                facecolor=face,
                edgecolor=MARK if face == "none" else "white",
                linestyle=line,
                linewidth=1.6 if face == "none" else 0.6,
                label=label,
            )
            label = None
    axes.set_xlim(heat.start, heat.hours[-1] + HOUR)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, frameon=False)
