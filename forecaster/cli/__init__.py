"""The commands of the forecaster: `python -m forecaster`, also `smartscheduler forecaster`.

Each command has a file; torch is loaded by those that need it, when they run.
"""

import typer

from forecaster.cli.backtest import backtest
from forecaster.cli.climatology import climatology
from forecaster.cli.forecast import forecast
from forecaster.cli.importing import import_exports
from forecaster.cli.robustness import robustness
from forecaster.cli.train import train

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Forecasts the carbon intensity of grids, 24 hours ahead and on to a week.",
)
app.command()(train)
app.command()(backtest)
app.command()(robustness)
app.command()(forecast)
app.command(name="import")(import_exports)
app.command()(climatology)
