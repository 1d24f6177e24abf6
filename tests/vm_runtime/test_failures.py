"""User code that fails, hangs, fills the disk or exhausts memory: real processes, told in words."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_metadata_server import FakeMetadataServer
from vm_process import Deployment, until

from vm_runtime.contract.progress import Progress, RunState
from vm_runtime.metadata import HOST_VARIABLE
from vm_runtime.post_mortem import cause_of_death, report
from vm_runtime.session import LeaseLostError

Deploy = Callable[..., Deployment]

FINISHED, FAILED, MORE_TO_DO = 0, 1, 75
BEGIN = "from vm_runtime.session import current_session\nsession = current_session()\n"
NAMESPACES = subprocess.run(
    ["/usr/bin/env", "unshare", "--mount", "true"], capture_output=True, check=False
)
needs_mount = pytest.mark.skipif(
    NAMESPACES.returncode != 0, reason="needs root: mounts a small disk in a namespace of its own"
)


def run(deployment: Deployment, incarnation: int = 1, **options: object) -> int:
    """Run a VM to its end and return its exit code."""
    with FakeMetadataServer(deployment.metadata(incarnation)) as server:
        return deployment.finish(deployment.start(server, **options))  # type: ignore[arg-type]


def post_mortem(deployment: Deployment, incarnation: int = 1, **said: str) -> bool:
    """Do what follows the trainer's end, with what systemd says of it."""
    with FakeMetadataServer(deployment.metadata(incarnation)) as server:
        return report({HOST_VARIABLE: server.host, **said})


def post_mortem_program(deployment: Deployment, incarnation: int = 1, **said: str) -> str:
    """Run the post mortem as systemd does; return its log."""
    with FakeMetadataServer(deployment.metadata(incarnation)) as server:
        result = subprocess.run(
            [sys.executable, "-m", "vm_runtime.post_mortem"],
            env={**os.environ, HOST_VARIABLE: server.host, **said},
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
    return result.stdout


@pytest.fixture(autouse=True)
def _logging_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """The post mortem sets up logging, which is global."""
    monkeypatch.setattr("vm_runtime.post_mortem.log_as_json", lambda **_: None)


def reported(deployment: Deployment) -> Progress:
    """Return the progress."""
    progress = deployment.progress()
    assert progress is not None
    return progress


def test_code_that_cannot_be_imported_is_reported_with_its_traceback(deploy: Deploy) -> None:
    """The log has the whole traceback as one entry, the progress its last lines."""
    deployment = deploy(script="print('hello')\nimport torchvison")
    assert run(deployment) == FAILED
    progress = reported(deployment)
    assert (progress.state, progress.failures_in_a_row) == (RunState.FAILED, 1)
    assert "No module named 'torchvison'" in progress.message
    assert "What to do" in progress.message
    entries = [line for line in deployment.logs if "Traceback" in str(line["message"])]
    assert [entry["severity"] for entry in entries] == ["ERROR"]
    assert [line["severity"] for line in deployment.logs if line["message"] == "hello"] == ["INFO"]


@pytest.mark.parametrize("begins", [False, True])
def test_code_that_is_silent_is_ended_and_shown(deploy: Deploy, *, begins: bool) -> None:
    """A script without a step for too long ends, before its interval does, and shows where."""
    hang = f"{BEGIN}import threading\n" + "session.begin()\n" * begins
    deployment = deploy(script=hang + "threading.Event().wait()\n", max_silence_minutes=0.01)
    assert run(deployment) == FAILED
    progress = reported(deployment)
    assert (progress.state, progress.failures_in_a_row) == (RunState.FAILED, 1)
    assert "hangs: silent for 0.01 minutes" in progress.message
    assert "threading.Event().wait()" in progress.message
    (line,) = [line for line in deployment.logs if line.get("event") == "hangs"]
    assert line["severity"] == "CRITICAL"
    ledger = deployment.ledger(1)
    assert ledger is not None
    assert ledger.ended_because == "failed"


def test_code_that_makes_steps_is_not_silent(deploy: Deploy) -> None:
    """A training that runs for several times the limit, after waiting for as long, finishes."""
    deployment = deploy(steps=400, max_silence_minutes=0.01)
    with FakeMetadataServer(deployment.metadata(start_s=600.0)) as server:
        assert deployment.finish(deployment.start(server)) == FINISHED


def test_a_thread_that_never_ends_keeps_no_vm(deploy: Deploy) -> None:
    """Work that is done is done, although a thread of the script's would hold the process."""
    script = f"""{BEGIN}import threading
session.begin()
session.end(finished=True, stopped_because=None)
threading.Thread(target=threading.Event().wait).start()
"""
    deployment = deploy(script=script, max_silence_minutes=0.01)
    assert run(deployment) == FINISHED
    assert reported(deployment).state is RunState.FINISHED


def test_an_extension_that_holds_pythons_lock_is_ended(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Not even the watchdog's own thread runs then: C code dumps tracebacks and ends it."""
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    (tmp_path / "sitecustomize.py").write_text(
        "import vm_runtime.watchdog as w\nw._FROZEN_S = 1.0\n"
    )
    # `usleep` through PyDLL keeps the lock, as a careless extension does.
    script = f"{BEGIN}import ctypes, time\ntime.sleep(1)\nctypes.PyDLL(None).usleep(900_000_000)\n"
    deployment = deploy(script=script, max_silence_minutes=0.02)
    assert run(deployment) == FAILED
    assert reported(deployment).state is RunState.STARTING
    assert post_mortem(deployment, SERVICE_RESULT="exit-code", EXIT_CODE="exited", EXIT_STATUS="1")
    assert reported(deployment).state is RunState.FAILED


@needs_mount
def test_a_disk_that_is_full_is_reported(deploy: Deploy, tmp_path: Path) -> None:
    """The script filled the disk; its traceback arrives, as the bucket is elsewhere."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f'mount -t tmpfs -o size=1m none "{disk}" && exec "$@"'
    deployment = deploy(script="open('cache.bin', 'wb').write(bytes(2**21))\n")
    before = ("unshare", "--mount", "sh", "-c", mount, "sh")
    assert run(deployment, before=before, TMPDIR=str(disk)) == FAILED
    assert "No space left on device" in reported(deployment).message
    assert "cache.bin" in reported(deployment).message


@needs_mount
def test_a_disk_too_small_for_the_source_is_reported(deploy: Deploy, tmp_path: Path) -> None:
    """Not even the script could be copied: that is told too."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f'mount -t tmpfs -o size=1m none "{disk}" && exec "$@"'
    deployment = deploy()
    deployment.store.write("jobs/count/source/weights.bin", bytes(2**21))
    before = ("unshare", "--mount", "sh", "-c", mount, "sh")
    assert run(deployment, before=before, TMPDIR=str(disk)) == FAILED
    assert "No space left on device" in reported(deployment).message


def test_memory_that_is_refused_is_reported(deploy: Deploy) -> None:
    """Where the limit is one of address space, Python can still say it."""
    deployment = deploy(script="x = bytearray(1 << 40)\n")
    assert run(deployment) == FAILED
    assert "MemoryError" in reported(deployment).message


def test_a_trainer_killed_for_memory_is_reported(deploy: Deploy) -> None:
    """The kernel gives no time for words: what systemd saw becomes a failure in the progress."""
    deployment = deploy(script=f"{BEGIN}session.begin()\nimport os\nos.kill(os.getpid(), 9)\n")
    said = {"SERVICE_RESULT": "oom-kill", "EXIT_CODE": "killed", "EXIT_STATUS": "KILL"}
    for incarnation in (1, 2):
        assert run(deployment, incarnation) == -9
        log = post_mortem_program(deployment, incarnation, **said)
        assert '"event": "died"' in log
        assert '"job_id": "count"' in log
    progress = reported(deployment)
    assert (progress.state, progress.incarnation) == (RunState.FAILED, 2)
    assert progress.failures_in_a_row == 2
    assert "memory was exhausted" in progress.message
    assert "fewer loader workers" in progress.message


@pytest.mark.parametrize(
    ("said", "word"),
    [
        (("oom-kill", "killed", "KILL"), "memory was exhausted"),
        (("signal", "killed", "KILL"), "as a rule for want of memory"),
        (("core-dump", "dumped", "SEGV"), "crashed (SEGV) in native code"),
        (("timeout", "killed", "KILL"), "did not stop in time"),
        (("exit-code", "exited", "1"), "ended with code 1 before it could report"),
        (("success", "exited", "0"), None),
        (("success", "exited", "75"), None),
    ],
)
def test_each_way_to_die_has_its_words(said: tuple[str, str, str], word: str | None) -> None:
    """What systemd says of an end becomes a sentence, and none if the trainer spoke itself."""
    names = ("SERVICE_RESULT", "EXIT_CODE", "EXIT_STATUS")
    cause = cause_of_death(dict(zip(names, said, strict=True)))
    assert (cause is None) if word is None else (cause is not None and word in cause)


def test_a_worker_killed_for_memory_counts_although_the_trainer_stopped(deploy: Deploy) -> None:
    """Systemd stops the trainer then, which takes that for a wish: it is a failure all the same."""
    deployment = deploy(steps=100_000)
    with FakeMetadataServer(deployment.metadata()) as server:
        vm = deployment.start(server)
        until(lambda: (seen := deployment.progress()) and seen.steps_done > 0)
        vm.terminate()
        assert deployment.finish(vm) == MORE_TO_DO
    steps_done = reported(deployment).steps_done
    assert post_mortem(deployment, SERVICE_RESULT="oom-kill", EXIT_CODE="exited", EXIT_STATUS="75")
    progress = reported(deployment)
    assert (progress.state, progress.failures_in_a_row) == (RunState.FAILED, 1)
    assert (progress.steps_done, progress.metrics) == (steps_done, {"loss": 1 / steps_done})
    assert progress.energy_kwh > 0


def test_an_end_that_was_told_stays_as_told(deploy: Deploy) -> None:
    """A finished job stays finished, whatever its interpreter did while it left."""
    deployment = deploy()
    assert run(deployment) == FINISHED
    before = reported(deployment)
    for result in ("oom-kill", "signal", "exit-code"):
        assert not post_mortem(deployment, SERVICE_RESULT=result, EXIT_CODE="x", EXIT_STATUS="1")
    assert reported(deployment) == before


def test_a_trainer_that_was_superseded_is_not_blamed_on_the_job(deploy: Deploy) -> None:
    """What a later VM reported is left alone."""
    deployment = deploy(steps=100_000)
    with FakeMetadataServer(deployment.metadata(2)) as server:
        vm = deployment.start(server)
        until(lambda: deployment.progress() is not None)
        vm.kill()
        assert deployment.finish(vm) == -signal.SIGKILL
    before = reported(deployment)
    with pytest.raises(LeaseLostError, match="expected no incarnation above 1"):
        post_mortem(deployment, 1, SERVICE_RESULT="oom-kill")
    assert reported(deployment) == before
