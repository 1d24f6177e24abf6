"""`python -m vm_runtime.own_machine`: what runs in the "VM" that is this very machine.

Script and data stay where they are, nothing is downloaded; all else is as on a VM.
"""

import argparse
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from vm_runtime.contract.clock import CLOCK_VARIABLE
from vm_runtime.launch import run_on_vm
from vm_runtime.script import ExitCode, run_script
from vm_runtime.vm_session import VmSession
from vm_runtime.wrapped import run_command

_log = logging.getLogger(__name__)

ORIGINAL_VARIABLE = "SMARTSCHEDULER_ORIGINAL_ENVIRONMENT"
"""Holds, as JSON, what the command shall find in its environment instead of what is set here;
`null`: not set there."""

_GUEST_ONLY = ("GCE_METADATA_HOST", "GCE_METADATA_IP", CLOCK_VARIABLE, ORIGINAL_VARIABLE)
"""Google's own libraries would take this machine for one of theirs."""


def main(argv: Sequence[str]) -> ExitCode:
    """Run script or command inside the session that the metadata describe."""
    options = _parser().parse_args(argv)
    environment = dict(os.environ)
    for name in _GUEST_ONLY:
        os.environ.pop(name, None)
    os.chdir(options.folder)
    try:
        return run_on_vm(environment, partial(_run, options, _original(environment)))
    except Exception:  # noqa: BLE001 - the entry point: log it, once, as JSON
        _log.exception("the runtime failed", extra={"event": "runtime_failed"})
    return ExitCode.FAILED


def _run(
    options: argparse.Namespace, environment: Mapping[str, str], session: VmSession
) -> ExitCode:
    if options.script is not None:
        return run_script(session, options.script, options.args, work_folder=None)
    return run_command(session, options.args, environment, grace_s=options.grace_s)


def _original(environment: Mapping[str, str]) -> dict[str, str]:
    changed = json.loads(environment.get(ORIGINAL_VARIABLE, "{}"))
    kept = {name: value for name, value in environment.items() if name not in _GUEST_ONLY}
    restored = {name: value for name, value in (kept | changed).items() if value is not None}
    return {name: str(value) for name, value in restored.items()}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m vm_runtime.own_machine")
    parser.add_argument("--folder", type=Path, required=True, help="where it runs")
    parser.add_argument("--script", type=Path, help="Python script; none: the arguments are it")
    parser.add_argument("--grace-s", type=float, default=60.0, help="from SIGTERM to SIGKILL")
    parser.add_argument("args", nargs="*", help="after --")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
