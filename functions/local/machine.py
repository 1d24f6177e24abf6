"""The inside of a running VM: the runtime's process and the metadata server beside it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from functions.local.metadata import ATTRIBUTES, PREEMPTED, Metadata, application
from functions.local.serving import HttpServer
from functions.local.standby import Child, Order, StandbyPool, child_environment
from functions.local.vm_states import VmRecord
from vm_runtime.contract.instance import DATA_FOLDER_VARIABLE, Attribute

NOTICE_S = 30.0
"""Compute Engine gives a preempted VM 30 seconds; simulated."""
LEAST_NOTICE_S = 0.3
"""Real seconds: at high speed 30 simulated seconds would be no notice at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guests:
    """How VMs run."""

    pool: StandbyPool
    """Where their interpreters come from."""
    folder: Path
    """Gets each VM's log and scratch disk."""
    command: tuple[str, ...]
    """Arguments of Python."""
    environment: Mapping[str, str]
    """Variables that each gets beyond `base`."""
    base: Mapping[str, str] | None = None
    """Variables that all get; `None`: this process's own, with one thread for torch."""
    notice_s: float = NOTICE_S
    """Seconds from SIGTERM to SIGKILL, simulated."""


class Machine:
    """A VM with power."""

    def __init__(
        self, record: VmRecord, guests: Guests, data_folder: Callable[[], Path | None]
    ) -> None:
        """Switch it on.

        Args:
            record: the VM.
            guests: how VMs run.
            data_folder: gives its data disk once that is attached.
        """
        name = record.name
        values = {ATTRIBUTES + key: value for key, value in record.metadata.items()}
        values["instance/name"] = name
        values["instance/zone"] = f"projects/1/zones/{record.compute_zone}"
        values[PREEMPTED] = "FALSE"
        self._metadata = Metadata(values)
        self._server = HttpServer(application(self._metadata), name=f"metadata-{name}")
        self._server.start()
        disk = guests.folder / name
        disk.mkdir(parents=True, exist_ok=True)
        self._pool = guests.pool
        self._order = Order(
            env=dict(child_environment() if guests.base is None else guests.base)
            | dict(guests.environment)
            | {
                "GCE_METADATA_HOST": self._server.address,
                "GCE_METADATA_IP": self._server.address,
            },
            cwd=str(disk),
            log=str(guests.folder / f"{name}.log"),
            argv=guests.command,
        )
        self._data_folder = data_folder
        self._wants_disk = Attribute.DATA_DISK in record.metadata
        self._child: Child | None = None
        self._is_off = False
        self._kill_at_s: float | None = None
        self.turn()

    @property
    def pid(self) -> int | None:
        """The process; `None` before it has booted."""
        return self._child.pid if self._child else None

    @property
    def waits(self) -> bool:
        """Whether it waits for its data disk, as startup.sh does before anything trains."""
        return self._child is None and not self._is_off and self._lacks_disk()

    @property
    def has_power(self) -> bool:
        """Whether it boots or runs."""
        return not self._is_off and self.exit_code is None

    @property
    def exit_code(self) -> int | None:
        """Exit code of the process; `None` while there is none."""
        return self._child.exit_code if self._child else None

    def set_attribute(self, key: str, value: str) -> None:
        """Change custom metadata under the guest."""
        self._metadata.set(ATTRIBUTES + key, value)

    def announce_preemption(self) -> None:
        """Tell the guest by its metadata that Compute Engine wants the VM back."""
        self._metadata.set(PREEMPTED, "TRUE")

    def shut_down(self, *, notice_s: float) -> None:
        """Ask it to end, by SIGTERM; after `notice_s` real seconds a `turn` kills it."""
        if self._child is None:
            self._is_off = True
            return
        self._child.terminate()
        self._kill_at_s = time.monotonic() + notice_s

    def turn(self) -> None:
        """Boot it once there is an interpreter, and kill it if its notice has run out."""
        if self._child is None and not self._is_off and not self._lacks_disk():
            self._child = self._pool.launch(self._order)
        if self._kill_at_s is not None and time.monotonic() >= self._kill_at_s:
            self.kill()

    def _lacks_disk(self) -> bool:
        if not self._wants_disk:
            return False
        folder = self._data_folder()
        if folder is not None:
            env = self._order.env | {DATA_FOLDER_VARIABLE: str(folder)}
            self._order, self._wants_disk = replace(self._order, env=env), False
        return folder is None

    def kill(self) -> None:
        """Cut the power."""
        self._is_off = self._child is None
        if self._child:
            self._child.kill()

    def close(self) -> None:
        """Cut the power and give back process and port."""
        if self._child:
            self._child.close()
        self._metadata.close()
        self._server.stop()
