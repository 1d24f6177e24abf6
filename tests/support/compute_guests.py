"""What is inside the VMs of `ComputeModel`: a metadata server and the real runtime each."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from compute_model import ComputeModel
from fake_metadata_server import FakeMetadataServer
from google.cloud import compute_v1 as gce

from vm_runtime.contract.clock import CLOCK_VARIABLE, ScaledClock
from vm_runtime.metadata import HOST_VARIABLE

_TURN_S = 0.05
_NOTICE_S = 2.0
"""Real seconds from the soft-off signal to power-off: 30 simulated ones would be no notice."""


class Guest:
    """One VM with power."""

    def __init__(
        self, instance: gce.Instance, folder: Path, environment: Mapping[str, str]
    ) -> None:
        """Boot it."""
        values = {f"instance/attributes/{key}": value for key, value in _items(instance).items()}
        is_spot = instance.scheduling.provisioning_model == "SPOT"
        values |= {
            "instance/name": instance.name,
            "instance/zone": instance.zone.partition("/compute/v1/")[2],
            "instance/preempted": "FALSE",
            "instance/scheduling/preemptible": "TRUE" if is_spot else "FALSE",
            "project/project-id": "tests",
        }
        self.metadata = FakeMetadataServer(values)
        self.metadata.__enter__()
        # One that is started again goes on in its log, as on a serial console.
        self._log = (folder / f"{instance.name}.log").open("a")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "vm_runtime"],
            env={**os.environ, HOST_VARIABLE: self.metadata.host, **environment},
            cwd=folder,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        self._kill_at_s: float | None = None

    def refresh(self, instance: gce.Instance) -> None:
        """Show it the metadata that it has now."""
        for key, value in _items(instance).items():
            name = f"instance/attributes/{key}"
            if self.metadata.value(name) != value:
                self.metadata.set(name, value)

    def power_off(self) -> None:
        """Ask it to end; once its notice is over, cut the power."""
        if self._kill_at_s is None:
            self.process.terminate()
            self._kill_at_s = time.monotonic() + _NOTICE_S
        elif time.monotonic() > self._kill_at_s:
            self.process.kill()

    def close(self) -> None:
        """Cut the power."""
        self.process.kill()
        self.process.wait()
        self.metadata.__exit__()
        self._log.close()


class Guests(threading.Thread):
    """Boots, ends and watches the VMs of a model, and lets its time pass."""

    def __init__(
        self, model: ComputeModel, clock: ScaledClock, folder: Path, environment: Mapping[str, str]
    ) -> None:
        """Take what each guest gets in its environment; `folder` gets their logs."""
        super().__init__(name="guests", daemon=True)
        self._model = model
        self._folder = folder
        self._environment = {CLOCK_VARIABLE: clock.to_json(), **environment}
        self._guests: dict[tuple[str, str], Guest] = {}
        self._ending = threading.Event()

    def preempt(self, name: str) -> None:
        """Take a Spot VM back: its metadata says so, then it is asked to end."""
        guest = next(guest for key, guest in self._guests.items() if key[1] == name)
        guest.metadata.set("instance/preempted", "TRUE")
        self._model.preempt(name)

    def run(self) -> None:
        """Turn until `stop`."""
        while not self._ending.wait(_TURN_S):
            with self._model.lock:
                self._model.settle()
                self._turn()

    def stop(self) -> None:
        """End the thread and all guests."""
        self._ending.set()
        self.join()
        for guest in self._guests.values():
            guest.close()

    def _turn(self) -> None:
        present = self._model.instances()
        for key in list(self._guests):
            if key not in present or present[key].status == "TERMINATED":
                self._guests.pop(key).close()
        for key, instance in present.items():
            guest = self._guests.get(key)
            if guest is None and instance.status == "RUNNING":
                self._guests[key] = Guest(instance, self._folder, self._environment)
            elif guest is not None and guest.process.poll() is not None:
                self._model.power_off(instance.name)  # as `after-trainer` does
            elif guest is not None and instance.status == "STOPPING":
                guest.power_off()
            elif guest is not None:
                guest.refresh(instance)
        self._model.held = {key for key, one in self._guests.items() if one.process.poll() is None}


def _items(instance: gce.Instance) -> dict[str, str]:
    return {item.key: item.value for item in instance.metadata.items}
