"""`python -m vm_runtime`: on a VM without arguments; with a script and a folder anywhere."""

import argparse
import logging
import os
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from vm_runtime.contract.clock import clock_from
from vm_runtime.json_log import log_for_people
from vm_runtime.launch import LocalRun, run_locally, run_on_vm
from vm_runtime.metadata import MetadataError
from vm_runtime.script import ExitCode
from vm_runtime.storage.port import StorageError

_log = logging.getLogger(__name__)

_EPILOG = (
    "Arguments of the script follow `--`."
    " Exit codes: 0 finished, 75 more to do (run it again), 1 failed."
)


def main(argv: Sequence[str]) -> ExitCode:
    """Run what the arguments ask for and return the exit code."""
    parser = _parser()
    own, args = _split(list(argv))
    options = parser.parse_args(own)
    try:
        if options.script is None:
            return run_on_vm(os.environ)
        log_for_people()
        if options.job is None:
            parser.error("expected --job DIR with a script: where checkpoints and progress go")
        return run_locally(_local_run(options, args), os.environ)
    except (MetadataError, StorageError, ValueError) as error:
        _log.error("%s", error, extra={"event": "runtime_failed"})
    except Exception:  # noqa: BLE001 - the entry point: log it, once, as JSON
        _log.exception("the runtime failed", extra={"event": "runtime_failed"})
    return ExitCode.FAILED


def _split(argv: list[str]) -> tuple[list[str], list[str]]:
    """Return the runtime's own arguments and the script's, which follow `--`."""
    if "--" not in argv:
        return argv, []
    at = argv.index("--")
    return argv[:at], argv[at + 1 :]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m vm_runtime", epilog=_EPILOG)
    parser.add_argument("script", nargs="?", type=Path, help="none: do what the VM's metadata says")
    parser.add_argument("--job", type=Path, metavar="DIR", help="folder that stands for the bucket")
    parser.add_argument("--until", metavar="TIME", help="stop then: ISO 8601, or HH:MM local time")
    parser.add_argument("--job-id", help="by default the script's name")
    parser.add_argument(
        "--power-w", type=float, default=100.0, help="power of this machine, watts (%(default)s)"
    )
    return parser


def _local_run(options: argparse.Namespace, args: list[str]) -> LocalRun:
    now = clock_from(os.environ).now()
    return LocalRun(
        script=options.script.absolute(),
        args=args,
        folder=options.job,
        job_id=options.job_id or job_id_from(options.script.stem),
        until=None if options.until is None else time_from(options.until, now),
        power_w=options.power_w,
    )


def job_id_from(name: str) -> str:
    """Return a job id made of a script's name."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-")
    return slug if slug[:1].isalpha() else f"job-{slug}"[:40].strip("-")


def time_from(text: str, now: datetime) -> datetime:
    """Return the time that a person means: ISO 8601 with offset, or the next HH:MM here.

    Raises:
        ValueError: neither.
    """
    if re.fullmatch(r"\d{1,2}:\d{2}", text):
        hour, minute = map(int, text.split(":"))
        here = now.astimezone().replace(hour=hour, minute=minute, second=0, microsecond=0)
        return (here if here > now else here + timedelta(days=1)).astimezone(UTC)
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(
            f"expected --until with an offset, such as {text}Z, or HH:MM local time, found {text!r}"
        )
    return time.astimezone(UTC)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
