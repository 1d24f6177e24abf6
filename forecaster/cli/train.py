"""`train`: from CSV files to an artifact, scored on the hours after those it learned from."""

import dataclasses
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from forecaster.cli.backtest import behind_a_bar
from forecaster.cli.options import (
    DataOption,
    MixedOption,
    clear_errors,
    load,
    midnight,
    progress_bar,
    say,
)
from forecaster.cli.tables import headline, zone_tables
from forecaster.scores import Report, score
from forecaster.series import IntensityHistory

if TYPE_CHECKING:
    from forecaster.artifact import Manifest
    from forecaster.training import TrainingSettings

VALIDATION_DAYS = 182
"""Of 2024 that are in the data the shipped model was made from."""


def train(  # noqa: PLR0913 - all but two are options
    *,
    data: DataOption,
    out: Annotated[Path, typer.Option(help="Folder for the artifact.")],
    steps: Annotated[int | None, typer.Option(min=1, help="Optimizer steps.")] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same bits.")] = 0,
    end: Annotated[
        str | None, typer.Option(help="Learn from hours before this date; validate on those after.")
    ] = None,
    figures_of: Annotated[
        Path | None,
        typer.Option(help="Artifact of the same settings, --end apart, to take the figures of."),
    ] = None,
    mixed: MixedOption = False,
) -> None:
    """Train a model on CSV files, score it on later hours, and save both as an artifact."""
    with clear_errors():
        until = midnight(end, "--end") if end is not None else None
        _check_lightning()
        from forecaster.training import TrainingSettings  # noqa: PLC0415 - loads Lightning

        settings = TrainingSettings(seed=seed)
        if steps is not None:
            settings = dataclasses.replace(settings, steps=steps)
        if until is not None:
            settings = dataclasses.replace(settings, end=until)
        histories = load(data, accept_mixed_releases=mixed)
        manifest = _train(histories, settings, out)
        report = _validate(histories, manifest, settings.end, out)
        if figures_of is not None:
            _take_figures(out, figures_of)
    if report is None:
        say(f"{out}: saved; no hours after {settings.end.date()} to score it on")
        return
    console = Console()
    for table in zone_tables(report):
        console.print(table)
    console.print(headline(report), highlight=False, markup=False)


def _train(
    histories: dict[str, IntensityHistory], settings: "TrainingSettings", out: Path
) -> "Manifest":
    from forecaster.artifact import save_artifact  # noqa: PLC0415 - loads torch
    from forecaster.training import total_steps  # noqa: PLC0415 - loads Lightning
    from forecaster.training import train as train_network  # noqa: PLC0415 - same

    with progress_bar() as progress:
        task = progress.add_task("training", total=total_steps(settings))
        weights, manifest = train_network(
            histories,
            settings=settings,
            on_step=lambda step: progress.update(task, completed=step),
        )
    # Before it is scored: hours of training must not be lost to trouble with a table.
    save_artifact(out, weights=weights, manifest=manifest)
    return manifest


def _validate(
    histories: dict[str, IntensityHistory], manifest: "Manifest", end: datetime, out: Path
) -> Report | None:
    """Score the artifact on the hours after `end` and write the figures into it."""
    from forecaster.artifact import save_artifact  # noqa: PLC0415 - loads torch
    from forecaster.inference import load_forecaster  # noqa: PLC0415 - same

    last = max(history.end for history in histories.values())
    days = min((last - end).days, VALIDATION_DAYS)
    if days < 1:
        return None
    forecaster = load_forecaster(out)
    trial = behind_a_bar(forecaster, histories, (end, end + timedelta(days=days)))
    report = score(trial)
    save_artifact(
        out,
        weights=forecaster.model.state_dict(),
        manifest=dataclasses.replace(manifest, metrics=report.by_zone()),
    )
    return report


def _take_figures(out: Path, figures_of: Path) -> None:
    from forecaster.artifact import load_artifact, save_artifact, with_figures_of  # noqa: PLC0415 - loads torch

    model, manifest = load_artifact(out)
    _, earlier = load_artifact(figures_of)
    save_artifact(out, weights=model.state_dict(), manifest=with_figures_of(manifest, earlier))


def _check_lightning() -> None:
    try:
        import lightning  # noqa: F401, PLC0415 - only whether it is there
    except ImportError as error:
        raise ValueError(
            f"expected the extra of the forecaster, found no {error.name};"
            " pip install 'smartscheduler[forecaster]'"
        ) from error
