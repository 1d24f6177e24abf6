"""The VM's startup script: installs once, arms the power-off first, fails safely."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from fake_metadata_server import FakeMetadataServer

STARTUP = Path(__file__).parents[2] / "vm_runtime/startup.sh"
SERVICE = STARTUP.with_name("trainer.service")

STUB_PYTHON = """#!/bin/bash
# Stands for `python3 -m venv`: the made venv's python notes what it is called with.
set -euo pipefail
bin="${@: -1}/bin"
mkdir -p "${bin}"
cat >"${bin}/python" <<'STUB'
#!/bin/bash
echo "$*" >>"${SS_ROOT}/calls"
STUB
chmod 755 "${bin}/python"
"""


@pytest.fixture
def bucket(tmp_path: Path) -> Path:
    """A bucket with a wheel."""
    folder = tmp_path / "bucket"
    (folder / "runtime").mkdir(parents=True)
    (folder / "runtime/smartscheduler-1-py3-none-any.whl").write_bytes(b"wheel")
    return folder


def boot(tmp_path: Path, bucket: Path) -> subprocess.CompletedProcess[str]:
    """Run the script as at a boot, on a root of its own."""
    python = tmp_path / "python3"
    python.write_text(STUB_PYTHON)
    python.chmod(0o755)
    root = tmp_path / "root"
    root.mkdir(exist_ok=True)
    values = {
        "instance/attributes/ss-bucket": bucket.as_uri(),
        "instance/attributes/ss-job": "a",
    }
    with FakeMetadataServer(values) as server:
        return subprocess.run(  # noqa: S603 - our own file
            ["/bin/bash", STARTUP],
            env={
                **os.environ,
                "GCE_METADATA_HOST": server.host,
                "SS_ROOT": str(root),
                "SS_DRY_RUN": "1",
                "SS_PYTHON": str(python),
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )


def installs(tmp_path: Path) -> list[str]:
    """Return the calls of pip so far."""
    calls = (tmp_path / "root/calls").read_text().splitlines()
    return [call for call in calls if call.startswith("-m pip")]


def test_it_installs_once_and_starts_the_trainer_each_time(tmp_path: Path, bucket: Path) -> None:
    """A second boot installs nothing; a changed wheel or requirement does."""
    first = boot(tmp_path, bucket)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "would run: systemctl start --no-block smartscheduler-trainer.service" in first.stdout
    assert "poweroff" not in first.stdout
    assert len(installs(tmp_path)) == 2
    second = boot(tmp_path, bucket)
    assert second.returncode == 0
    assert "installed already" in second.stdout
    assert "smartscheduler-trainer.service" in second.stdout
    assert len(installs(tmp_path)) == 2
    (bucket / "jobs/a/source").mkdir(parents=True)
    (bucket / "jobs/a/source/requirements.txt").write_text("einops")
    assert boot(tmp_path, bucket).returncode == 0
    assert len(installs(tmp_path)) == 4


def test_a_failing_start_powers_off(tmp_path: Path, bucket: Path) -> None:
    """Without a wheel the VM powers off and says why; its timer was armed before."""
    (bucket / "runtime/smartscheduler-1-py3-none-any.whl").unlink()
    result = boot(tmp_path, bucket)
    assert result.returncode != 0
    assert "expected a wheel" in result.stdout
    lines = result.stdout.splitlines()
    armed = lines.index("would run: systemctl enable --now smartscheduler-power-off.timer")
    assert armed < lines.index("would run: systemctl poweroff")


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_the_script_is_clean(tmp_path: Path, bucket: Path) -> None:
    """Shellcheck has nothing to say, neither of the script nor of those that it writes."""
    boot(tmp_path, bucket)
    written = sorted((tmp_path / "root/opt/smartscheduler/bin").iterdir())
    assert len(written) == 2
    shellcheck = str(shutil.which("shellcheck"))
    result = subprocess.run(  # noqa: S603 - our own files
        [shellcheck, STARTUP, *written], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_the_units_are_understood(tmp_path: Path, bucket: Path) -> None:
    """Systemd knows every setting of the units."""
    boot(tmp_path, bucket)
    units = tmp_path / "root/etc/systemd/system"
    shutil.copy(SERVICE, units / "smartscheduler-trainer.service")
    analyze = str(shutil.which("systemd-analyze"))
    result = subprocess.run(  # noqa: S603 - our own files
        [analyze, "verify", *sorted(units.iterdir())], capture_output=True, text=True, check=False
    )
    complaints = [
        line
        for line in result.stderr.splitlines()
        if "smartscheduler" in line and "is not executable" not in line
    ]
    assert complaints == []
