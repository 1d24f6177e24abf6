"""The VM's startup script as Compute Engine runs it: real runner, real pip, real trainer, gs://."""

import gzip
import hashlib
import io
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import fake_gcs
import pytest
from fake_metadata_server import FakeMetadataServer
from gce_vm import (
    JOB,
    REPOSITORY,
    STARTUP,
    Boot,
    Disk,
    metadata,
    put_job,
    why_not,
    write_tiny_wheel,
)
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from vm_process import COUNT

from vm_runtime.contract import object_names
from vm_runtime.contract.codec import decode
from vm_runtime.contract.progress import Progress, RunState
from vm_runtime.storage.files import FileBlobStore
from vm_runtime.storage.gcs import GcsBlobStore
from vm_runtime.storage.port import BlobStore

BUCKET = "carbon"
POINTER = object_names.environment_pointer(JOB)


def find_shellcheck() -> str | None:
    """Return shellcheck: a package of the development environment brings it."""
    beside = Path(sys.executable).with_name("shellcheck")
    return str(beside) if beside.exists() else shutil.which("shellcheck")


STUB_PYTHON = """#!/bin/bash
# The real Python, but for its venv, whose pip installs nothing: the runtime is the one here.
[[ "$*" == "-m venv"* ]] || exec @PYTHON@ "$@"
mkdir -p "${@: -1}/bin"
cat >"${@: -1}/bin/python" <<'STUB'
#!/bin/bash
if [[ "$*" == "-m pip install"* ]]; then
  echo "pip $*" >>"${SHIM_DIR}/calls"
  [[ "$*" != *--requirement* ]] || ! grep --quiet no-such-thing "${@: -1}" ||
    { echo "ERROR: No matching distribution found for no-such-thing" >&2; exit 1; }
  exit
fi
PYTHONPATH="@HERE@:${PYTHONPATH}" exec @PYTHON@ "$@"
STUB
chmod 755 "${@: -1}/bin/python"
"""

MISSING = why_not()
MISSING_ALL = why_not(needs_runner=False)
as_compute_engine_does = pytest.mark.skipif(MISSING is not None, reason=str(MISSING))
in_namespaces = pytest.mark.skipif(MISSING_ALL is not None, reason=str(MISSING_ALL))


def require(store: BlobStore, text: str) -> None:
    """Put a requirements.txt beside the script."""
    store.write(f"{object_names.source_folder(JOB)}requirements.txt", text.encode())


def progress(store: BlobStore) -> Progress:
    """Return the progress."""
    name = object_names.progress(JOB)
    return decode(Progress, store.read(name).data, name=name)


@contextmanager
def emulator(folder: Path) -> Iterator[GcsBlobStore]:
    """Yield a store on the emulator's folder, for as long as it is up."""
    binary = fake_gcs.find_server()
    assert binary is not None
    with fake_gcs.running_server(binary, folder) as url:
        client = storage.Client(
            project="p", credentials=AnonymousCredentials(), client_options={"api_endpoint": url}
        )
        if not client.bucket(BUCKET).exists():
            client.create_bucket(BUCKET)
        yield GcsBlobStore(BUCKET, make_client=lambda: client)


@pytest.fixture
def bucket(tmp_path: Path) -> FileBlobStore:
    """A file:// bucket with a job."""
    store = FileBlobStore(tmp_path / "bucket")
    put_job(store, tmp_path)
    return store


@pytest.fixture
def boot(tmp_path: Path, bucket: FileBlobStore) -> Callable[..., Boot]:
    """A function that boots a VM on the file:// bucket, where installing takes no time."""
    stub = tmp_path / "python3"
    stub.write_text(
        STUB_PYTHON.replace("@PYTHON@", sys.executable).replace("@HERE@", str(REPOSITORY))
    )
    stub.chmod(0o755)

    def make(disk: str = "disk", incarnation: int = 1, **options: object) -> Boot:
        return Disk(tmp_path / disk).boot(
            metadata(bucket.url, incarnation),
            emulated_bucket=None,
            with_runner=MISSING is None,
            SS_PYTHON=str(stub),
            **options,  # type: ignore[arg-type]
        )

    return make


@as_compute_engine_does
def test_a_fresh_vm_trains_from_a_gs_bucket_and_powers_off(tmp_path: Path) -> None:
    """From metadata to the finished job, with a requirement of the user's; the next VM is faster.

    Google's runner starts the script, which finds the bucket's wheel by Cloud Storage's API.
    """
    objects = tmp_path / "objects"
    objects.mkdir()
    script = f"import tinything\n{COUNT}"
    with emulator(objects) as store:
        put_job(store, tmp_path, script=script)
        require(store, f"{write_tiny_wheel(tmp_path / 'wheels')}\n")
    first = Disk(tmp_path / "first").boot(metadata(f"gs://{BUCKET}"), emulated_bucket=objects)
    assert first.is_off, first.startup_log
    assert "startup-script exit status 0" in first.startup_log
    assert first.events[-1] == "environment_stored", first.startup_log
    assert "environment_built" in first.events
    with emulator(objects) as store:
        assert progress(store).state is RunState.FINISHED, progress(store).message
        assert progress(store).steps_done == 20
        archives = [info.name for info in store.list(object_names.environment_folder(JOB))]
        assert len(archives) == 2
        assert POINTER in archives
        store.delete(object_names.progress(JOB))
        store.delete(object_names.latest(JOB))
    second = Disk(tmp_path / "second").boot(metadata(f"gs://{BUCKET}", 2), emulated_bucket=objects)
    assert second.is_off, second.startup_log
    assert "environment_restored" in second.events
    assert "environment_built" not in second.events
    with emulator(objects) as store:
        assert progress(store).state is RunState.FINISHED, progress(store).message
        assert progress(store).incarnation == 2


@in_namespaces
def test_the_timer_is_armed_first_and_a_second_boot_installs_nothing(
    boot: Callable[..., Boot], bucket: FileBlobStore
) -> None:
    """What was killed in mid-installation is installed anew; so is a changed requirement."""
    first = boot()
    assert first.is_off
    armed = first.calls.index("enable --now smartscheduler-power-off.timer")
    assert armed < first.calls.index("start --no-block smartscheduler-trainer.service")
    assert any(call.startswith("useradd --system") for call in first.calls)
    assert first.calls.count("poweroff") == 1
    assert "environment_built" in first.events
    second = boot(incarnation=2)
    assert second.events == ["setting_up", "environment_installed", "trainer_started"]
    assert second.is_off
    require(bucket, "# nothing more\n")
    assert "environment_built" in boot(incarnation=3).events


@in_namespaces
@pytest.mark.parametrize("broken", ["torn", "altered", "gone", "unusable"])
def test_a_stored_environment_that_is_broken_is_ignored(
    boot: Callable[..., Boot], bucket: FileBlobStore, broken: str
) -> None:
    """Torn, altered, missing, without the runtime: a warning; built anew, stored anew, trained."""
    boot()
    digest, sha256 = bucket.read(POINTER).data.decode().split()
    name = object_names.environment_archive(JOB, digest, sha256)
    match broken:
        case "torn":
            bucket.write(name, bucket.read(name).data[:-20])
        case "altered":
            bucket.write(name, gzip.compress(gzip.decompress(bucket.read(name).data), 9))
        case "gone":
            bucket.delete(name)
        case _:
            data = archive_of("venv/bin/python", b"#!/bin/sh\nexit 1\n")
            sha256 = hashlib.sha256(data).hexdigest()
            bucket.write(object_names.environment_archive(JOB, digest, sha256), data)
            bucket.write(POINTER, f"{digest} {sha256}".encode())
    result = boot("fresh", incarnation=2)
    assert result.is_off
    assert [event for event in result.events if event.startswith("environment")] == [
        "environment_broken",
        "environment_built",
        "environment_stored",
    ]
    (warning,) = [line for line in result.startup if line["event"] == "environment_broken"]
    assert warning["severity"] == "WARNING"
    assert progress(bucket).incarnation == 2
    assert progress(bucket).state is RunState.FINISHED
    names = [info.name for info in bucket.list(object_names.environment_folder(JOB))]
    stored = object_names.environment_archive(JOB, *bucket.read(POINTER).data.decode().split())
    assert names == sorted([POINTER, stored])


def archive_of(name: str, data: bytes) -> bytes:
    """Return a tar.gz of one program."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(data), 0o755
        tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@in_namespaces
def test_an_environment_of_another_wheel_is_not_taken(
    boot: Callable[..., Boot], bucket: FileBlobStore
) -> None:
    """What was built for other requirements is not even fetched; the newest wheel counts."""
    boot()
    before = bucket.read(POINTER).data
    wheel = next(info.name for info in bucket.list("runtime/"))
    for version in ("0.10.0", "0.9.0"):
        name = f"runtime/smartscheduler-{version}-py3-none-any.whl"
        bucket.write(name, bucket.read(wheel).data)
    result = boot("fresh", incarnation=2)
    assert result.events[1:3] == ["environment_other", "environment_built"]
    assert any("pip -m pip install" in call and "0.10.0" in call for call in result.calls)
    assert bucket.read(POINTER).data != before


@in_namespaces
def test_requirements_that_cannot_be_installed_are_a_failure_of_the_job(
    boot: Callable[..., Boot], bucket: FileBlobStore
) -> None:
    """The person finds pip's words in the progress, and the job is given up after some VMs."""
    require(bucket, "no-such-thing==1\n")
    for incarnation in (1, 2):
        result = boot(incarnation=incarnation)
        assert result.is_off
        assert "start --no-block smartscheduler-trainer.service" not in result.calls
        assert result.events[-2:] == ["requirements_failed", "startup_failed"]
    report = progress(bucket)
    assert (report.state, report.failures_in_a_row) == (RunState.FAILED, 2)
    assert "No matching distribution found for no-such-thing" in report.message


@in_namespaces
def test_a_bucket_without_a_wheel_powers_off(
    boot: Callable[..., Boot], bucket: FileBlobStore
) -> None:
    """It says what is missing; its timer was armed before."""
    bucket.delete(next(info.name for info in bucket.list("runtime/")))
    result = boot()
    assert result.is_off
    assert result.events == ["setting_up", "no_wheel", "startup_failed"]
    assert result.calls[-2:] == ["enable --now smartscheduler-power-off.timer", "poweroff"]


@as_compute_engine_does
def test_a_bucket_that_is_not_there_powers_off(tmp_path: Path) -> None:
    """Cloud Storage's own words stand in the log."""
    objects = tmp_path / "objects"
    objects.mkdir()
    result = Disk(tmp_path / "disk").boot(metadata("gs://nowhere"), emulated_bucket=objects)
    assert result.is_off
    assert result.events[-1] == "startup_failed"


@in_namespaces
def test_a_trainer_that_is_killed_is_reported_before_the_vm_goes(
    boot: Callable[..., Boot], bucket: FileBlobStore
) -> None:
    """Its death is counted by what systemd runs after it; it is not started again."""
    script = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n"
    bucket.write(f"{object_names.source_folder(JOB)}train.py", script.encode())
    result = boot()
    assert result.is_off
    assert result.calls.count("start --no-block smartscheduler-trainer.service") == 1
    report = progress(bucket)
    assert (report.state, report.failures_in_a_row) == (RunState.FAILED, 1)
    assert "killed (SIGKILL)" in report.message
    assert "died" in [line.get("event") for line in result.journal]


@pytest.fixture
def power_off(tmp_path: Path) -> Callable[..., bool]:
    """A function that lets the guest's own timer look once; returns whether it powers off."""
    script = STARTUP.read_text().split("<<'SCRIPT'\n")[1].split("\nSCRIPT\n")[0]
    program = tmp_path / "power-off-when-over"
    program.write_text(script)
    systemctl = tmp_path / "systemctl"
    systemctl.write_text('#!/bin/sh\necho "$@" >>"${SS_ROOT}/calls"\n')
    systemctl.chmod(0o755)

    def look(host: str) -> bool:
        (tmp_path / "calls").unlink(missing_ok=True)
        subprocess.run(  # noqa: S603 - our own
            ["/bin/bash", program],
            env={
                "PATH": f"{tmp_path}:/usr/bin:/bin",
                "SS_ROOT": str(tmp_path),
                "GCE_METADATA_HOST": host,
            },
            check=True,
            timeout=30,
        )
        return (tmp_path / "calls").exists()

    return look


def ends(seconds_ago: float) -> dict[str, str]:
    """Return metadata of an interval that ended so long ago; its grace is 600 s."""
    end = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    return {
        "instance/attributes/ss-interval-end": end.isoformat(),
        "instance/attributes/ss-shutdown-grace-s": "600.0",
    }


def test_the_timer_powers_off_minutes_after_the_end(
    power_off: Callable[..., bool], tmp_path: Path
) -> None:
    """Not before; a later end counts at once; and without an answer what was last heard does."""
    with FakeMetadataServer(ends(590)) as server:
        assert not power_off(server.host)
        server.set("instance/attributes/ss-interval-end", "2020-01-01T00:00:00+00:00")
        assert power_off(server.host)
        server.set("instance/attributes/ss-interval-end", "2999-01-01T00:00:00+00:00")
        assert not power_off(server.host)
        gone = server.host
    assert not power_off(gone)
    (tmp_path / "run/smartscheduler-interval-end").write_text("at 2020-01-01T00:00:00Z")
    assert power_off(gone)


def test_the_timer_counts_a_wish_to_stop_from_when_it_heard_it(
    power_off: Callable[..., bool], tmp_path: Path
) -> None:
    """`now` gives the runtime its grace, and no more than that, if it hangs."""
    state = tmp_path / "run/smartscheduler-interval-end"
    with FakeMetadataServer(ends(0)) as server:
        server.set("instance/attributes/ss-interval-end", "now")
        assert not power_off(server.host)
        assert state.read_text().startswith("now 20")
        state.write_text("now 2020-01-01T00:00:00Z")
        assert power_off(server.host)


def test_a_vm_that_never_hears_of_its_interval_powers_off(
    power_off: Callable[..., bool], tmp_path: Path
) -> None:
    """Nobody made it for a job, or its network is broken: it is of no use."""
    assert not power_off("127.0.0.1:9")
    state = tmp_path / "run/smartscheduler-interval-end"
    assert state.read_text().startswith(f"never {datetime.now(UTC):%Y-%m-%dT}")
    (tmp_path / "run/smartscheduler-interval-end").write_text("never 2020-01-01T00:00:00Z")
    assert power_off("127.0.0.1:9")


@pytest.mark.skipif(find_shellcheck() is None, reason="shellcheck is not installed")
def test_the_scripts_are_clean(tmp_path: Path) -> None:
    """Shellcheck has nothing to say, neither of the script nor of those that it writes."""
    scripts = [STARTUP]
    for number, part in enumerate(STARTUP.read_text().split("<<'SCRIPT'\n")[1:]):
        scripts.append(tmp_path / f"written-{number}")
        scripts[-1].write_text(part.split("\nSCRIPT\n")[0] + "\n")
    assert len(scripts) == 3
    result = subprocess.run(  # noqa: S603 - our own files
        [str(find_shellcheck()), *scripts], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@in_namespaces
def test_the_units_are_understood(boot: Callable[..., Boot], tmp_path: Path) -> None:
    """Systemd knows every setting of the units."""
    boot()
    analyze = str(shutil.which("systemd-analyze"))
    result = subprocess.run(  # noqa: S603 - our own files
        [analyze, "verify", *sorted((tmp_path / "disk/units").iterdir())],
        capture_output=True,
        text=True,
        check=False,
    )
    complaints = [
        line
        for line in result.stderr.splitlines()
        if "smartscheduler" in line and "is not executable" not in line
    ]
    assert complaints == []
