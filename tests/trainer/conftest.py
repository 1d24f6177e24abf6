"""Settings of the trainer's tests."""

import sys
from collections.abc import Iterator
from functools import cache

import pytest
import torch

from vm_runtime.fabric import Fabric


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Exactness holds for a fixed number of threads; one is the fastest for tiny models."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def deterministic_as_torch_ships() -> Iterator[None]:
    """Start with torch's own default, whatever a test before left."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(mode=False)
    yield
    torch.use_deterministic_algorithms(before)


@pytest.fixture(scope="session", autouse=True)
def entry_points_read_once() -> Iterator[None]:
    """Fabric looks through all installed packages for callbacks, 25 ms each time it is made."""
    with pytest.MonkeyPatch.context() as patch:
        # Not at the top: `vm_runtime.fabric` knows how to import it quickly.
        fabric_module = sys.modules[Fabric.__module__]
        name = "_load_external_callbacks"
        patch.setattr(fabric_module, name, cache(getattr(fabric_module, name)))
        yield
