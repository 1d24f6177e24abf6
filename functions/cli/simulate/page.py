"""The picture as one HTML file that needs no network, by plotly."""

from datetime import timedelta
from html import escape
from pathlib import Path
from typing import Any

from functions.cli.simulate.picture import COLOURS, LOG_FROM, OTHER_COLOUR, PLAN_COLOUR, runs_in
from functions.domain.simulation.summary import Summary, Way


def write_page(file: Path, hours: dict[str, Any], summary: Summary, caption: str) -> None:
    """Write the page to `file`."""
    from plotly.offline import get_plotlyjs  # noqa: PLC0415 - large

    figures = [_hours(hours), _savings(summary)]
    parts = [
        figure.to_html(
            full_html=False,
            include_plotlyjs=False,
            config={"displaylogo": False, "showSendToCloud": False},
        )
        for figure in figures
    ]
    file.write_text(
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>SmartScheduler: {escape(hours['job_id'])}, replayed</title>"
        "<style>body{font-family:system-ui,sans-serif;margin:1rem auto;max-width:75rem}"
        "p{color:#555;font-size:.85rem}</style>"
        f"<script>{get_plotlyjs()}</script></head><body>"
        f"<h1>Replayed over recorded hours</h1>{''.join(parts)}<p>{escape(caption)}</p>"
        "</body></html>",
        encoding="utf-8",
    )


def _hours(hours: dict[str, Any]) -> Any:  # noqa: ANN401 - a figure of plotly
    from plotly import graph_objects as go  # noqa: PLC0415 - large

    figure = go.Figure()
    times = [*hours["times"], hours["times"][-1] + timedelta(hours=1)]
    for colour, (zone, values) in zip(COLOURS, hours["lines"].items(), strict=False):
        steps = [float(value) for value in values]
        figure.add_scatter(
            x=times, y=[*steps, steps[-1]], name=zone, legendgroup=zone, mode="lines",
            line={"shape": "hv", "color": colour, "width": 1.5},
        )  # fmt: skip
        xs: list[Any] = []
        ys: list[float | None] = []
        for (begin, end), value in runs_in(zone, hours):
            xs += [begin, end, None]
            ys += [value, value, None]
        if xs:
            figure.add_scatter(
                x=xs, y=ys, name=f"ran in {zone}", legendgroup=zone, mode="lines",
                line={"color": colour, "width": 8},
            )  # fmt: skip
    lows = [float(values.min()) for values in hours["lines"].values()]
    is_wide = max(lows) > LOG_FROM * max(min(lows), 1.0)
    figure.update_layout(
        title=f"{escape(hours['title'])}<br><sup>thick: where this plan ran; it saved"
        f" {100 * hours['saved']:.0f} % against running now, here (the median job)</sup>",
        yaxis={
            "title": "gCO2eq/kWh, recorded",
            "type": "log" if is_wide else "linear",
            "rangemode": "normal" if is_wide else "tozero",
        },
        template="plotly_white",
        height=520,
    )
    return figure


def _savings(summary: Summary) -> Any:  # noqa: ANN401 - a figure of plotly
    from plotly import graph_objects as go  # noqa: PLC0415 - large

    rows = [row for row in summary.rows if row.way != Way.NOW][::-1]
    saved = [100 * row.saved_against_now_here for row in rows]
    figure = go.Figure(
        go.Bar(
            x=saved,
            y=[row.way for row in rows],
            orientation="h",
            marker={"color": [PLAN_COLOUR if r.way == Way.PLAN else OTHER_COLOUR for r in rows]},
            text=[
                f"{value:.1f} %" + (f", {row.missed} missed" if row.missed else "")
                for value, row in zip(saved, rows, strict=True)
            ],
        )
    )
    figure.update_layout(
        title=f"all {summary.jobs} jobs: grams saved against running now, here, %",
        template="plotly_white",
        height=380,
    )
    return figure
