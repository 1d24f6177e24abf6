"""`smartscheduler forecaster ...`: the commands of `python -m forecaster`, as they are."""

from collections.abc import MutableMapping
from typing import Any

import typer
from typer.core import TyperGroup

SUMMARIES = {
    "train": "Train a model on CSV files, score it on later hours, and save both as an artifact.",
    "backtest": (
        "Score forecasts made each day against yesterday, last week, ridge and climatology."
    ),
    "robustness": "Score the network's first day from 00:00 UTC with hours and grid zones missing.",
    "forecast": "Forecast all grid zones in a folder from one origin.",
    "import": "Import yearly CSV exports of either header into one folder, one file per grid zone.",
    "climatology": (
        "Compute mean and spread by month, kind of day and hour, and write them as JSON."
    ),
}
"""What `--help` says of each, so that it need not load them: as their own first lines."""


class _Forecaster(TyperGroup):
    """The commands of the forecaster, loaded when one of them is asked for."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401, ARG002 - click's
        """Write the commands without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(SUMMARIES.items()))

    _loaded: MutableMapping[str, Any] | None = None

    @property
    def commands(self) -> MutableMapping[str, Any]:
        """The commands by name."""
        if self._loaded is None:
            from forecaster.cli import app  # noqa: PLC0415 - `smartscheduler --help` needs none

            self._loaded = typer.main.get_group(app).commands
        return self._loaded

    @commands.setter
    def commands(self, _none: MutableMapping[str, Any]) -> None:
        """Ignore that there are none before they are loaded."""


forecaster = typer.Typer(
    cls=_Forecaster,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Forecasts the carbon intensity of grids, 24 hours ahead and on to a week.",
)


@forecaster.callback()
def root() -> None:
    """Forecast the carbon intensity of grids, 24 hours ahead and on to a week."""
