"""The adapter for Compute Engine in front of our server, and the server's faults."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from compute_faults import Trouble
from compute_model import ComputeModel
from compute_rules import PROJECT, TEMPLATE
from compute_server import serving
from google.auth.credentials import AnonymousCredentials
from manual_clock import ManualClock

from functions.adapters.compute_calls import Patience
from functions.adapters.compute_disks import ComputeEngineDisks
from functions.adapters.compute_engine import ComputeEngineFleet

# Tests that answer 503 for ever wait this long in all.
HASTE = Patience(attempt_s=5.0, total_s=1.5, pause_s=0.01)


class ComputeEngine:
    """The adapter, our server, and its faults."""

    def __init__(self, model: ComputeModel, url: str) -> None:
        """Connect."""
        self.model, self.url = model, url
        self.fleet = fleet_at(url)
        self.disks = disks_at(url)

    def wait_until(self, look: Callable[[], bool]) -> None:
        """Move the clock until `look` holds."""
        for _ in range(100):
            if look():
                return
            self.model.clock.move(10)
        raise AssertionError("expected it within 1,000 simulated seconds")

    def run_out_of_stock(self, compute_zone: str) -> None:
        """Leave a compute zone without capacity."""
        self.model.faults.stock_outs.add(compute_zone)

    def use_up_quota(self, region: str) -> None:
        """Leave a region without quota."""
        self.model.faults.quota.add(region)

    def slow_down(self) -> None:
        """Make operations take hours."""
        self.model.faults.slow_operations_s = 7200

    def meet(self, verb: str, status: int, reason: str = "", **more: object) -> None:
        """Let the next call of a method meet trouble."""
        self.model.faults.troubles.append(Trouble(verb, status, reason, **more))  # type: ignore[arg-type]


def fleet_at(url: str, **arguments: object) -> ComputeEngineFleet:
    """Return the adapter, pointed at a server."""
    wanted: dict[str, object] = {
        "project": PROJECT,
        "instance_templates": {"default": TEMPLATE},
        "patience": HASTE,
        **arguments,
    }
    credentials = AnonymousCredentials()
    return ComputeEngineFleet(endpoint=url, credentials=credentials, **wanted)  # type: ignore[arg-type]


def disks_at(url: str, deployment: str = "") -> ComputeEngineDisks:
    """Return the adapter for disks, pointed at a server."""
    return ComputeEngineDisks(
        project=PROJECT,
        deployment=deployment,
        endpoint=url,
        credentials=AnonymousCredentials(),
        patience=HASTE,
    )


@contextmanager
def connected() -> Iterator[ComputeEngine]:
    """A server and the adapter in front of it."""
    with serving(model := ComputeModel(ManualClock())) as url:
        cloud = ComputeEngine(model, url)
        yield cloud
        cloud.fleet.close()
        cloud.disks.close()
