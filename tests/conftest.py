"""Settings that all tests share."""

import os
import sys

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("dev", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci" if os.environ.get("CI") else "dev")

GUIDES = "docs/test_every_block.py"
SLOWEST = (
    "e2e/test_embedded_cloud.py",
    GUIDES,
    "soak/test_soak.py",
    "cli/test_local_runs.py",
    "integration/test_google_cloud.py",
    "trainer/test_interrupted.py",
    "vm_runtime/test_startup.py",
    "handlers/test_control_plane.py",
)
"""Begun first, so that no worker is left alone with one of them at the end."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the slowest files first, the slowest guides among them."""
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    name = item.path.as_posix()
    return next((at for at, slow in enumerate(SLOWEST) if name.endswith(slow)), len(SLOWEST))


class _FilesAndGuides(LoadFileScheduling):
    """A worker takes a whole file, whose tests share what is costly to set up; or one guide."""

    def _split_scope(self, nodeid: str) -> str:
        """Return what a worker takes at once."""
        file = nodeid.partition("::")[0]
        return nodeid if file.endswith(GUIDES) else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadFileScheduling:
    """Share the tests among the workers."""
    return _FilesAndGuides(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return one worker more than there are processors: some tests mostly wait."""
    mine = os.sched_getaffinity(0) if sys.platform == "linux" else range(os.cpu_count() or 1)
    return len(mine) + 1
