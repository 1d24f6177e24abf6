"""`python -m vm_runtime.post_mortem`: reports a runtime that died without a word.

systemd runs it after every end of the trainer (`after-trainer` of startup.sh) and says how that
came; who was killed for want of memory, or crashed in native code, cannot tell it any more.
"""

import logging
import os
import sys
from collections.abc import Mapping

from vm_runtime.contract import object_names
from vm_runtime.contract.clock import clock_from
from vm_runtime.contract.codec import DocumentError
from vm_runtime.contract.progress import Progress, RunState
from vm_runtime.json_log import log_as_json
from vm_runtime.metadata import MetadataError, MetadataServer
from vm_runtime.reporting import ProgressFile
from vm_runtime.script import ExitCode
from vm_runtime.session import LeaseLostError
from vm_runtime.storage import open_store
from vm_runtime.storage.port import StorageError

_log = logging.getLogger(__name__)

FAILURE_VARIABLE = "SS_FAILURE"
"""Environment variable by which startup.sh says why there was no trainer at all."""

_PATIENCE_S = 10.0
_UNDER_WAY = {RunState.STARTING, RunState.WAITING, RunState.TRAINING}
_MORE_MEMORY = (
    "What to do: a smaller batch, fewer loader workers, less cached in RAM, or a machine type with"
    " more memory"
)


def cause_of_death(environment: Mapping[str, str]) -> str | None:
    """Return how the trainer died, for a person; `None` if it ended by itself and said why.

    Args:
        environment: `SERVICE_RESULT`, `EXIT_CODE` and `EXIT_STATUS` as systemd sets them for
            ExecStopPost (systemd.exec(5)), or `FAILURE_VARIABLE`.
    """
    if environment.get(FAILURE_VARIABLE):
        return environment[FAILURE_VARIABLE]
    result = environment.get("SERVICE_RESULT", "")
    code, status = environment.get("EXIT_CODE", ""), environment.get("EXIT_STATUS", "")
    if result == "oom-kill":
        return f"the machine's memory was exhausted and the kernel killed it. {_MORE_MEMORY}"
    return _exited(status) if code == "exited" else _killed(result, status)


def _exited(status: str) -> str | None:
    if status in {str(int(ExitCode.FINISHED)), str(int(ExitCode.MORE_TO_DO))}:
        return None
    return (
        f"it ended with code {status} before it could report. What to do: the log of this VM"
        " says more, in its last lines"
    )


def _killed(result: str, status: str) -> str:
    if result == "timeout":
        return "it did not stop in time after SIGTERM and was killed: its last steps are lost"
    if status == "KILL":
        return f"it was killed (SIGKILL), as a rule for want of memory. {_MORE_MEMORY}"
    return (
        f"it crashed ({status or result or 'nobody knows how'}) in native code. What to do: try the"
        " script on a machine of your own with `python -X faulthandler`"
    )


def report(environment: Mapping[str, str]) -> bool:
    """Write the cause of death into the job's progress, unless the runtime has told its end.

    Returns:
        Whether something was written.

    Raises:
        MetadataError: not on a VM of ours.
        StorageError: the bucket did not answer.
        DocumentError: the progress cannot be read.
        LeaseLostError: another VM trains the job by now.
    """
    cause = cause_of_death(environment)
    if cause is None:
        return False
    me = MetadataServer(environment, patience_s=_PATIENCE_S).read_instance()
    log_as_json(job_id=me.job_id, vm=me.name, incarnation=me.incarnation)
    if FAILURE_VARIABLE not in environment:  # else startup.sh has logged it
        _log.error("the trainer died: %s", cause, extra={"event": "died"})
    file = ProgressFile(open_store(me.bucket_url), me.job_id)
    last = file.read()
    if last is not None and _has_told(last, me.incarnation, environment):
        return False
    file.write_failure(
        job_id=me.job_id,
        vm=me.name,
        incarnation=me.incarnation,
        now=clock_from(environment).now(),
        message=f"{_subject(environment)}{cause}. {_what_follows(me.job_id)}",
    )
    return True


def _has_told(last: Progress, incarnation: int, environment: Mapping[str, str]) -> bool:
    """Whether the runtime itself wrote how it ended.

    That a worker was killed for want of memory it may have taken for a wish to stop.
    """
    if last.state is RunState.FINISHED:
        return True
    if last.incarnation != incarnation:
        return False
    if environment.get("SERVICE_RESULT") == "oom-kill":
        return last.state is RunState.FAILED
    return last.state not in _UNDER_WAY


def _subject(environment: Mapping[str, str]) -> str:
    return "" if environment.get(FAILURE_VARIABLE) else "the trainer died: "


def _what_follows(job_id: str) -> str:
    return (
        f"The next VM goes on from the last checkpoint with what then lies in"
        f" {object_names.source_folder(job_id)}, until the job's `max_failures` is reached."
    )


def main(environment: Mapping[str, str]) -> int:
    """Report, or say why not; the VM powers off in any case."""
    log_as_json()
    try:
        report(environment)
    except (MetadataError, StorageError, DocumentError, LeaseLostError, ValueError) as error:
        _log.error("the trainer's death could not be reported: %s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(os.environ))
