"""Deployments whose processes end with their test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from vm_process import Deployment


@pytest.fixture
def deploy(tmp_path: Path) -> Iterator[Callable[..., Deployment]]:
    """A function that makes the test's deployment."""
    made: list[Deployment] = []

    def make(**options: object) -> Deployment:
        made.append(Deployment(tmp_path, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for deployment in made:
        deployment.close()
