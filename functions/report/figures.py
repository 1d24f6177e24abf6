"""The report's charts, by plotly, which is imported only when a chart is drawn."""

from datetime import datetime
from typing import Any

from forecaster.series import HOUR
from functions.domain.accounting.parts import SpentOn
from functions.domain.regions import grid_zone_of
from functions.errors import InvalidInputError
from functions.report.documents import JobDocuments
from functions.report.story import was_killed
from functions.report.timeline import HeatMap, Mark, forecast_of, heat_map
from vm_runtime.contract.ledger import LedgerEntry, SegmentKind

# Paul Tol's iridescent and bright schemes: told apart without colour vision too.
_HEAT = [[0.0, "#e8f4e5"], [0.35, "#b5ddd8"], [0.6, "#7ab5d4"], [0.8, "#9085c2"], [1.0, "#6f3f70"]]
_LINES = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#777777")
_GRID = "rgba(128,128,128,0.25)"


def plotly_script() -> str:
    """Return plotly's own code, to be put into the page once.

    Raises:
        InvalidInputError: plotly is not installed.
    """
    try:
        from plotly.offline import get_plotlyjs  # noqa: PLC0415 - the cloud's functions lack it
    except ModuleNotFoundError as error:
        raise InvalidInputError(
            "report: expected the package plotly, found none."
            " Install it: pip install 'smartscheduler[demo]'."
        ) from error
    return str(get_plotlyjs())


def heat_figure(documents: JobDocuments) -> str:
    """Return the heat map of grid zones x hours with the way taken and planned, as HTML."""
    heat = heat_map(documents)
    hours = [hour + HOUR / 2 for hour in heat.hours]
    figure = _figure(height=90 + 34 * max(len(heat.rows), 3))
    figure.add_heatmap(
        x=hours,
        y=[row.grid_zone for row in heat.rows],
        z=[[cell.gco2eq_per_kwh for cell in row.cells] for row in heat.rows],
        text=[["recorded" if c.actual else "forecast" for c in row.cells] for row in heat.rows],
        hovertemplate="%{y} %{x|%d %b %H:%M}<br>%{z:.0f} g/kWh (%{text})<extra></extra>",
        colorscale=_HEAT,
        xgap=1,
        ygap=2,
        colorbar={"title": {"text": "g/kWh"}, "thickness": 12},
    )
    for mark, symbol in ((Mark.DONE, "square"), (Mark.NOW, "star"), (Mark.PLANNED, "square-open")):
        _add_marks(figure, heat, mark, symbol)
    figure.add_vline(x=heat.now, line={"color": "#bb3311", "width": 1, "dash": "dot"})
    figure.update_yaxes(autorange="reversed", type="category", showgrid=False)
    figure.update_xaxes(showgrid=False)
    return _html(figure, "heat")


def intensity_figure(documents: JobDocuments) -> str:
    """Return recorded against forecast intensity of each grid zone that is or was used."""
    heat = heat_map(documents)
    figure = _figure(height=360)
    rows = [row for row in heat.rows if any(cell.mark for cell in row.cells)]
    for row, colour in zip(rows, _LINES * 2, strict=False):
        recorded = [c.gco2eq_per_kwh if c.actual else None for c in row.cells]
        foreseen = [forecast_of(documents.forecasts, row.grid_zone, hour) for hour in heat.hours]
        for name, dash, values in (
            ("recorded", "solid", recorded),
            ("forecast", "dot", [f[1] if f else None for f in foreseen]),
        ):
            figure.add_scatter(
                x=heat.hours,
                y=values,
                name=f"{row.grid_zone} {name}",
                mode="lines",
                line={"color": colour, "dash": dash, "shape": "hv"},
            )
    figure.update_yaxes(title="gCO2eq/kWh", rangemode="tozero")
    return _html(figure, "intensity")


def progress_figure(documents: JobDocuments) -> str:
    """Return steps over time, one line for each VM; a cross where one died without notice."""
    figure = _figure(height=300)
    for entry, colour in zip(documents.ledger, _LINES * 9, strict=False):
        figure.add_scatter(
            x=[entry.started_at, *_train_times(entry), entry.updated_at],
            y=[entry.first_step, *_train_steps(entry), entry.last_step],
            name=f"{entry.vm} ({grid_zone_of(entry.compute_zone)})",
            mode="lines+markers",
            line={"color": colour},
        )
        if was_killed(documents, entry):
            figure.add_scatter(
                x=[entry.updated_at],
                y=[entry.last_step],
                name="gone without notice",
                mode="markers",
                marker={"symbol": "x", "size": 13, "color": "#bb3311"},
            )
    figure.update_yaxes(title="steps", rangemode="tozero")
    return _html(figure, "progress")


def hours_figure(documents: JobDocuments) -> str:
    """Return grams of each hour of the receipt by grid zone; an empty text without a receipt."""
    receipt = documents.receipt
    if receipt is None or not receipt.hours:
        return ""
    figure = _figure(height=300)
    zones = sorted({hour.grid_zone for hour in receipt.hours})
    for zone, colour in zip(zones, _LINES * 2, strict=False):
        mine = [hour for hour in receipt.hours if hour.grid_zone == zone]
        figure.add_bar(
            x=[hour.start + HOUR / 2 for hour in mine],
            y=[hour.emissions_gco2eq for hour in mine],
            customdata=[(hour.energy_kwh, hour.overhead_kwh) for hour in mine],
            hovertemplate="%{y:.1f} g from %{customdata[0]:.3f} kWh,"
            " of it %{customdata[1]:.3f} kWh overhead",
            name=zone,
            marker={"color": colour},
        )
    figure.update_layout(barmode="stack")
    figure.update_yaxes(title="gCO2eq", rangemode="tozero")
    return _html(figure, "hours")


def compared_figure(documents: JobDocuments) -> str:
    """Return the job beside the other ways it could have gone, training and overheads apart."""
    receipt = documents.receipt
    if receipt is None or not receipt.complete:
        return ""
    others = [each for each in receipt.baselines if each.emissions_gco2eq is not None]
    if not others:
        return ""
    training = receipt.spent_on(SpentOn.TRAINING)[1]
    figure = _figure(height=110 + 32 * len(others))
    figure.add_bar(
        y=[each.policy.value for each in others],
        x=[each.emissions_gco2eq for each in others],
        name="another way",
        marker={"color": "#bbbbbb"},
        orientation="h",
    )
    parts = ("training", training), ("overhead", receipt.emissions_gco2eq - training)
    for (name, grams), colour in zip(parts, _LINES, strict=False):
        figure.add_bar(
            y=["this job"], x=[grams], name=name, marker={"color": colour}, orientation="h"
        )
    figure.update_xaxes(type="linear", title="gCO2eq", rangemode="tozero")
    figure.update_yaxes(autorange="reversed", automargin=True)
    return _html(figure, "compared")


def _train_times(entry: LedgerEntry) -> list[datetime]:
    train = [segment for segment in entry.segments if segment.kind is SegmentKind.TRAIN]
    return [train[0].start, train[-1].end] if train else []


def _train_steps(entry: LedgerEntry) -> list[int]:
    return [entry.first_step, entry.last_step] if _train_times(entry) else []


def _add_marks(figure: Any, heat: HeatMap, mark: Mark, symbol: str) -> None:  # noqa: ANN401 - plotly
    spots = [
        (hour + HOUR / 2, row.grid_zone)
        for row in heat.rows
        for hour, cell in zip(heat.hours, row.cells, strict=True)
        if cell.mark is mark
    ]
    figure.add_scatter(
        x=[x for x, _ in spots],
        y=[y for _, y in spots],
        mode="markers",
        name=mark.value,
        marker={
            "symbol": symbol,
            "size": 11,
            "color": "#111111",
            "line": {"color": "#ffffff", "width": 0 if mark is Mark.PLANNED else 1},
        },
        hoverinfo="skip",
        showlegend=bool(spots),
    )


def _figure(*, height: int) -> Any:  # noqa: ANN401 - plotly has no types
    import plotly.graph_objects as go  # noqa: PLC0415 - the cloud's functions lack it

    figure = go.Figure()
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 60, "r": 20, "t": 30, "b": 40},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        font={"family": "system-ui, sans-serif"},
        barmode="stack",
    )
    figure.update_xaxes(gridcolor=_GRID, type="date")
    figure.update_yaxes(gridcolor=_GRID, zeroline=False)
    return figure


def _html(figure: Any, name: str) -> str:  # noqa: ANN401 - plotly has no types
    return str(
        figure.to_html(
            full_html=False,
            include_plotlyjs=False,
            div_id=f"figure-{name}",
            config={"displaylogo": False, "responsive": True},
        )
    )
