"""Runs the user's training script in this process, and makes of its end an exit code."""

import logging
import os
import runpy
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path

from vm_runtime.contract import object_names
from vm_runtime.contract.job import LOCAL_MACHINE, Job
from vm_runtime.json_log import prints_as_log
from vm_runtime.session import LeaseLostError, StopReason, enter_session
from vm_runtime.storage.names import split_name
from vm_runtime.storage.port import BlobStore
from vm_runtime.vm_session import VmSession

_log = logging.getLogger(__name__)

_TRACEBACK_LINES = 12


class ExitCode(IntEnum):
    """How the runtime's process ends."""

    FINISHED = 0
    """All work is done."""
    FAILED = 1
    """The script or the job is broken; progress and log say how."""
    MORE_TO_DO = 75
    """Stopped or superseded: run it again to go on (`EX_TEMPFAIL` of sysexits.h)."""


def download_source(store: BlobStore, job_id: str, folder: Path) -> list[str]:
    """Copy the job's source files into `folder` and return their names.

    Raises:
        StorageError: the bucket did not answer, or a name leads out of the folder.
    """
    prefix = object_names.source_folder(job_id)
    names = []
    for info in store.list(prefix):
        name = info.name.removeprefix(prefix)
        if name.endswith("/"):
            continue  # what the Cloud Console makes of an empty folder
        store.download(info.name, folder.joinpath(*split_name(name)))
        names.append(name)
    return names


def run_script(
    session: VmSession, script: Path, args: Sequence[str], *, work_folder: Path | None
) -> ExitCode:
    """Run the script inside the session and see to it that the session is ended.

    Args:
        session: started.
        script: its file.
        args: its arguments.
        work_folder: becomes the current folder; `None`: it stays as it is.
    """
    if not script.is_file():
        session.fail(_missing(session.job, script))
        return ExitCode.FAILED
    enter_session(session)
    try:
        with prints_as_log(), _as_main(script, args, work_folder):
            runpy.run_path(str(script), run_name="__main__")
    except LeaseLostError as error:
        _log.warning("superseded: %s", error, extra={"event": "superseded"})
        session.leave(str(error))
    except SystemExit as error:
        if error.code not in (None, 0) and not session.has_ended:
            session.fail(_explain(session.job, f"it exited with {error.code!r}", ""))
    except KeyboardInterrupt:  # the second Ctrl-C: somebody does not want to wait
        session.end(finished=False, stopped_because=StopReason.SIGNAL)
    except Exception as error:  # noqa: BLE001 - whatever the user's script raises
        _log.exception("the script failed", extra={"event": "script_failed"})
        if not session.has_ended:
            session.fail(_explain(session.job, _one_line(error), _last_lines(error)))
    finally:
        enter_session(None)
    return _told(session)


def _told(session: VmSession) -> ExitCode:
    """See to it that the session is ended, and return how."""
    if not session.has_ended:
        reason = session.stop_reason()
        if session.has_begun and reason is not None:
            session.end(finished=False, stopped_because=reason)
        else:
            session.fail(_explain(session.job, _broken_contract(session), ""))
    return outcome(session)


def outcome(session: VmSession) -> ExitCode:
    """Return how an ended session ended."""
    if session.has_failed:
        return ExitCode.FAILED
    return ExitCode.FINISHED if session.has_finished else ExitCode.MORE_TO_DO


def _broken_contract(session: VmSession) -> str:
    if session.has_begun:
        return (
            "expected it to train until it is done or told to stop, found that it returned"
            " in between. Call Session.end() at the end of a loop of your own"
        )
    return (
        "expected it to train, found that it returned without calling"
        " IntervalTrainer.fit() (or Session.begin() in a loop of your own). A script that keeps"
        " its checkpoints itself is wrapped: smartscheduler local ... -- python SCRIPT"
    )


def _explain(job: Job, what: str, lines: str) -> str:
    details = f"\n{lines}" if lines else ""
    again = (
        "run the same command again: it goes on where it was"
        if job.machine_type == LOCAL_MACHINE
        else f"upload it to {object_names.source_folder(job.job_id)}"
    )
    return (
        f"{job.script} failed: {what}.{details}\nWhat to do: mend the script and {again}; after"
        f" {job.max_failures} failures in a row without a new checkpoint the job is given up."
    )


def _missing(job: Job, script: Path) -> str:
    found = sorted(path.name for path in script.parent.glob("*"))[:10] or "nothing"
    return _explain(job, f"expected the file {job.script}, found {found}", "")


def _one_line(error: BaseException) -> str:
    return "".join(traceback.format_exception_only(error)).strip()


def _last_lines(error: BaseException) -> str:
    lines = "".join(traceback.format_exception(error)).splitlines()
    return "\n".join(lines[-_TRACEBACK_LINES:])


@contextmanager
def _as_main(script: Path, args: Sequence[str], work_folder: Path | None) -> Iterator[None]:
    """Make arguments, import path and current folder what the script expects."""
    before = sys.argv, sys.path[:], Path.cwd()
    sys.argv = [str(script), *args]
    sys.path.insert(0, str(script.parent if work_folder is None else work_folder))
    if work_folder is not None:
        os.chdir(work_folder)
    try:
        yield
    finally:
        sys.argv, sys.path[:] = before[0], before[1]
        os.chdir(before[2])
