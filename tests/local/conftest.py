"""Fixtures of the embedded cloud; each ends what it has made."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from local_world import PROGRAMS, START, Machines

from functions.domain.lifecycle.timing import Timing
from functions.local.cloud import EmbeddedCloud


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    """Compute services, ended after the test."""
    machines = Machines(tmp_path)
    yield machines
    machines.close()


@pytest.fixture
def make_cloud(tmp_path: Path) -> Iterator[Callable[..., EmbeddedCloud]]:
    """Embedded clouds with stub functions and fake guests, ended after the test."""
    made: list[EmbeddedCloud] = []

    def make(**options: Any) -> EmbeddedCloud:  # noqa: ANN401 - of the cloud
        defaults: dict[str, Any] = {
            "speed": 600.0,
            "start_at": START,
            "timing": Timing(),
            "source": PROGRAMS / "stub_functions.py",
            "vm_command": (str(PROGRAMS / "fake_vm.py"),),
            "standbys": 0,
            "preload_functions": ("functions_framework",),
            "heartbeat_s": 86_400,
            "forecast_every_s": 86_400,
        }
        cloud = EmbeddedCloud(tmp_path / "cloud", **(defaults | options))
        made.append(cloud)
        return cloud

    yield make
    for cloud in made:
        cloud.stop()
