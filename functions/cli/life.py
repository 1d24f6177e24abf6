"""What a person wants of a submitted job: that it pauses, goes on, is called off, tries again."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import typer

from functions.cli.jobfile import read_source
from functions.cli.quantities import deadline_of
from functions.domain.lifecycle.state import Phase, Verb
from functions.handlers.documents import Documents
from functions.handlers.finding import find_state
from functions.handlers.wishes import Granted, wish
from vm_runtime.contract import object_names
from vm_runtime.contract.job import Job
from vm_runtime.storage import open_store
from vm_runtime.storage.port import BlobStore


def wish_for(  # noqa: PLR0913 - one wish, with what it brings along
    verb: Verb,
    job: str,
    bucket: str,
    *,
    source: Path | None = None,
    deadline: str | None = None,
    as_json: bool,
) -> None:
    """Ask for it, and say what follows.

    Raises:
        InvalidInputError: there is no such job, it cannot be had in its phase, `source` lacks
            the job's script, or `deadline` is no time to come.
    """
    now = datetime.now(UTC)
    until = None if deadline is None else deadline_of(deadline, now)
    store = open_store(bucket)
    files = None if source is None else _source_of(store, job, source)
    _tell(wish(store, job, verb, now, source=files, deadline=until), as_json=as_json)


def _source_of(store: BlobStore, job_id: str, folder: Path) -> Mapping[str, bytes]:
    find_state(store, job_id)  # Else the error would be about a document, not about the name.
    job = Documents(store).get(Job, object_names.job(job_id))
    return read_source(folder, job.script)


def _tell(granted: Granted, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(asdict(granted), indent=2))
        return
    typer.echo(sentence(granted))


def sentence(granted: Granted) -> str:
    """Return what a person is told: what changed, what follows, and what cannot be met."""
    job = granted.job_id
    if not granted.changed:
        return f"{job} is {granted.phase} already: nothing changed."
    saved = f"step {granted.step}" if granted.step else "its first step: no checkpoint yet"
    match granted.phase:
        case Phase.PAUSED:
            return (
                f"Paused {job}. A VM that runs writes a checkpoint and goes within minutes; from"
                f" then on it costs only storage. Go on with: smartscheduler resume {job}"
            )
        case Phase.CANCELLED:
            return (
                f"Cancelled {job}. A VM that runs writes a checkpoint and goes within minutes; the"
                f" receipt follows: smartscheduler receipt {job}. Checkpoints stay: `retry` would"
                f" go on from {saved}."
            )
        case _:
            return (
                f"{job} is active again, from {saved}. It is planned at the next heartbeat, within"
                f" 5 minutes: smartscheduler status {job}{_late(granted)}"
            )


def _late(granted: Granted) -> str:
    if granted.late_h is None:
        return ""
    return (
        f"\nIts deadline cannot be met any more: even from now on without a break it would be"
        f" {granted.late_h:.1f} h late. It is planned to finish as early as can be."
    )
