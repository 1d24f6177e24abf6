"""Energy: what counters measure, what is modelled, and which is which."""

import itertools
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from manual_clock import START

from vm_runtime.contract.ledger import SegmentKind
from vm_runtime.energy import CounterError, Meter
from vm_runtime.energy_counters import GpuCounter, find_counters

KINDS = st.sampled_from(list(SegmentKind))
KWH_J = 3_600_000


class ScriptedCounter:
    """Counts what a test says."""

    name = "GPU 0 (NVML)"
    rated_w = 70.0

    def __init__(self) -> None:
        """Count nothing yet."""
        self.pending_j = 0.0
        self.is_broken = False

    def take_j(self) -> float:
        """Return what was counted since the last call."""
        if self.is_broken:
            raise CounterError("GPU is lost")
        taken_j, self.pending_j = self.pending_j, 0.0
        return taken_j


class FakeNvml:
    """NVML as its Python binding shows it: one GPU, or none without a driver."""

    class NVMLError(Exception):
        """Any of its errors."""

    def __init__(self, *, has_driver: bool = True, counts: bool = True) -> None:
        """Start at some reading."""
        self.has_driver, self.counts = has_driver, counts
        self.total_mj = 5_000_000

    def nvmlInit(self) -> None:  # noqa: N802 - NVML's name
        """Fail without a driver."""
        if not self.has_driver:
            raise self.NVMLError("NVML Shared Library Not Found")

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        """Return the number of GPUs."""
        return 1

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        """Return a handle."""
        return index

    def nvmlDeviceGetName(self, _: int) -> str:  # noqa: N802
        """Return the model."""
        return "NVIDIA L4"

    def nvmlDeviceGetEnforcedPowerLimit(self, _: int) -> int:  # noqa: N802
        """Return milliwatts."""
        return 72_000

    def nvmlDeviceGetTotalEnergyConsumption(self, _: int) -> int:  # noqa: N802
        """Return millijoules since the driver was loaded."""
        if not self.counts:
            raise self.NVMLError("Not Supported")
        return self.total_mj


def package(powercap: Path, zone: str, **files: str) -> Path:
    """Write a powercap folder as the kernel shows it."""
    folder = powercap / zone
    folder.mkdir(parents=True)
    content = {
        "name": "package-0",
        "energy_uj": "1000000",
        "max_energy_range_uj": "262143328850",
        "constraint_0_power_limit_uw": "65000000",
    } | files
    for file, text in content.items():
        (folder / file).write_text(text + "\n")
    return folder


@given(
    changes=st.lists(st.tuples(KINDS, st.floats(-60, 4000), st.floats(0, 1e5)), max_size=30),
    power_w=st.sampled_from([50.0, 250.0]),
)
def test_measured_and_modelled_add_up(
    changes: list[tuple[SegmentKind, float, float]], power_w: float
) -> None:
    """The energy is what was counted plus the declared rest x time, in segments as in sum."""
    counter = ScriptedCounter()
    meter = Meter(power_w=power_w, started_at=START, kind=SegmentKind.LOAD, counters=[counter])
    now = latest = START
    counted_j = 0.0
    for kind, wait_s, joules in changes:
        now += timedelta(seconds=wait_s)
        latest = max(latest, now)
        counter.pending_j += joules
        counted_j += joules
        meter.switch(kind, now)
    rest_j = max(power_w - 70.0, 0) * (latest - START).total_seconds()
    segments = meter.segments(latest)
    assert meter.measured_kwh(latest) == pytest.approx(counted_j / KWH_J)
    assert meter.energy_kwh(latest) == pytest.approx((counted_j + rest_j) / KWH_J)
    if segments:
        in_segments = sum(segment.energy_kwh for segment in segments)
        assert in_segments == pytest.approx((counted_j + rest_j) / KWH_J)
        assert (segments[0].start, segments[-1].end) == (START, latest)
    assert all(a.end == b.start for a, b in itertools.pairwise(segments))


def test_power_that_changes_is_not_smeared() -> None:
    """Six hours of training make segments of a quarter, each with the energy of its time."""
    counter = ScriptedCounter()
    meter = Meter(power_w=70, started_at=START, kind=SegmentKind.TRAIN, counters=[counter])
    for minute in range(1, 361):
        counter.pending_j = 60.0 if minute <= 180 else 6000.0
        meter.energy_kwh(START + timedelta(minutes=minute))
    segments = meter.segments(START + timedelta(hours=6))
    first = sum(s.energy_kwh for s in segments if s.end <= START + timedelta(hours=3))
    assert first == pytest.approx(180 * 60 / KWH_J)
    assert len(segments) <= 25


def test_a_counter_that_fails_is_replaced_by_its_model(caplog: pytest.LogCaptureFixture) -> None:
    """A GPU that falls off the bus costs no energy in no book: its declared share counts."""
    counter = ScriptedCounter()
    meter = Meter(power_w=100, started_at=START, kind=SegmentKind.TRAIN, counters=[counter])
    counter.pending_j = 3600.0
    hour = START + timedelta(hours=1)
    before_kwh = meter.energy_kwh(hour)
    assert before_kwh == pytest.approx((3600 + 30 * 3600) / KWH_J)
    assert meter.basis == "measured: GPU 0 (NVML); modelled: 30 W of the declared power 100 W"
    counter.is_broken = True
    meter.energy_kwh(hour)
    after_kwh = meter.energy_kwh(hour + timedelta(hours=1))
    assert after_kwh - before_kwh == pytest.approx(0.1)
    assert "until it failed also GPU 0" in meter.basis
    assert sum("not measured any more" in text for text in caplog.messages) == 1


def test_without_counters_the_declared_power_counts() -> None:
    """The receipt knows this very wording."""
    meter = Meter(power_w=250, started_at=START, kind=SegmentKind.TRAIN)
    assert meter.basis == "declared power 250 W x time"
    assert meter.measured_kwh(START + timedelta(hours=1)) == 0


def test_a_gpu_counts_millijoules() -> None:
    """Energy before the job is not the job's; a driver loaded anew starts at 0."""
    nvml = FakeNvml()
    (counter,) = find_counters(nvml=nvml, powercap=Path("/none"))
    assert (counter.name, counter.rated_w) == ("GPU 0 NVIDIA L4 (NVML)", 72.0)
    assert counter.take_j() == 0
    nvml.total_mj += 1500
    assert counter.take_j() == 1.5
    nvml.total_mj = 400
    assert counter.take_j() == 0.4
    nvml.counts = False
    with pytest.raises(CounterError, match="Not Supported"):
        counter.take_j()


def test_a_package_counts_microjoules_and_wraps(tmp_path: Path) -> None:
    """Each processor counts once: neither its parts nor the platform around it are added."""
    folder = package(tmp_path, "intel-rapl:0")
    package(tmp_path, "intel-rapl:0:0", name="core")
    package(tmp_path, "intel-rapl:1", name="psys")
    (counter,) = find_counters(nvml=FakeNvml(has_driver=False), powercap=tmp_path)
    assert (counter.name, counter.rated_w) == ("package-0 (RAPL)", 65.0)
    (folder / "energy_uj").write_text("3500000\n")
    assert counter.take_j() == 2.5
    (folder / "energy_uj").write_text("1500000\n")
    assert counter.take_j() == pytest.approx(262143.32885 - 2.0)
    (folder / "energy_uj").unlink()
    with pytest.raises(CounterError):
        counter.take_j()


@pytest.mark.parametrize(
    ("nvml", "why"),
    [
        (None, "nvidia-ml-py is not installed"),
        (FakeNvml(has_driver=False), "Shared Library Not Found"),
        (FakeNvml(counts=False), "GPU 0 is not measured: Not Supported"),
    ],
)
def test_what_is_not_measured_is_said(
    nvml: FakeNvml | None, why: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A machine without counters trains; the log says why its energy is modelled."""
    package(tmp_path, "intel-rapl:0", constraint_0_power_limit_uw="")
    with caplog.at_level("INFO"):
        assert find_counters(nvml=nvml, powercap=tmp_path) == ()
    assert why in caplog.text
    assert "intel-rapl:0 is not measured" in caplog.text
    assert "energy is modelled as declared power x time" in caplog.text


def test_nvidias_own_binding_has_what_is_called() -> None:
    """The fake above has the names of the real one, which fails by its own error here."""
    pynvml = pytest.importorskip("pynvml")
    names = [name for name in dir(FakeNvml) if name.startswith("nvml")]
    assert names
    assert all(callable(getattr(pynvml, name)) for name in names)
    assert issubclass(pynvml.NVMLError_LibraryNotFound, pynvml.NVMLError)
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        assert not any(isinstance(counter, GpuCounter) for counter in find_counters())


def test_old_bindings_return_bytes() -> None:
    """Before version 12 names were bytes."""
    nvml = FakeNvml()
    setattr(nvml, "nvmlDeviceGetName", lambda _: b"Tesla V100")  # noqa: B010 - as a module
    assert GpuCounter(SimpleNamespace(**{n: getattr(nvml, n) for n in dir(nvml)}), 0).name == (
        "GPU 0 Tesla V100 (NVML)"
    )
