"""A VM as Compute Engine boots it: the real script runner, startup.sh, bucket and trainer.

Needs root (namespaces), the runner of Debian's package google-guest-agent, and for gs:// the
emulator; `why_not` names what is missing.
"""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import fake_gcs
from vm_process import COUNT

from vm_runtime.contract import object_names
from vm_runtime.contract.codec import encode
from vm_runtime.contract.instance import Attribute, vm_name
from vm_runtime.contract.job import Job
from vm_runtime.storage.port import BlobStore

JOB = "count"
REPOSITORY = Path(__file__).parents[2]
STARTUP = REPOSITORY / "vm_runtime/startup.sh"
GUEST = Path(__file__).with_name("guest_programs") / "guest.py"
RUNNER_VARIABLE = "GOOGLE_METADATA_SCRIPT_RUNNER"
"""Environment variable with the runner's path, where it is not on PATH."""


def find_runner() -> str | None:
    """Return Google's own program that runs startup scripts, `None` where there is none."""
    return os.environ.get(RUNNER_VARIABLE) or shutil.which("google_metadata_script_runner")


def why_not(*, needs_runner: bool = True) -> str | None:
    """Return what is missing to boot a VM here, `None` if nothing is."""
    unshare = shutil.which("unshare")
    if unshare is None or shutil.which("ip") is None:
        return "unshare and ip (util-linux, iproute2) are not installed"
    tried = subprocess.run(  # noqa: S603 - asks only
        [unshare, "--net", "--mount", "true"], capture_output=True, check=False
    )
    if tried.returncode:
        return "needs root: a network namespace for 169.254.169.254"
    if needs_runner and find_runner() is None:
        return f"google_metadata_script_runner is not here ({RUNNER_VARIABLE} names it)"
    if fake_gcs.find_server() is None:
        return "fake-gcs-server is not installed"
    return None


def metadata(bucket_url: str, incarnation: int = 1) -> dict[str, str]:
    """Return a VM's metadata."""
    now = datetime.now(UTC)
    attributes = {
        Attribute.JOB: JOB,
        Attribute.INCARNATION: str(incarnation),
        Attribute.BUCKET: bucket_url,
        Attribute.INTERVAL_START: now.isoformat(),
        Attribute.INTERVAL_END: (now + timedelta(hours=1)).isoformat(),
        Attribute.LEASE_TTL_S: "60",
        Attribute.SHUTDOWN_GRACE_S: "600",
    }
    return {
        "instance/name": vm_name(JOB, incarnation),
        "instance/zone": "projects/1/zones/europe-west3-b",
        "instance/preempted": "FALSE",
        "project/project-id": "carbon-project",
        **{f"instance/attributes/{key}": value for key, value in attributes.items()},
    }


def put_job(store: BlobStore, folder: Path, *, script: str = COUNT, steps: int = 20) -> None:
    """Put wheel, job and source into the bucket."""
    job = Job(
        job_id=JOB,
        machine_type="e2-standard-8",
        power_w=360.0,
        allowed_regions=("europe-west3",),
        submitted_at=datetime.now(UTC),
        args=(str(steps),),
    )
    wheel = write_wheel(folder / "wheels")
    store.write(f"runtime/{wheel.name}", wheel.read_bytes())
    store.write(object_names.job(JOB), encode(job))
    store.write(f"{object_names.source_folder(JOB)}train.py", script.encode())


def write_wheel(folder: Path, *, version: str = "0.1.0") -> Path:
    """Write a wheel of `vm_runtime` as it is here and return its file."""
    folder.mkdir(parents=True, exist_ok=True)
    sources = REPOSITORY / "vm_runtime"
    files = {
        file.relative_to(REPOSITORY).as_posix(): file.read_bytes()
        for file in sorted(sources.rglob("*"))
        if file.is_file() and "__pycache__" not in file.parts
    }
    return _write_wheel(folder, "smartscheduler", version, files)


def write_tiny_wheel(folder: Path) -> Path:
    """Write a wheel that stands for a user's requirement: module `tinything`."""
    folder.mkdir(parents=True, exist_ok=True)
    return _write_wheel(folder, "tinything", "1.0", {"tinything.py": b"WORD = 'tiny'\n"})


def _write_wheel(folder: Path, name: str, version: str, files: dict[str, bytes]) -> Path:
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nProvides-Extra: vm\n"
    kind = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files = files | {f"{info}/METADATA": metadata.encode(), f"{info}/WHEEL": kind.encode()}
    record = [
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()},{len(data)}"
        for path, data in files.items()
    ]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,"]).encode()
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, data in files.items():
            archive.writestr(zipfile.ZipInfo(path), data)  # equal content, equal bytes
    return wheel


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """What one boot did."""

    is_off: bool
    """Whether the VM powered itself off."""
    off_s: float
    """Seconds from boot to power-off."""
    startup: list[dict[str, str]]
    """JSON lines of startup.sh and what it called."""
    startup_log: str
    """All that the script runner logged."""
    journal: list[dict[str, object]]
    """JSON lines of the trainer and what follows it."""
    calls: list[str]
    """Calls of systemctl and useradd."""

    @property
    def events(self) -> list[str]:
        """Events of startup.sh, in order."""
        return [line["event"] for line in self.startup if "event" in line]


class Disk:
    """A VM's disk; booting it twice is a second boot, another disk is a fresh VM."""

    def __init__(self, folder: Path) -> None:
        """Take a folder, which need not exist."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def boot(
        self,
        metadata: dict[str, str],
        *,
        emulated_bucket: Path | None,
        startup: str | None = None,
        timeout_s: float = 60.0,
        with_runner: bool = True,
        **variables: str,
    ) -> Boot:
        """Boot, train, power off.

        Args:
            metadata: keyed as `instance/name`.
            emulated_bucket: folder of the Cloud Storage emulator; `None`: a file:// bucket.
            startup: another startup script.
            timeout_s: how long it may be up, real seconds.
            with_runner: by Google's runner; else the script itself is started.
            **variables: environment of everything inside.
        """
        script = startup or STARTUP.read_text()
        values = {**metadata, "instance/attributes/startup-script": script}
        for name in ("startup.log", "journal", "calls"):
            (self.folder / name).write_text("")
        packages = [path for path in sys.path if path.endswith("site-packages")]
        order = {
            "disk": str(self.folder),
            "metadata": values,
            "bucket_folder": str(emulated_bucket or ""),
            "runner": find_runner() if with_runner else None,
            "script": ["/bin/bash", str(STARTUP)],
            "timeout_s": timeout_s,
            "env": {
                # The image's libraries, and no registry: what pip cannot find must not matter.
                "PYTHONPATH": os.pathsep.join(packages),
                "PIP_NO_INDEX": "1",
                "PIP_NO_DEPS": "1",
                "PIP_ROOT_USER_ACTION": "ignore",
                "SS_PYTHON": sys.executable,
                "GCE_METADATA_IP": "169.254.169.254",
                **variables,
            },
        }
        (self.folder / "order.json").write_text(json.dumps(order))
        support = str(Path(__file__).parent)
        result = subprocess.run(  # noqa: S603 - our own
            ["unshare", "--net", "--mount", sys.executable, GUEST, self.folder / "order.json"],  # noqa: S607 - on PATH
            env={**os.environ, "PYTHONPATH": os.pathsep.join([support, str(REPOSITORY)])},
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s + 30,
        )
        assert result.returncode == 0, result.stderr
        seen = json.loads(result.stdout.splitlines()[-1])
        log = (self.folder / "startup.log").read_text()
        return Boot(
            is_off=seen["is_off"],
            off_s=seen["off_s"],
            startup=_json_lines(log),
            startup_log=log,
            journal=_json_lines((self.folder / "journal").read_text()),
            calls=(self.folder / "calls").read_text().splitlines(),
        )


def _json_lines(text: str) -> list[dict[str, str]]:
    """Return the JSON objects in a log; the script runner puts its own words before each."""
    found = []
    for line in text.splitlines():
        at = line.find("{")
        if at >= 0 and line.endswith("}"):
            found.append(json.loads(line[at:]))
    return found
