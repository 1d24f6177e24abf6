"""`smartscheduler purge`: remove all that SmartScheduler made in a project of Google Cloud."""

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from functions.errors import InvalidInputError, PermissionDeniedError, UnavailableError
from functions.handlers.purge import Left, Purge, Stock, Thing
from vm_runtime.contract.instance import deployment_label

_UNREADABLE = {"vm_unreadable", "disk_unreadable"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked for."""

    project: str
    yes: bool = False
    as_json: bool = False
    dry_run: bool = False
    wait_s: float = 300.0


def purge_project(asked: Asked, *, bucket: str = "") -> None:
    """Remove everything of SmartScheduler in a project.

    Args:
        asked: what was asked for.
        bucket: URL; only what belongs to the deployment with this bucket. Empty: all.

    Raises:
        InvalidInputError: JSON and a question to a person do not go together.
        UnavailableError, PermissionDeniedError: something is left; the message says why.
        Abort: the person said no.
    """
    from functions.adapters.compute_disks import ComputeEngineDisks  # noqa: PLC0415 - slow import
    from functions.adapters.compute_engine import ComputeEngineFleet  # noqa: PLC0415 - slow import

    deployment = deployment_label(bucket) if bucket else ""
    fleet = ComputeEngineFleet(project=asked.project, instance_templates={}, deployment=deployment)
    disks = ComputeEngineDisks(project=asked.project, deployment=deployment)
    remove_all(Purge(fleet, disks), asked)


def remove_all(purge: Purge, asked: Asked) -> None:
    """Show what is there, ask, remove it, and say what is left.

    Raises:
        InvalidInputError, UnavailableError, PermissionDeniedError, Abort: as `purge_project`.
    """
    if asked.as_json and not (asked.yes or asked.dry_run):
        raise InvalidInputError(
            "purge --json: expected --yes or --dry-run, found neither. A program cannot be asked."
        )
    with _unreadable() as strange:
        stock = purge.look()
        if not asked.as_json:
            _show(stock, asked.project)
        left: tuple[Left, ...] = ()
        if stock.things and not asked.dry_run:
            _confirm(stock, asked)
            left = _run(purge, stock, asked)
    _tell(stock, left, strange, asked)


def _show(stock: Stock, project: str) -> None:
    if not stock.things:
        typer.echo(f"Nothing of SmartScheduler in {project}.")
        return
    table = Table("what", "name", "where", "status", "job")
    for thing in stock.things:
        table.add_row(thing.kind, thing.name, thing.place, thing.status, thing.job_id)
    Console().print(table)


def _confirm(stock: Stock, asked: Asked) -> None:
    if asked.yes:
        return
    typer.confirm(
        f"Remove these {len(stock.things)}? What VMs did since their last checkpoint is lost, and"
        " so is what is on data disks",
        abort=True,
    )


def _run(purge: Purge, stock: Stock, asked: Asked) -> tuple[Left, ...]:
    console = Console(stderr=True)
    waiting = {thing.key: thing for thing in stock.things}
    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("removing", total=len(waiting))

        def looked(now: Stock) -> None:
            there = {thing.key for thing in now.things}
            for key in [key for key in waiting if key not in there]:
                gone = waiting.pop(key)
                if not asked.as_json:
                    progress.console.print(f"{gone.what} is gone")
            waiting.update({thing.key: thing for thing in now.things})
            total = max(len(stock.things), len(waiting))
            progress.update(task, total=total, completed=total - len(waiting))

        return purge.run(patience_s=asked.wait_s, sleep=time.sleep, on_look=looked)


def _tell(stock: Stock, left: tuple[Left, ...], strange: list[str], asked: Asked) -> None:
    """Say what is left and why; a purge that left something has failed."""
    hidden = stock.hidden
    unseen = [f"{kind}s could not be listed: {error}" for kind, error in hidden.items()]
    if asked.as_json:
        typer.echo(json.dumps(_as_json(stock, left, [*unseen, *strange], asked), indent=2))
    problems = [f"{one.thing.what} in {one.thing.place}: {one.reason}" for one in left]
    problems += [*unseen, *strange]
    if problems:
        listed = "\n".join(f"- {problem}" for problem in problems)
        message = f"purge: not all of it is gone.\n{listed}\nRun it again once that is mended."
        errors = [*hidden.values(), *(one.error for one in left)]
        is_denied = any(isinstance(error, PermissionDeniedError) for error in errors)
        raise (PermissionDeniedError if is_denied else UnavailableError)(message)
    if stock.things and not asked.as_json and not asked.dry_run:
        typer.echo(
            f"All {len(stock.things)} are gone; the bucket is as it was. As long as the functions"
            " are deployed they make VMs for open jobs: cancel those, or run terraform destroy and"
            " purge once more."
        )


def _as_json(
    stock: Stock, left: tuple[Left, ...], unseen: list[str], asked: Asked
) -> dict[str, object]:
    remains = {one.thing.key for one in left}
    gone = [thing for thing in stock.things if thing.key not in remains and not asked.dry_run]
    return {
        "project": asked.project,
        "found": [_row(thing) for thing in stock.things],
        "removed": [_row(thing) for thing in gone],
        "left": [{**_row(one.thing), "reason": one.reason} for one in left],
        "unseen": unseen,
    }


def _row(thing: Thing) -> dict[str, str]:
    return {
        "kind": str(thing.kind),
        "name": thing.name,
        "place": thing.place,
        "status": str(thing.status),
        "job": thing.job_id,
    }


@contextmanager
def _unreadable() -> Iterator[list[str]]:
    """Collect what has our label and cannot be understood: it is not listed, and stays."""
    found: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text = record.getMessage()
            if getattr(record, "event", "") in _UNREADABLE and text not in found:
                found.append(text)

    logger, collect = logging.getLogger("functions.adapters"), Collect()
    before, logger.propagate = logger.propagate, False
    logger.addHandler(collect)
    try:
        yield found
    finally:
        logger.removeHandler(collect)
        logger.propagate = before
