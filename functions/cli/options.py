"""Arguments and options that several commands share."""

from typing import Annotated, TypeAlias

import typer

JobArgument: TypeAlias = Annotated[str, typer.Argument(metavar="JOB", help="Id of the job.")]

BucketOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--bucket",
        envvar="SMARTSCHEDULER_BUCKET",
        metavar="URL",
        help="The bucket: gs://NAME or file:///FOLDER.",
    ),
]

JsonOption: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print JSON, for programs, instead of text.")
]
