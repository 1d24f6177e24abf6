"""`smartscheduler local`: train on this machine, in the clean hours of its grid."""

import re
from datetime import UTC, datetime
from pathlib import Path

import typer
from rich.console import Console
from rich.text import Text

from functions.cli.commands.local import WRAP
from functions.cli.local.folder import NAME, Folder
from functions.cli.local.wanted import Wanted, check_command, check_script
from functions.cli.local.wanted import grid_zone_of as known_grid_zone
from functions.cli.quantities import deadline_of, minutes_of, watts_of
from functions.errors import InvalidInputError

_LONGEST_ID = 40


def start(  # noqa: PLR0913 - the options of the command
    what: list[str],
    *,
    wraps: bool,
    grid_zone: str,
    work: str | None,
    deadline: str | None,
    power: str,
    max_carbon_intensity: float | None,
    min_interval: str | None,
    grace: float,
    retries: int,
    folder: Path | None,
    history: Path | None,
    at: str | None,
    speed: float | None,
    restart: bool,
    live: bool,
    as_json: bool,
) -> None:
    """Check what was asked for, then train until it is done or stopped.

    Raises:
        InvalidInputError: it cannot be done as asked.
        typer.Exit: at the end, with the exit code.
    """
    if not grid_zone:
        known_grid_zone("none given")
    words = _split(what, wraps=wraps)
    wanted = _wanted(
        grid_zone=known_grid_zone(grid_zone),
        wraps=wraps,
        words=words,
        work_h=None if work is None else minutes_of(work, of="--work") / 60,
        deadline=deadline or "",
        power_w=watts_of(power, of="--power"),
        max_carbon_intensity_gco2eq_per_kwh=max_carbon_intensity,
        min_interval_minutes=0
        if min_interval is None
        else minutes_of(min_interval, of="--min-interval"),
        grace_s=grace,
        retries=retries,
        **_trial(history, at, speed),
    )
    base = wanted.script.parent if wanted.script else wanted.work_folder
    exit_code = _train(
        wanted, Folder(folder or base / NAME), restart=restart, live=live, as_json=as_json
    )
    raise typer.Exit(exit_code)


def _train(wanted: Wanted, folder: Folder, *, restart: bool, live: bool, as_json: bool) -> int:
    from functions.cli.local.output import Output  # noqa: PLC0415 - --help need not wait for them
    from functions.cli.local.screen import JsonLines, Terminal  # noqa: PLC0415
    from functions.cli.local.training import train  # noqa: PLC0415
    from functions.cli.receipt import print_receipt  # noqa: PLC0415

    console = Console(highlight=False)
    output = Output(folder.vms)
    if as_json:
        lines = JsonLines(output)
        with lines:
            outcome = train(wanted, folder, lines, restart=restart)
        if outcome.receipt:
            lines.receipt(outcome.receipt)
        lines.end(outcome.exit_code, outcome.phase.value)
        return outcome.exit_code
    with Terminal(console, output, speed=wanted.speed, live=live) as screen:
        outcome = train(wanted, folder, screen, restart=restart)
    if outcome.receipt:
        print_receipt(console, outcome.receipt)
    else:
        console.print(
            Text(f"Not finished; the state is in {folder.path}. The same command goes on."),
            soft_wrap=True,
        )
    if outcome.message:
        Console(stderr=True).print(Text(f"error: {outcome.message}"), soft_wrap=True)
    if outcome.report:
        console.print(Text(f"Report: {outcome.report}"), soft_wrap=True)
    return outcome.exit_code


def _split(what: list[str], *, wraps: bool) -> list[str]:
    """Return script or wrapped command with its arguments."""
    words = [word for index, word in enumerate(what) if wraps or (index, word) != (1, WRAP)]
    if not words:
        raise InvalidInputError(
            "local: expected a training script, or `--` and a command, found nothing."
            " For example: smartscheduler local --grid-zone DE train.py"
        )
    return words


def _trial(history: Path | None, at: str | None, speed: float | None) -> dict[str, object]:
    if history is None:
        given = [name for name, value in (("--at", at), ("--speed", speed)) if value is not None]
        if given:
            raise InvalidInputError(
                f"{given[0]}: expected --history PATH with it, found none: live hours come at the"
                " speed of the clock. Add --history, or leave it out."
            )
        return {}
    start = None if at is None else _time(at)
    return {"history": history.absolute(), "at": start, "speed": 600.0 if speed is None else speed}


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise InvalidInputError(
            f"--at: expected a time such as 2024-03-05T06:00Z, found {text!r}. Write it so."
        ) from error
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _wanted(*, wraps: bool, words: list[str], **options: object) -> Wanted:
    """Return the wish, once its script or command has been looked at."""
    here = Path.cwd()
    if str(options["deadline"]):
        deadline_of(str(options["deadline"]), datetime.now(UTC))
    if wraps:
        check_command(words, here)
        names = [word for word in words if word.endswith((".py", ".sh"))] or words
        fields: dict[str, object] = {
            "script": None,
            "args": tuple(words),
            "job_id": job_id_of(Path(names[0]).stem),
        }
    else:
        script = here / words[0]
        check_script(script)
        fields = {"script": script, "args": tuple(words[1:]), "job_id": job_id_of(script.stem)}
    values: dict[str, object] = {**options, **fields}
    return Wanted(work_folder=here, **values)  # type: ignore[arg-type] # checked by Wanted


def job_id_of(name: str) -> str:
    """Return a job id made of the name of a script or command."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_LONGEST_ID].strip("-")
    return slug if slug[:1].isalpha() else f"job-{slug}"[:_LONGEST_ID].strip("-")
