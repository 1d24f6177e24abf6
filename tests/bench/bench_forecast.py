"""The speed of forecasts."""

from datetime import timedelta

from figure import Figure, median_s
from planning_world import ORIGIN

from forecaster.climatology.profile import load_climatology
from forecaster.inference import load_forecaster
from forecaster.simulated import simulate_history
from functions.domain.regions import GRID_ZONES


def forecast_figure() -> Figure:
    """Thirteen zones, model in memory, one thread."""
    forecaster = load_forecaster()
    begin = ORIGIN - timedelta(hours=200)
    histories = simulate_history(load_climatology(), GRID_ZONES, begin, 200, seed=0)
    span = median_s(
        lambda: forecaster.forecast(histories, ORIGIN, horizon_h=24, source="simulated"), times=30
    )
    return Figure(what="forecast, 13 zones, 24 h, one thread", ours=f"{1000 * span:.1f} ms")


FIGURES = (forecast_figure,)
