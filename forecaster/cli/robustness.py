"""`robustness`: what is lost when recorded hours are."""

import dataclasses
import json
from typing import Annotated

import numpy as np
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as Grid

from forecaster.cli.options import (
    ArtifactOption,
    DataOption,
    JsonOption,
    clear_errors,
    load,
    midnight,
)

DAY_H = 24


def robustness(  # noqa: PLR0913 - all but two are options
    *,
    data: DataOption,
    begin: Annotated[str, typer.Option("--from", help="First day, such as 2024-01-01 (UTC).")],
    end: Annotated[str, typer.Option("--to", help="Last day.")],
    leave_out: Annotated[
        list[str] | None, typer.Option(help="Grid zone that is not used; may be given again.")
    ] = None,
    artifact: ArtifactOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score the network's first day from 00:00 UTC with hours and grid zones missing."""
    with clear_errors():
        first, last = midnight(begin, "--from"), midnight(end, "--to")
        from forecaster.inference import load_forecaster  # noqa: PLC0415 - loads torch
        from forecaster.robustness import measure  # noqa: PLC0415 - same
        from forecaster.windows import tabulate  # noqa: PLC0415 - same

        forecaster = load_forecaster(artifact)
        histories = load(data)
        for grid_zone in leave_out or ():
            histories.pop(grid_zone, None)
        table = tabulate(histories, forecaster.manifest.grid_zones)
        config = forecaster.model.config
        # An origin needs a whole lookback before and a whole horizon after it.
        latest = table.gco2eq_per_kwh.shape[1] - config.horizon_h
        origins = np.arange(
            max(table.index(first), -(-config.lookback_h // DAY_H) * DAY_H),
            min(table.index(last), latest) + 1,
            DAY_H,
        )
        if not origins.size:
            raise ValueError(
                f"expected recorded hours from {begin} to {end} with {config.lookback_h} h before"
                f" and {config.horizon_h} h after, found none"
            )
        losses = measure(forecaster.model, table, origins)
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(loss) for loss in losses], indent=1))
        return
    grid = Grid(box=SIMPLE_HEAD, title=f"First day from {len(origins)} origins at 00:00 UTC")
    for heading in ("missing", "skill", "own", "rank", "covered"):
        grid.add_column(heading, justify="left" if heading == "missing" else "right")
    for loss in losses:
        figures = (loss.skill, loss.own_skill, loss.rank_correlation)
        grid.add_row(loss.fault, *(f"{x:.3f}" for x in figures), f"{loss.coverage:.2f}")
    Console().print(grid)
