"""Finds what of this machine's energy the hardware counts: GPUs by NVML, processors by RAPL.

Compute Engine passes GPUs through to its VMs with their counters, but not the processor's: RAPL
is for machines of one's own. `nvidia-ml-py` is NVIDIA's binding to the library of its driver.
Nothing here starts a thread or a process, writes a file, or contacts another machine.
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from vm_runtime.energy import CounterError, EnergyCounter

try:
    import pynvml
except ImportError:  # the extra `vm` was not installed; said in `_gpus`
    pynvml = None

_log = logging.getLogger(__name__)

POWERCAP = Path("/sys/class/powercap")


class GpuCounter:
    """One GPU's counter of joules; Volta and newer have it."""

    def __init__(self, nvml: Any, index: int) -> None:  # noqa: ANN401 - a module
        """Read it a first time.

        Raises:
            NVMLError: it counts no energy, or does not tell its power limit.
        """
        self._nvml = nvml
        self._device = nvml.nvmlDeviceGetHandleByIndex(index)
        model = nvml.nvmlDeviceGetName(self._device)
        self.name = f"GPU {index} {model if isinstance(model, str) else model.decode()} (NVML)"
        self.rated_w: float = nvml.nvmlDeviceGetEnforcedPowerLimit(self._device) / 1000
        self._last_mj = self._read_mj()

    def take_j(self) -> float:
        """Return the energy since the last call, joules; see the Protocol."""
        try:
            now_mj = self._read_mj()
        except self._nvml.NVMLError as error:
            raise CounterError(str(error)) from error
        # It starts at 0 when the driver is loaded anew.
        taken_mj = now_mj - self._last_mj if now_mj >= self._last_mj else now_mj
        self._last_mj = now_mj
        return taken_mj / 1000

    def _read_mj(self) -> int:
        return int(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._device))


class RaplCounter:
    """One processor package's counter of microjoules, from the kernel's powercap folder."""

    def __init__(self, folder: Path) -> None:
        """Read it a first time.

        Raises:
            OSError: it cannot be read: since Linux 5.10 only root may.
            ValueError: a file does not hold a number.
        """
        self.name = f"{_text(folder / 'name')} (RAPL)"
        self.rated_w = int(_text(folder / "constraint_0_power_limit_uw")) / 1e6
        self._range_uj = int(_text(folder / "max_energy_range_uj"))
        self._file = folder / "energy_uj"
        self._last_uj = int(_text(self._file))

    def take_j(self) -> float:
        """Return the energy since the last call, joules; see the Protocol.

        It wraps after some 10 minutes at full power: read it more often.
        """
        try:
            now_uj = int(_text(self._file))
        except (OSError, ValueError) as error:
            raise CounterError(str(error)) from error
        taken_uj = now_uj - self._last_uj
        if taken_uj < 0:
            taken_uj += self._range_uj
        self._last_uj = now_uj
        return taken_uj / 1e6


def find_counters(
    *,
    nvml: Any = pynvml,  # noqa: ANN401 - a module
    powercap: Path = POWERCAP,
) -> Sequence[EnergyCounter]:
    """Return the counters of this machine, and log what is measured and what is not, and why."""
    counters: tuple[EnergyCounter, ...] = (*_gpus(nvml), *_packages(powercap))
    if counters:
        _log.info(
            "energy is measured: %s; the rest of the machine counts at its declared power",
            ", ".join(counter.name for counter in counters),
            extra={"event": "energy_measured"},
        )
    else:
        _log.info(
            "energy is modelled as declared power x time: no counter of this machine can be read",
            extra={"event": "energy_modelled"},
        )
    return counters


def _gpus(nvml: Any) -> Iterator[GpuCounter]:  # noqa: ANN401 - a module
    if nvml is None:
        _log.info("energy of GPUs is not measured: nvidia-ml-py is not installed")
        return
    try:
        nvml.nvmlInit()
        count = nvml.nvmlDeviceGetCount()
    except nvml.NVMLError as error:  # no driver: no GPU, as a rule
        _log.info("energy of GPUs is not measured: %s", error)
        return
    for index in range(count):
        try:
            yield GpuCounter(nvml, index)
        except nvml.NVMLError as error:
            _log.warning("energy of GPU %d is not measured: %s", index, error)


def _packages(powercap: Path) -> Iterator[RaplCounter]:
    for folder in sorted(powercap.glob("intel-rapl:*")):  # AMD's processors, too
        if not _is_package(folder):
            continue
        try:
            yield RaplCounter(folder)
        except (OSError, ValueError) as error:
            _log.info("energy of %s is not measured: %s", folder.name, error)


def _is_package(folder: Path) -> bool:
    """Whether it is a processor: neither a part of one nor `psys`, the platform around it."""
    try:
        return _text(folder / "name").startswith("package")
    except OSError:
        return False


def _text(file: Path) -> str:
    return file.read_text().strip()
