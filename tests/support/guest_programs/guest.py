"""The inside of a test's VM, in namespaces of its own: network, mounts, metadata, startup script.

    unshare --net --mount python guest.py ORDER.json

Boots as Compute Engine does: its own `google_metadata_script_runner` asks the metadata server at
169.254.169.254 for the startup script and runs it as root; /opt, /etc/systemd/system and /run
belong to the test. Prints a JSON line when the VM is off or time is up.
"""

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from fake_gcs import find_server, running_server
from fake_metadata_server import FakeMetadataServer

ADDRESS = "169.254.169.254"
PROGRAMS = Path(__file__).parent


def call(*command: str) -> None:
    """Run a command that must not fail."""
    subprocess.run(command, check=True)  # noqa: S603 - our own


def furnish(disk: Path) -> Path:
    """Put the VM's folders in place and return the one of programs that stand for others."""
    for name in ("opt", "units", "run", "programs"):
        (disk / name).mkdir(parents=True, exist_ok=True)
    call("mount", "--bind", str(disk / "opt"), "/opt")
    call("mount", "--bind", str(disk / "units"), "/etc/systemd/system")
    call("mount", "--bind", str(disk / "run"), "/run")
    (disk / "hosts").write_text(f"127.0.0.1 localhost\n{ADDRESS} metadata.google.internal\n")
    call("mount", "--bind", str(disk / "hosts"), "/etc/hosts")
    call("ip", "link", "set", "lo", "up")
    call("ip", "addr", "add", f"{ADDRESS}/32", "dev", "lo")
    programs = disk / "programs"
    for name, line in {
        "systemctl": f'exec "{sys.executable}" "{PROGRAMS / "systemctl.py"}" "$@"',
        "useradd": 'echo "useradd $*" >>"${SHIM_DIR}/calls"',
    }.items():
        (programs / name).write_text(f"#!/bin/sh\n{line}\n")
        (programs / name).chmod(0o755)
    return programs


def boot(order: dict[str, Any]) -> dict[str, Any]:
    """Boot, wait for power-off, and return what was seen."""
    disk = Path(order["disk"])
    programs = furnish(disk)
    (disk / "off").unlink(missing_ok=True)
    env = {**os.environ, **order["env"], "SHIM_DIR": str(disk)}
    env["PATH"] = f"{programs}{os.pathsep}{env['PATH']}"
    with ExitStack() as stack:
        if order["bucket_folder"]:
            binary = find_server()
            assert binary is not None
            folder = Path(order["bucket_folder"])
            env["STORAGE_EMULATOR_HOST"] = stack.enter_context(running_server(binary, folder))
        server = FakeMetadataServer(order["metadata"], address=(ADDRESS, 80))
        stack.enter_context(server)
        began_s = time.monotonic()
        with (disk / "startup.log").open("ab", buffering=0) as log:
            command = [order["runner"], "startup"] if order["runner"] else order["script"]
            script = subprocess.Popen(command, env=env, stdout=log, stderr=log)  # noqa: S603 - given
            deadline_s = began_s + order["timeout_s"]
            while time.monotonic() < deadline_s and not (disk / "off").exists():
                time.sleep(0.02)
            off_s = time.monotonic() - began_s
            if (disk / "off").exists():
                # The power is gone a moment later; what still publishes gets it, for the test.
                script.wait(max(deadline_s - time.monotonic(), 1))
        return {"is_off": (disk / "off").exists(), "off_s": off_s, "asked": server.requests}


if __name__ == "__main__":
    print(json.dumps(boot(json.loads(Path(sys.argv[1]).read_text()))))  # noqa: T201 - its answer
