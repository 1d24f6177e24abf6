"""The data disk on a VM: waited for, formatted only if blank, mounted where the script is told."""

import os
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fake_metadata_server import FakeMetadataServer
from gce_vm import STARTUP

TOOLS = ("blkid", "mkfs.ext4", "cmp", "mountpoint")
MISSING = [tool for tool in TOOLS if shutil.which(tool) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

SIZE = 20 * 2**20
END = "instance/attributes/ss-interval-end"
Mount = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def device(tmp_path: Path) -> Path:
    """A blank disk of 20 MiB: a file, which blkid and mkfs take as one."""
    found = tmp_path / "dev/disk/by-id/google-ss-data"
    found.parent.mkdir(parents=True)
    with found.open("wb") as stream:
        stream.truncate(SIZE)
    return found


@pytest.fixture
def mount_on(tmp_path: Path) -> Mount:
    """A function that runs that part of startup.sh; mount and chown only say what they would do."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("mount", "chown", "systemctl"):
        (programs / name).write_text(f'#!/bin/sh\necho "{name} $*" >>"{tmp_path}/calls"\n')
        (programs / name).chmod(0o755)
    part = STARTUP.read_text().rstrip().removesuffix('main "$@"')
    script = tmp_path / "part.sh"
    script.write_text(f"{part}\nmount_data_disk\n")

    def run(server: FakeMetadataServer) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(  # noqa: S603 - our own
            ["/bin/bash", str(script)],
            env={
                "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}{os.pathsep}/usr/sbin",
                "SS_ROOT": str(tmp_path),
                "GCE_METADATA_HOST": server.host,
                "SS_POLL_S": "0.05",
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return run


def values(**more: str) -> dict[str, str]:
    """Return the metadata of a VM that is to have a data disk."""
    later = datetime.now(UTC) + timedelta(hours=1)
    return {END: later.isoformat(), "instance/attributes/ss-data-disk": "1", **more}


def calls(folder: Path) -> str:
    """Return what was called."""
    file = folder / "calls"
    return file.read_text() if file.exists() else ""


def test_a_blank_disk_is_formatted_once_and_mounted(
    mount_on: Mount, device: Path, tmp_path: Path
) -> None:
    """The second time what is on it stays, to the byte."""
    with FakeMetadataServer(values()) as server:
        first = mount_on(server)
        assert first.returncode == 0, first.stderr
        assert "data_disk_blank" in first.stdout
        content = device.read_bytes()
        again = mount_on(server)
    assert "data_disk_found" in again.stdout
    assert device.read_bytes() == content
    assert f"mount -o nodev,nosuid {device} {tmp_path}/mnt/smartscheduler-data" in calls(tmp_path)
    unit = tmp_path / "etc/systemd/system/smartscheduler-trainer.service.d/data-disk.conf"
    assert "Environment=SMARTSCHEDULER_DATA_DIR=/mnt/smartscheduler-data" in unit.read_text()


def test_what_is_neither_blank_nor_a_file_system_is_left_alone(
    mount_on: Mount, device: Path, tmp_path: Path
) -> None:
    """Somebody's data without a signature are data all the same."""
    with device.open("r+b") as stream:
        stream.seek(500_000)
        stream.write(b"somebody's")
    content = device.read_bytes()

    with FakeMetadataServer(values()) as server:
        result = mount_on(server)

    assert result.returncode != 0
    assert "data_disk_unreadable" in result.stdout
    assert device.read_bytes() == content
    assert "mount " not in calls(tmp_path)
    assert "systemctl poweroff" in calls(tmp_path)


@pytest.mark.parametrize("end", ["now", "2020-01-01T00:00:00+00:00"])
def test_a_disk_that_does_not_come_is_not_waited_for_beyond_the_interval(
    mount_on: Mount, tmp_path: Path, end: str
) -> None:
    """Nothing trains without it, and the VM does not burn on."""
    with FakeMetadataServer(values() | {END: end}) as server:
        result = mount_on(server)

    assert result.returncode == 0, result.stderr
    assert "data_disk_missing" in result.stdout
    assert calls(tmp_path) == "systemctl poweroff\n"


def test_a_job_without_a_data_disk_gets_none(mount_on: Mount, tmp_path: Path) -> None:
    """No device is looked for."""
    without = {key: value for key, value in values().items() if key == END}
    with FakeMetadataServer(without) as server:
        result = mount_on(server)

    assert (result.returncode, calls(tmp_path)) == (0, "")
