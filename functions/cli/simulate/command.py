"""The command and its options."""

from pathlib import Path
from typing import Annotated, Any

import typer

from functions.cli.options import JsonOption
from functions.errors import InvalidInputError

KINDS = "tcn", "ridge", "persistence", "oracle"
STUDIES = "own", "eu", "all"


def simulate(  # noqa: PLR0913 - each is an option of the command
    history: Annotated[
        Path, typer.Option("--history", metavar="DIR", help="Folder of recorded hours (CSV).")
    ],
    *,
    work: Annotated[str, typer.Option(help="Work of the job, such as 12h.")] = "12h",
    deadline: Annotated[str, typer.Option(help="Time until its deadline, such as 48h.")] = "48h",
    regions: Annotated[
        str, typer.Option(help="eu, all, or a list; the first one is 'here'.")
    ] = "eu",
    machine: Annotated[str, typer.Option(help="Machine type.")] = "e2-standard-8",
    power: Annotated[str, typer.Option(help="Power of the whole machine, such as 250W.")] = "250W",
    forecast: Annotated[str, typer.Option(help="tcn, ridge, persistence or oracle.")] = "tcn",
    weights: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A trained forecaster.", show_default="the shipped one"),
    ] = None,
    every: Annotated[str, typer.Option(help="Time from one forecast to the next.")] = "1h",
    jobs: Annotated[
        Path | None, typer.Option(metavar="FILE", help="CSV of jobs.", show_default="one a day")
    ] = None,
    study_of: Annotated[
        str | None,
        typer.Option(
            "--study",
            help="own, eu or all: seeded jobs as docs/simulation.md says.",
            show_default="none",
        ),
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Jobs of a study.")] = 500,
    seed: Annotated[int, typer.Option(help="Seed of a study.")] = 0,
    begin: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="DATE",
            help="First submission, UTC.",
            show_default="30 days before --to",
        ),
    ] = None,
    end: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="DATE",
            help="Before the last submission, UTC.",
            show_default="as late as the records allow",
        ),
    ] = None,
    whole_hours: Annotated[
        bool,
        typer.Option(
            "--whole-hours",
            help="Plan and run by whole hours; starts and moves cost energy but no time.",
        ),
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Picture: .png or .html.", show_default="none"),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Replay jobs over recorded hours: what would have been saved, in grams, by which way."""
    from functions.cli.quantities import (  # noqa: PLC0415 - `--help` needs none of it
        hour_of,
        minutes_of,
        regions_of,
        watts_of,
    )
    from functions.cli.simulate.run import Asked, run  # noqa: PLC0415 - needs torch

    run(
        Asked(
            history=history,
            work_min=minutes_of(work, of="--work"),
            deadline_min=minutes_of(deadline, of="--deadline"),
            regions=regions_of(regions, of="--regions"),
            machine_type=machine,
            power_w=watts_of(power, of="--power"),
            forecast=_one_of(forecast, KINDS, of="--forecast"),
            weights=weights,
            every_h=_hours(every, of="--every"),
            jobs=jobs,
            study=None if study_of is None else _one_of(study_of, STUDIES, of="--study"),
            count=count,
            seed=seed,
            begin=None if begin is None else hour_of(begin, of="--from"),
            end=None if end is None else hour_of(end, of="--to"),
            whole_hours=whole_hours,
            plot=plot,
            json=json,
        )
    )


def _one_of(found: str, known: tuple[str, ...], *, of: str) -> Any:  # noqa: ANN401 - a literal
    if found not in known:
        raise InvalidInputError(f"{of}: expected one of {', '.join(known)}, found {found!r}")
    return found


def _hours(text: str, *, of: str) -> int:
    from functions.cli.quantities import minutes_of  # noqa: PLC0415 - as above

    minutes = minutes_of(text, of=of)
    if minutes % 60:
        raise InvalidInputError(f"{of}: expected whole hours, found {text!r}")
    return minutes // 60
