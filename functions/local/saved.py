"""What the embedded cloud keeps on disk, so that it can go on after a power failure."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from functions.domain.lifecycle.timing import Timing
from functions.local.bus import Retry
from functions.local.disk_store import SavedDisks
from functions.local.faults import Faults
from functions.local.vm_states import Delays, OperationRecord, VmRecord
from vm_runtime.contract.base import Count, Positive, Utc, document
from vm_runtime.contract.codec import decode, encode

FILE = "cloud.json"
_MAIN = Path(__file__).parents[1] / "main.py"
HEAVY = (
    "vm_runtime.trainer",
    "vm_runtime.vm_session",
    "requests",
    "sklearn.datasets",
)
"""What a training imports; named, not known: this package needs none of them."""

FORECASTING = (
    "functions_framework",
    "numpy",
    "pydantic",
    "requests",
    "safetensors.torch",
    "torch",
)
"""What the functions import; the forecast loads torch at its first tick."""


@document
class Options:
    """How an embedded cloud is set up."""

    speed: Positive
    """Simulated seconds per real second."""
    start_at: Utc
    """Simulated time at the first start."""
    timing: Timing
    """Patience of the control plane."""
    history: Path | None = None
    """Folder of recorded intensity; `None`: simulated."""
    seed: int = 0
    """Seed of simulated intensity and of faults."""
    heartbeat_s: int = Field(default=300, gt=0)
    """Simulated seconds between heartbeats."""
    forecast_every_s: int = Field(default=3600, gt=0)
    """Simulated seconds between forecasts."""
    faults: Faults = Field(default_factory=Faults)
    """What goes wrong."""
    delays: Delays = Field(default_factory=Delays)
    """How long the compute service takes."""
    retry: Retry = Field(default_factory=Retry)
    """How patient the bus is."""
    source: Path = _MAIN
    """File with the functions."""
    vm_command: tuple[str, ...] = ("-m", "vm_runtime")
    """Arguments of Python that run in a VM."""
    standbys: Count = 2
    """Interpreters that wait with torch loaded; about 300 MB each."""
    preload: tuple[str, ...] = HEAVY
    """Modules that they import."""
    preload_functions: tuple[str, ...] = FORECASTING
    """Modules that the interpreter of the functions imports before the clock starts."""


@document
class SavedCloud:
    """Content of `cloud.json`."""

    options: Options
    """How it was set up."""
    saved_at: Utc
    """Simulated time."""
    boundary: Utc | None = None
    """When the boundary job is to fire."""
    vms: tuple[VmRecord, ...] = ()
    """All VMs."""
    operations: tuple[OperationRecord, ...] = ()
    """All operations."""
    disks: SavedDisks = Field(default_factory=SavedDisks)
    """Disks and snapshots."""
    requests: dict[str, str] = Field(default_factory=dict)
    """Operation by request id; empty where there is none."""
    schema_version: Literal[1] = 1
    """Version of this document."""


def load(folder: Path) -> SavedCloud:
    """Return what the cloud in `folder` has saved.

    Raises:
        FileNotFoundError: nothing to go on with.
        DocumentError: written by another version.
    """
    file = folder / FILE
    if not file.exists():
        raise FileNotFoundError(
            f"{file}: expected what an embedded cloud has saved, found no such file."
            " Start a new one."
        )
    return decode(SavedCloud, file.read_bytes(), name=str(file))


def save(folder: Path, saved: SavedCloud) -> None:
    """Write it in one piece."""
    part = folder / f"{FILE}.part"
    part.write_bytes(encode(saved))
    part.replace(folder / FILE)
