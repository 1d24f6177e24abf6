"""Stands for systemd in a test's VM: runs a unit's commands and says how they ended.

    systemctl.py start UNIT | poweroff | daemon-reload | enable ...

SHIM_DIR holds `calls` (each call), `journal` (output of units), and `off` once powered off.
"""

import os
import shlex
import signal
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

FOLDER = Path(os.environ["SHIM_DIR"])
UNITS = Path("/etc/systemd/system")


def settings_of(unit: str) -> dict[str, list[str]]:
    """Return a unit's settings; one may stand several times."""
    found: dict[str, list[str]] = defaultdict(list)
    for line in (UNITS / unit).read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found[key].append(value)
    return found


def run(unit: str) -> None:
    """Run ExecStart, then ExecStopPost with what systemd.exec(5) promises it."""
    settings = settings_of(unit)
    env = os.environ | dict(pair.split("=", 1) for pair in settings["Environment"])
    with (FOLDER / "journal").open("ab", buffering=0) as journal:
        command = shlex.split(settings["ExecStart"][0])
        code = subprocess.run(  # noqa: S603 - the unit's
            command, env=env, stdout=journal, stderr=journal, check=False
        ).returncode
        if code < 0:
            said = {"SERVICE_RESULT": "signal", "EXIT_CODE": "killed"}
            said["EXIT_STATUS"] = signal.Signals(-code).name.removeprefix("SIG")
        else:
            is_success = code in (0, int(settings["SuccessExitStatus"][0]))
            said = {"SERVICE_RESULT": "success" if is_success else "exit-code"}
            said |= {"EXIT_CODE": "exited", "EXIT_STATUS": str(code)}
        for line in settings["ExecStopPost"]:
            subprocess.run(  # noqa: S603 - the unit's
                shlex.split(line.lstrip("+-")),
                env=env | said,
                stdout=journal,
                stderr=journal,
                check=False,
            )


def main(argv: list[str]) -> None:
    """Do one call."""
    if argv[0] == "--run":
        run(argv[1])
        return
    with (FOLDER / "calls").open("a") as calls:
        calls.write(" ".join(argv) + "\n")
    if argv[0] == "start":
        subprocess.Popen([sys.executable, __file__, "--run", argv[-1]], start_new_session=True)  # noqa: S603 - itself
    if argv[0] == "poweroff":
        (FOLDER / "off").touch()


if __name__ == "__main__":
    main(sys.argv[1:])
