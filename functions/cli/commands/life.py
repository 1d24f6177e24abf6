"""`smartscheduler pause`, `resume`, `cancel`, `retry`."""

from pathlib import Path
from typing import Annotated

import typer

from functions.cli.options import BucketOption, JobArgument, JsonOption

SourceOption = Annotated[
    Path | None,
    typer.Option(
        "--source",
        metavar="DIR",
        help="Folder whose files take the place of the job's own, such as the mended script.",
        show_default="the job's own files",
    ),
]

DeadlineOption = Annotated[
    str | None,
    typer.Option(
        "--deadline",
        metavar="WHEN",
        help="A new one: 24h from now, or a time with offset.",
        show_default="the job's own",
    ),
]


def pause(job: JobArgument, bucket: BucketOption, *, as_json: JsonOption = False) -> None:
    """Let a job rest: its VM writes a checkpoint and goes; no new one until `resume`."""
    from functions.cli.life import wish_for
    from functions.domain.lifecycle.state import Verb

    wish_for(Verb.PAUSE, job, bucket, as_json=as_json)


def resume(
    job: JobArgument,
    bucket: BucketOption,
    *,
    deadline: DeadlineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a paused job go on: it is planned anew with the time that is left."""
    from functions.cli.life import wish_for
    from functions.domain.lifecycle.state import Verb

    wish_for(Verb.RESUME, job, bucket, deadline=deadline, as_json=as_json)


def cancel(job: JobArgument, bucket: BucketOption, *, as_json: JsonOption = False) -> None:
    """Call a job off: its VM writes a checkpoint and goes; receipt and checkpoints stay."""
    from functions.cli.life import wish_for
    from functions.domain.lifecycle.state import Verb

    wish_for(Verb.CANCEL, job, bucket, as_json=as_json)


def retry(
    job: JobArgument,
    bucket: BucketOption,
    *,
    source: SourceOption = None,
    deadline: DeadlineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a job that failed or was cancelled go on from its last checkpoint."""
    from functions.cli.life import wish_for
    from functions.domain.lifecycle.state import Verb

    wish_for(Verb.RETRY, job, bucket, source=source, deadline=deadline, as_json=as_json)
