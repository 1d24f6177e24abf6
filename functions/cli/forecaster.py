"""`smartscheduler forecaster ...`: the commands of `python -m forecaster`, as they are."""

from collections.abc import MutableMapping
from typing import Any

import typer
from typer.core import TyperGroup


class _Forecaster(TyperGroup):
    """The commands of the forecaster, loaded when one of them is asked for."""

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
