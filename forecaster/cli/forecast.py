"""`forecast`: from recorded hours in CSV files to the hours ahead."""

from datetime import datetime
from typing import Annotated

import typer
from pydantic import TypeAdapter
from rich.console import Console

from forecaster.cli.options import (
    ArtifactOption,
    DataOption,
    JsonOption,
    MixedOption,
    clear_errors,
    load,
    say,
)
from forecaster.cli.tables import forecast_table
from forecaster.series import Forecast


def forecast(  # noqa: PLR0913 - all but two are options
    *,
    history: DataOption,
    origin: Annotated[str, typer.Option(help="Full hour, such as 2024-06-01T00:00Z.")],
    horizon_h: Annotated[int, typer.Option("--horizon-h", min=1, max=168, help="How far.")] = 24,
    artifact: ArtifactOption = None,
    mixed: MixedOption = False,
    as_json: JsonOption = False,
) -> None:
    """Forecast all grid zones in a folder from one origin."""
    with clear_errors():
        begin = _time(origin)
        # torch takes a second or two to import, and `--help` does not need it.
        from forecaster.inference import load_forecaster  # noqa: PLC0415

        made = load_forecaster(artifact).forecast(
            load(history, accept_mixed_releases=mixed),
            begin,
            horizon_h=horizon_h,
            source=f"CSV files in {history.resolve().name}",
        )
    if as_json:
        typer.echo(TypeAdapter(Forecast).dump_json(made, indent=1).decode())
        return
    Console().print(forecast_table(made))
    for zone in made.left_out:
        say(f"{zone.grid_zone} left out: {zone.reason}")


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(
            f"--origin: expected a time such as 2024-06-01T00:00Z, found {text!r}"
        ) from error
    if time.tzinfo is None:
        raise ValueError(
            f"--origin: expected a time with its time zone, found {text!r}; for UTC add a Z"
        )
    return time
