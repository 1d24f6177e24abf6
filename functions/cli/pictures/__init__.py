"""Pictures of series (`--plot`), by matplotlib: units and source on each. Loaded when drawn."""

from functions.cli.pictures.forecast import draw_forecast
from functions.cli.pictures.metrics import draw_metrics
from functions.cli.pictures.receipt import draw_receipt
from functions.cli.pictures.way import draw_way

__all__ = ["draw_forecast", "draw_metrics", "draw_receipt", "draw_way"]
