"""The job file that a person writes, and the source folder beside it. Contacts no cloud."""

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from functions.domain.regions import check_job, is_local
from functions.errors import InvalidInputError
from vm_runtime.contract.base import SCHEMA_VERSION
from vm_runtime.contract.codec import DocumentError, decode
from vm_runtime.contract.job import Job

LARGEST_SOURCE_BYTES = 100 * 2**20
"""Source is code, not data: 100 MiB is far above any script and far below a data set."""

_SKIPPED = frozenset({"__pycache__", ".git", ".venv", ".mypy_cache", ".ruff_cache"})


def read_job(file: Path, now: datetime) -> Job:
    """Return the job in `file`; `submitted_at` is `now` unless the file says otherwise.

    Raises:
        InvalidInputError: there is no such file, or it is no job; all problems are named.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise InvalidInputError(
            f"{file}: expected a job file that can be read, found none ({error.strerror})."
        ) from error
    try:
        job = decode(Job, json.dumps(_filled(data, file, now)).encode(), name=str(file))
    except DocumentError as error:
        raise InvalidInputError(
            f"{error}. Mend the file; README, Configure, lists its keys."
        ) from error
    check_job(job)
    if any(is_local(region) for region in job.allowed_regions):
        raise InvalidInputError(
            f"{file}: expected regions of Google Cloud in allowed_regions, found"
            f" {', '.join(job.allowed_regions)}. On a machine of your own: smartscheduler local."
        )
    return job


def read_source(folder: Path, script: str) -> Mapping[str, bytes]:
    """Return the files of `folder` by their names below it, with forward slashes.

    Raises:
        InvalidInputError: no such folder, the script is not in it, or it is too large.
    """
    if not folder.is_dir():
        raise InvalidInputError(f"{folder}: expected the folder with {script}, found no folder.")
    files = sorted(path for path in folder.rglob("*") if _is_source(folder, path))
    total_bytes = sum(path.stat().st_size for path in files)
    if total_bytes > LARGEST_SOURCE_BYTES:
        raise InvalidInputError(
            f"{folder}: expected at most {LARGEST_SOURCE_BYTES} bytes of source, found"
            f" {total_bytes}. Keep data out of it: the script should fetch them."
        )
    source = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
    if script not in source:
        raise InvalidInputError(
            f"{folder}: expected the job's script {script!r} in it, found {len(source)} other"
            " file(s). Correct `script` in the job file or --source."
        )
    return source


def _is_source(folder: Path, path: Path) -> bool:
    return path.is_file() and _SKIPPED.isdisjoint(path.relative_to(folder).parts)


def _filled(data: bytes, file: Path, now: datetime) -> Any:  # noqa: ANN401 - JSON of any form
    try:
        raw = json.loads(data)
    except ValueError as error:
        raise InvalidInputError(
            f"{file}: expected JSON, found {data[:60]!r} ({error}). Mend the file."
        ) from error
    if not isinstance(raw, dict):
        raise InvalidInputError(f"{file}: expected a JSON object, found {type(raw).__name__}.")
    return {"submitted_at": now.isoformat(), "schema_version": SCHEMA_VERSION} | raw
