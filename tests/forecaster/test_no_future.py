"""The law against leakage: nothing recorded at the origin or later moves a forecast."""

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from intensity_worlds import START, flat_climatology, two_grids, untrained

from forecaster.history import load_folder
from forecaster.series import HOUR, Forecast, IntensityHistory

HOURS = 24 * 9
FORECASTER = untrained(flat_climatology({"AA": 300.0, "BB": 150.0}))


def written_and_read(histories: dict[str, IntensityHistory]) -> dict[str, IntensityHistory]:
    """Take histories through CSV files, as a user's come."""
    with tempfile.TemporaryDirectory() as folder:
        for zone, history in histories.items():
            rows = [
                f"{zone},{(history.start + i * HOUR).isoformat()},{value:.2f}"
                for i, value in enumerate(history.gco2eq_per_kwh)
                if np.isfinite(value)
            ]
            text = "\n".join(["zone,datetime_utc,carbon_intensity", *rows]) + "\n"
            (Path(folder) / f"{zone}.csv").write_text(text, encoding="utf-8")
        return load_folder(Path(folder))


def forecast_from(histories: dict[str, IntensityHistory], origin_h: int) -> Forecast:
    """Forecast two days from an hour of the histories."""
    return FORECASTER.forecast(
        written_and_read(histories), START + origin_h * HOUR, horizon_h=48, source="test"
    )


@settings(max_examples=15, deadline=None)
@given(
    origin_h=st.integers(24, HOURS - 25),
    value=st.one_of(st.just(float("nan")), st.floats(0, 2000, width=32)),
    from_h=st.integers(0, 24),
    zone=st.sampled_from(["AA", "BB"]),
)
def test_no_future_value_moves_a_forecast(
    origin_h: int, value: float, from_h: int, zone: str
) -> None:
    """From file to quantiles: another value, or none, at any later hour leaves all bits alike."""
    histories = two_grids(HOURS)
    expected = forecast_from(histories, origin_h)
    values = histories[zone].gco2eq_per_kwh.copy()
    values[origin_h + from_h :] = value
    changed = IntensityHistory(grid_zone=zone, start=START, gco2eq_per_kwh=values)
    assert forecast_from(histories | {zone: changed}, origin_h) == expected


def test_the_hour_before_the_origin_does_move_it() -> None:
    """Or else the law above would hold for a forecaster that looks at nothing."""
    histories = two_grids(HOURS)
    values = histories["AA"].gco2eq_per_kwh.copy()
    values[99] = 2000
    changed = IntensityHistory(grid_zone="AA", start=START, gco2eq_per_kwh=values)
    assert forecast_from(histories | {"AA": changed}, 100) != forecast_from(histories, 100)
