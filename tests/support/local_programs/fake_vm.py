"""A guest without torch: says what it sees, and does what `ss-job` in its metadata tells it."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path


def _read(path: str) -> str:
    url = f"http://{os.environ['GCE_METADATA_HOST']}/computeMetadata/v1/{path}"
    request = urllib.request.Request(url, headers={"Metadata-Flavor": "Google"})
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - our own loopback
        return str(answer.read().decode())


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _write(notes: Path) -> None:
    """Add a line to what is on the data disk, and say what was there."""
    before = notes.read_text() if notes.exists() else ""
    notes.write_text(f"{before}{_read('instance/name')} ")
    _say(f"data: {before.strip() or 'blank'}")


def _on_term(_signal: int, _frame: object) -> None:
    _say(f"SIGTERM, preempted {_read('instance/preempted')}")
    sys.exit(0)


def main() -> None:
    """Run until stopped."""
    job = _read("instance/attributes/ss-job")
    if job == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, _on_term)
    if job == "worker":
        worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        _say(f"worker {worker.pid}")
    _say(f"up {_read('instance/name')} {_read('instance/zone')} {os.getpid()}")
    if "SMARTSCHEDULER_DATA_DIR" in os.environ:
        _write(Path(os.environ["SMARTSCHEDULER_DATA_DIR"]) / "notes")
    if job == "done":
        sys.exit(3)
    while True:
        time.sleep(0.05)


main()
