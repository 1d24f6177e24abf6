"""The report's charts, by plotly, which is imported only when a chart is drawn."""

import base64
import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import pairwise
from typing import Any

from forecaster.series import HOUR
from functions.domain.accounting.parts import SpentOn
from functions.domain.regions import grid_zone_of
from functions.errors import InvalidInputError
from functions.report.documents import JobDocuments
from functions.report.metrics import is_loss, names_of
from functions.report.story import was_killed
from functions.report.timeline import earliest_forecast_of, heat_map
from vm_runtime.contract.ledger import LedgerEntry, SegmentKind

# Paul Tol's bright scheme: told apart without colour vision, and on dark paper too.
_LINES = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#999999")
_TRAINING, _OVERHEAD, _OTHER, _END = "#228833", "#ccbb44", "#999999", "#d1495b"
_METRICS = "#aa3377", "#ee9944", "#66ccee", "#999999"
_PAUSE = "rgba(128,128,128,0.16)"
_GRID = "#cccccc"
_SHOWN_METRICS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One chart, for the page's script to draw."""

    name: str
    alt: str
    """What it shows, for who cannot see it."""
    height_px: int
    json: str
    """Data and layout as plotly.js takes them, safe inside a script element."""


@cache
def packed_plotly() -> str:
    """Return plotly's own code, gzipped and in base64: 4.7 MB of script become 1.9 MB of text.

    Raises:
        InvalidInputError: plotly is not installed.
    """
    return base64.b64encode(gzip.compress(plotly_script().encode(), 9, mtime=0)).decode()


def plotly_script() -> str:
    """Return plotly's own code.

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


def progress_chart(documents: JobDocuments) -> Chart | None:
    """Return steps, losses and other metrics over time; a grey band where nothing ran.

    A cross marks a VM that died without notice, a dotted line each other end.
    """
    if not documents.ledger:
        return None
    names = names_of(documents.metrics)[:_SHOWN_METRICS]
    groups = [[n for n in names if is_loss(n)], [n for n in names if not is_loss(n)]]
    groups = [group for group in groups if group]
    rows = 1 + len(groups)
    figure = _figure(rows=rows)
    _add_steps(figure, documents)
    for row, group in enumerate(groups, start=2):
        _add_metrics(figure, documents, group, row)
        title = "loss" if is_loss(group[0]) else ", ".join(group)
        figure.update_yaxes(title=title, row=row, col=1)
    _add_interruptions(figure, documents)
    figure.update_yaxes(title="steps", rangemode="tozero", row=1, col=1)
    alt = (
        f"Steps{' and metrics' if groups else ''} over time on {len(documents.ledger)} VMs."
        f" Gaps: {len(_pauses(documents.ledger))} pauses. The table of VMs has the numbers."
    )
    return _chart(figure, "progress", alt, 130 + 170 * rows)


def intervals_chart(documents: JobDocuments) -> Chart | None:
    """Return energy and grams of each VM, training and overhead apart."""
    receipt = documents.receipt
    if receipt is None or not receipt.intervals:
        return None
    figure = _figure(rows=2)
    names = [f"VM {i.incarnation}, {i.grid_zone}" for i in receipt.intervals]
    kwh = [i.energy_kwh - i.overhead_kwh for i in receipt.intervals]
    over = [i.overhead_kwh for i in receipt.intervals]
    for label, values, colour in (("training", kwh, _TRAINING), ("overhead", over, _OVERHEAD)):
        figure.add_bar(
            x=names,
            y=values,
            name=label,
            marker={"color": colour},
            hovertemplate="%{x}<br>%{y:.3f} kWh " + label + "<extra></extra>",
            row=1,
            col=1,
        )
    figure.add_bar(
        x=names,
        y=[i.emissions_gco2eq for i in receipt.intervals],
        name="emitted",
        marker={"color": _LINES[0]},
        hovertemplate="%{x}<br>%{y:.1f} gCO2eq<extra></extra>",
        row=2,
        col=1,
    )
    figure.update_xaxes(type="category")
    figure.update_layout(bargap=0.55)
    figure.update_yaxes(title="kWh", row=1, col=1)
    figure.update_yaxes(title="gCO2eq", row=2, col=1)
    alt = f"Energy and emissions of {len(names)} VMs; the table by VM has the numbers."
    return _chart(figure, "intervals", alt, 360)


def intensity_chart(documents: JobDocuments) -> Chart | None:
    """Return recorded against first foreseen intensity of each grid zone that is or was used."""
    heat = heat_map(documents)
    rows = [row for row in heat.rows if any(cell.mark for cell in row.cells)]
    if not rows:
        return None
    figure = _figure()
    middles = [hour + HOUR / 2 for hour in heat.hours]
    colours = _zone_colours(documents)
    for row in rows:
        colour = colours[row.grid_zone]
        foreseen = [
            earliest_forecast_of(documents.forecasts, row.grid_zone, hour) for hour in heat.hours
        ]
        known = [(at, f) for at, f in zip(middles, foreseen, strict=True) if f is not None]
        times = [at for at, _ in known]
        figure.add_scatter(
            x=[*times, *times[::-1]],
            y=[*(f[2] for _, f in known), *(f[0] for _, f in known[::-1])],
            fill="toself",
            fillcolor=_faint(colour),
            line={"width": 0},
            hoverinfo="skip",
            name=f"{row.grid_zone} 10 % to 90 %",
        )
        figure.add_scatter(
            x=times,
            y=[f[1] for _, f in known],
            name=f"{row.grid_zone} foreseen",
            mode="lines",
            line={"color": colour, "dash": "dot"},
            hovertemplate="%{y:.0f} g/kWh",
        )
        figure.add_scatter(
            x=middles,
            y=[c.gco2eq_per_kwh if c.actual else None for c in row.cells],
            name=f"{row.grid_zone} recorded",
            mode="lines+markers",
            marker={"size": 4},
            line={"color": colour, "width": 2.5},
            hovertemplate="%{y:.0f} g/kWh",
        )
    figure.update_yaxes(title="gCO2eq/kWh", rangemode="tozero")
    figure.update_layout(hovermode="x unified")
    zones = ", ".join(row.grid_zone for row in rows)
    alt = f"Recorded and foreseen carbon intensity of {zones}; the table above has the numbers."
    return _chart(figure, "intensity", alt, 380)


def hours_chart(documents: JobDocuments) -> Chart | None:
    """Return grams of each hour of the receipt by grid zone; `None` without a receipt."""
    receipt = documents.receipt
    if receipt is None or not receipt.hours:
        return None
    figure = _figure()
    zones = sorted({hour.grid_zone for hour in receipt.hours})
    colours = _zone_colours(documents)
    for zone in zones:
        mine = [hour for hour in receipt.hours if hour.grid_zone == zone]
        figure.add_bar(
            x=[hour.start + HOUR / 2 for hour in mine],
            y=[hour.emissions_gco2eq for hour in mine],
            customdata=[(hour.energy_kwh, hour.overhead_kwh) for hour in mine],
            hovertemplate="%{y:.1f} g from %{customdata[0]:.3f} kWh,"
            " of it %{customdata[1]:.3f} kWh overhead",
            name=zone,
            marker={"color": colours.get(zone, _OTHER)},
        )
    figure.update_layout(barmode="stack")
    figure.update_yaxes(title="gCO2eq in the hour", rangemode="tozero")
    alt = f"Emissions of each hour in {', '.join(zones)}; the table hour by hour has the numbers."
    return _chart(figure, "hours", alt, 300)


def compared_chart(documents: JobDocuments) -> Chart | None:
    """Return the job beside the other ways it could have gone, training and overheads apart."""
    receipt = documents.receipt
    if receipt is None or not receipt.complete:
        return None
    others = [each for each in receipt.baselines if each.emissions_gco2eq is not None]
    if not others:
        return None
    training = receipt.spent_on(SpentOn.TRAINING)[1]
    figure = _figure()
    parts = ("training", training), ("overhead", receipt.emissions_gco2eq - training)
    for (name, grams), colour in zip(parts, (_TRAINING, _OVERHEAD), strict=True):
        figure.add_bar(
            y=["this job"],
            x=[grams],
            name=f"{name}, this job",
            marker={"color": colour},
            orientation="h",
            hovertemplate="%{x:.1f} gCO2eq " + name + "<extra></extra>",
        )
    figure.add_bar(
        y=[each.policy.value for each in others],
        x=[each.emissions_gco2eq for each in others],
        name="another way",
        marker={"color": _OTHER},
        orientation="h",
        hovertemplate="%{y}: %{x:.1f} gCO2eq<extra></extra>",
    )
    figure.update_xaxes(type="linear", title="gCO2eq", rangemode="tozero")
    figure.update_yaxes(autorange="reversed", automargin=True)
    alt = f"This job emitted {receipt.emissions_gco2eq:.0f} g; the table has the other ways."
    return _chart(figure, "compared", alt, 130 + 34 * (len(others) + 1))


def _add_steps(figure: Any, documents: JobDocuments) -> None:  # noqa: ANN401 - plotly has no types
    colours = _zone_colours(documents)
    for entry in documents.ledger:
        colour = colours.get(grid_zone_of(entry.compute_zone), _OTHER)
        figure.add_scatter(
            x=[entry.started_at, *_train_times(entry), entry.updated_at],
            y=[entry.first_step, *_train_steps(entry), entry.last_step],
            name=f"{entry.vm} ({grid_zone_of(entry.compute_zone)})",
            mode="lines+markers",
            line={"color": colour, "width": 3},
            row=1,
            col=1,
        )
    killed = [entry for entry in documents.ledger if was_killed(documents, entry)]
    if killed:
        figure.add_scatter(
            x=[entry.updated_at for entry in killed],
            y=[entry.last_step for entry in killed],
            name="gone without notice",
            mode="markers",
            marker={"symbol": "x", "size": 13, "color": _END},
            row=1,
            col=1,
        )


def _add_metrics(figure: Any, documents: JobDocuments, names: Sequence[str], row: int) -> None:  # noqa: ANN401 - plotly
    for name, colour in zip(names, _METRICS, strict=False):
        x: list[datetime | None] = []
        y: list[float | None] = []
        last = None
        for point in documents.metrics:
            if point.name != name:
                continue
            if last is not None and point.incarnation != last:
                x.append(point.at)  # a gap: another VM went on
                y.append(None)
            x.append(point.at)
            y.append(point.value)
            last = point.incarnation
        figure.add_scatter(
            x=x,
            y=[None if value is None else float(f"{value:.5g}") for value in y],
            name=name,
            mode="lines",
            line={"color": colour},
            row=row,
            col=1,
        )


def _add_interruptions(figure: Any, documents: JobDocuments) -> None:  # noqa: ANN401 - plotly
    for begin, end in _pauses(documents.ledger):
        figure.add_vrect(x0=begin, x1=end, fillcolor=_PAUSE, line_width=0, layer="below")
    for entry in documents.ledger[:-1]:
        killed = was_killed(documents, entry)
        line = {"color": _END, "width": 1, "dash": "solid" if killed else "dot"}
        figure.add_vline(x=entry.updated_at, line=line)


def _pauses(ledger: Sequence[LedgerEntry]) -> list[tuple[datetime, datetime]]:
    return [
        (before.updated_at, after.started_at)
        for before, after in pairwise(ledger)
        if before.updated_at < after.started_at
    ]


def _train_times(entry: LedgerEntry) -> list[datetime]:
    train = [segment for segment in entry.segments if segment.kind is SegmentKind.TRAIN]
    return [train[0].start, train[-1].end] if train else []


def _train_steps(entry: LedgerEntry) -> list[int]:
    return [entry.first_step, entry.last_step] if _train_times(entry) else []


def _zone_colours(documents: JobDocuments) -> dict[str, str]:
    """Return one colour for each grid zone, the same in all charts."""
    return dict(zip(documents.grid_zones, _LINES * 2, strict=False))


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.15)"


def _figure(*, rows: int = 1) -> Any:  # noqa: ANN401 - plotly has no types
    from plotly.subplots import make_subplots  # noqa: PLC0415 - the cloud's functions lack it

    figure = make_subplots(rows=rows, cols=1, shared_xaxes=True, vertical_spacing=0.06)
    figure.update_layout(
        template="none",
        margin={"l": 58, "r": 14, "t": 10, "b": 36},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        legend={"orientation": "h", "y": 1.01, "yanchor": "bottom", "x": 0},
        font={"family": "system-ui, sans-serif", "size": 12},
        barmode="stack",
    )
    figure.update_xaxes(gridcolor=_GRID, type="date", automargin=True)
    figure.update_yaxes(gridcolor=_GRID, zeroline=False, title_standoff=6)
    return figure


def _chart(figure: Any, name: str, alt: str, height_px: int) -> Chart:  # noqa: ANN401 - plotly
    # A text of a document must not end the script element that it is in.
    json = str(figure.to_json()).replace("<", "\\u003c")
    return Chart(name=name, alt=alt, height_px=height_px, json=json)
