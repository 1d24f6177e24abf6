"""The embedded cloud as a whole, with stub functions and fake guests."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fleet_contract import spec
from local_world import PROGRAMS, START, is_alive
from waiting import until

from functions.domain.lifecycle.timing import Timing
from functions.domain.lifecycle.vm import VmStatus
from functions.local.cloud import EmbeddedCloud
from functions.local.events import Event, EventKind
from functions.local.faults import Faults
from functions.local.fleet import LocalFleet
from functions.local.intensity import LocalIntensity
from functions.local.publisher import LocalPublisher
from functions.settings import read_deployment
from functions.wire import WakeUp, WakeUpKind
from vm_runtime.contract.clock import clock_from

MakeCloud = Callable[..., EmbeddedCloud]
NAME = "ss-digits-1"


def calls(folder: Path, function: str) -> list[dict[str, Any]]:
    """Return what the stub functions noted."""
    file = folder / "bucket" / "calls.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    noted = [json.loads(line) for line in lines]
    return [call for call in noted if call["function"] == function]


def wake_up(cloud: EmbeddedCloud) -> WakeUp:
    """Return a message."""
    return WakeUp(kind=WakeUpKind.AGAIN, sent_at=cloud.clock.now(), job_id="digits")


def test_all_functions_are_reached(make_cloud: MakeCloud) -> None:
    """A tick and a message reach all four functions under the real framework."""
    cloud = make_cloud()
    heard: list[Event] = []
    with cloud:
        cloud.subscribe(heard.append)
        LocalPublisher(cloud.url, cloud.key).publish(wake_up(cloud))
        until(lambda: cloud.bus.undelivered == 0 and calls(cloud.folder, "forecast"))
        for name in ("stop_vm", "move_vm", "start_vm"):
            (call,) = calls(cloud.folder, name)
            assert call["body"]["message"]["messageId"] == call["id"]
        assert [event for event in heard if event.kind is EventKind.MESSAGE_PUBLISHED]
        assert set(heard) <= set(cloud.events())
    lines = (cloud.folder / "events.jsonl").read_text().splitlines()
    assert len(lines) >= len(heard)
    assert all(json.loads(line)["at"].startswith("2024-03-05") for line in lines)


def test_environment_is_a_deployment(make_cloud: MakeCloud, tmp_path: Path) -> None:
    """The variables of the functions name bucket, cloud, clock and the given timing."""
    timing = Timing(boot_lead_s=77.0)
    hour = "2024-03-04T23:00:00Z"
    (tmp_path / "DE.csv").write_text(f"zone,datetime_utc,carbon_intensity\nDE,{hour},321\n")
    with make_cloud(timing=timing, seed=5, history=tmp_path) as cloud:
        found = read_deployment(cloud.environment)
        assert found.timing == timing
        assert found.settings.bucket == cloud.store.url
        assert (found.settings.cloud, found.settings.seed) == (cloud.url, 5)
        source = LocalIntensity(history=found.settings.history, seed=5)
        assert [hour.gco2eq_per_kwh for hour in source.recent_hours("DE", START)] == [321.0]
        assert clock_from(cloud.environment) == cloud.clock
        assert timedelta(0) <= cloud.clock.now() - START < timedelta(hours=2)


def test_resume_goes_on(make_cloud: MakeCloud) -> None:
    """After a power failure the clock goes on, what ran is TERMINATED, what was sent arrives."""
    cloud = make_cloud(retry={"attempts": 50, "first_s": 0.05})
    cloud.start()
    (cloud.folder / "bucket" / "fail-move_vm").touch()
    fleet = LocalFleet(cloud.url, cloud.key)
    fleet.insert(spec(), request_id="insert")
    until(lambda: [vm.status for vm in fleet.list()] == [VmStatus.RUNNING])
    pid = cloud.compute.pid(NAME)
    LocalPublisher(cloud.url, cloud.key).publish(wake_up(cloud))
    until(lambda: cloud.bus.undelivered == 1)
    boundary = cloud.clock.now() + timedelta(days=1)
    cloud.scheduler.aim_boundary(boundary)
    stopped_at = cloud.clock.now()
    cloud.stop()
    assert not is_alive(pid)
    (cloud.folder / "bucket" / "fail-move_vm").unlink()
    delivered = len(calls(cloud.folder, "start_vm"))
    time.sleep(0.5)  # five simulated minutes that must not count

    with EmbeddedCloud.resume(cloud.folder) as again:
        assert again.options.timing == cloud.options.timing
        assert 0 <= again.clock.simulated_anchor_s - stopped_at.timestamp() < 120
        (vm,) = LocalFleet(again.url, again.key).list()
        assert vm.status is VmStatus.TERMINATED
        assert vm.terminated_at is not None
        anchor_s = again.clock.simulated_anchor_s
        assert vm.terminated_at.timestamp() == pytest.approx(anchor_s, abs=0.001)
        assert again.scheduler.boundary is not None
        assert again.scheduler.boundary >= boundary
        until(lambda: again.bus.undelivered == 0)
        assert len(calls(again.folder, "start_vm")) == delivered
        # Repeated after the restart, an insert still finds its first operation.
        assert LocalFleet(again.url, again.key).insert(spec(), request_id="insert").done


def test_killed_functions_come_back(make_cloud: MakeCloud) -> None:
    """After kill -9 of the functions another process serves, and no message is lost."""
    with make_cloud() as cloud:
        until(lambda: calls(cloud.folder, "forecast"))
        (before,) = calls(cloud.folder, "forecast")
        cloud.kill_functions()
        LocalPublisher(cloud.url, cloud.key).publish(wake_up(cloud))
        until(lambda: cloud.bus.undelivered == 0)
        (call,) = calls(cloud.folder, "start_vm")
        assert call["pid"] != before["pid"]
        assert cloud.bus.dead_letters == []


def test_faults_may_change_while_it_runs(make_cloud: MakeCloud) -> None:
    """Faults put in force later count from then on."""
    with make_cloud() as cloud:
        cloud.faults = Faults(drop=1.0)
        LocalPublisher(cloud.url, cloud.key).publish(wake_up(cloud))
        assert cloud.bus.undelivered == 0
        assert len([event for event in cloud.events() if event.kind is EventKind.FAULT]) == 3


def test_broken_functions_are_told(make_cloud: MakeCloud, tmp_path: Path) -> None:
    """If the functions cannot be loaded the start fails with their own words."""
    source = tmp_path / "main.py"
    source.write_text("raise ValueError('broken on purpose')")
    with pytest.raises(RuntimeError, match="broken on purpose"):
        make_cloud(source=source).start()


def test_stopped_cloud_says_so(make_cloud: MakeCloud, tmp_path: Path) -> None:
    """What needs a running cloud says so; a folder without a cloud cannot be resumed."""
    with pytest.raises(RuntimeError, match="Call start"):
        _ = make_cloud().clock
    with pytest.raises(FileNotFoundError, match=r"cloud\.json"):
        EmbeddedCloud.resume(tmp_path / "nothing")


PARENT = """
import json, sys, time
sys.path[:0] = {path!r}
from pathlib import Path
from local_world import PROGRAMS, START
from fleet_contract import spec
from functions.domain.lifecycle.timing import Timing
from functions.local.cloud import EmbeddedCloud
cloud = EmbeddedCloud(
    Path({folder!r}), speed=600, start_at=START, timing=Timing(), standbys=1, preload=("json",),
    preload_functions=("functions_framework",),
    source=PROGRAMS / "stub_functions.py", vm_command=(str(PROGRAMS / "fake_vm.py"),),
    heartbeat_s=86400, forecast_every_s=86400,
)
cloud.start()
cloud.compute.insert(spec(job="worker"), request_id="insert")
log = cloud.folder / "vms" / "ss-digits-1.log"
calls = cloud.folder / "bucket" / "calls.jsonl"
while not (log.exists() and "up" in log.read_text() and calls.exists()):
    time.sleep(0.02)
words = log.read_text().split()
host = json.loads(calls.read_text().splitlines()[0])["pid"]
print(words[1], words[-1], host, flush=True)
time.sleep(600)
"""


def test_nothing_outlives_a_killed_parent(tmp_path: Path) -> None:
    """After kill -9 of the cloud's process no child is left, and the folder can be resumed."""
    folder = tmp_path / "cloud"
    code = PARENT.format(path=[str(PROGRAMS.parent)], folder=str(folder))
    parent = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pids = [int(word) for word in parent.stdout.readline().split()]
    assert len(pids) == 3
    assert all(map(is_alive, pids))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until(lambda: not any(map(is_alive, pids)))
    with EmbeddedCloud.resume(folder, standbys=0) as again:
        until(
            lambda: (
                [vm.status for vm in LocalFleet(again.url, again.key).list()]
                == [VmStatus.TERMINATED]
            )
        )
