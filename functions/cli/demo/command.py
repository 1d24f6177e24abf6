"""The command line of the demo; everything that it needs is imported when it runs."""

from pathlib import Path
from typing import Annotated

import typer


def demo(
    *,
    history: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Recorded hours.", show_default="simulated ones"),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where Ctrl-C left off.")] = False,
    folder: Annotated[Path, typer.Option(metavar="DIR", help="Where the demo keeps all.")] = Path(
        ".demo"
    ),
    live: Annotated[bool, typer.Option("--live/--no-live", help="Live view, or lines.")] = True,
    seed: Annotated[int, typer.Option(help="Seed of the simulated carbon data.")] = 0,
) -> None:
    """Run the product on an embedded cloud: no account, no key, under three minutes."""
    # It starts servers and reads data: `--help` must not wait for their imports.
    from functions.cli.demo.run import Demo  # noqa: PLC0415

    raise typer.Exit(Demo(folder=folder, history=history, seed=seed, live=live).run(resume=resume))
