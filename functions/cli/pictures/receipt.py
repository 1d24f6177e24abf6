"""A receipt: beside the other ways, by what it was spent on, and hour by hour."""

from pathlib import Path
from typing import Any

from forecaster.series import HOUR
from functions.cli.pictures.canvas import COLOURS, OTHERS, OURS, OVERHEAD, canvas, time_axis
from functions.domain.accounting.document import Receipt
from functions.domain.accounting.parts import SpentOn


def draw_receipt(file: Path, receipt: Receipt) -> None:
    """Draw what the job emitted, against what, and when."""
    known = [each for each in receipt.baselines if each.emissions_gco2eq is not None]
    note = "" if receipt.complete else f" PROVISIONAL: {receipt.missing_hours} h not published yet."
    source = (
        f"Average {receipt.basis.value} intensity as published afterwards. Source:"
        f" {receipt.source}. Energy: {receipt.energy_basis}.{note}"
    )
    with canvas(file, height=2.2 + 0.34 * (len(known) + 1) + 2.6, source=source) as figure:
        upper, lower = figure.subplots(2, 1, height_ratios=(1 + 0.34 * (len(known) + 1), 2.6))
        _beside(upper, receipt)
        _by_hour(lower, receipt)


def _beside(axes: Any, receipt: Receipt) -> None:  # noqa: ANN401 - of matplotlib
    known = [
        (each.policy.value, each.emissions_gco2eq)
        for each in receipt.baselines
        if each.emissions_gco2eq is not None
    ]
    names = ["this job", *(name for name, _ in known)]
    training = receipt.spent_on(SpentOn.TRAINING)[1]
    overhead = receipt.emissions_gco2eq - training
    axes.barh(names[:1], [training], color=OURS, label="training")
    axes.barh(names[:1], [overhead], left=[training], color=OVERHEAD, label="overhead")
    if known:
        bars = axes.barh(
            names[1:], [grams for _, grams in known], color=OTHERS, label="another way"
        )
        axes.bar_label(bars, fmt="{:.0f} g", padding=3)
    axes.annotate(
        f"{receipt.emissions_gco2eq:.0f} g",
        (receipt.emissions_gco2eq, 0),
        xytext=(3, 0),
        textcoords="offset points",
        va="center",
        weight="bold",
    )
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel("gCO2eq")
    axes.set_title(f"Job {receipt.job_id}: the same work another way, on the same recorded carbon")
    axes.legend(frameon=False, loc="lower right")


def _by_hour(axes: Any, receipt: Receipt) -> None:  # noqa: ANN401 - of matplotlib
    zones = sorted({hour.grid_zone for hour in receipt.hours})
    for zone, colour in zip(zones, COLOURS * 2, strict=False):
        mine = [hour for hour in receipt.hours if hour.grid_zone == zone]
        axes.bar(
            [hour.start for hour in mine],
            [hour.emissions_gco2eq for hour in mine],
            width=HOUR * 0.9,
            align="edge",
            color=colour,
            label=zone,
        )
    axes.set_ylabel("gCO2eq in the hour")
    axes.set_title(
        f"By hour: {receipt.emissions_gco2eq:.0f} gCO2eq from {receipt.energy_kwh:.2f} kWh"
    )
    axes.grid(axis="y", alpha=0.25)
    if zones:
        axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    time_axis(axes)
