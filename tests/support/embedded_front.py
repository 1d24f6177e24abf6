"""The API of an embedded cloud without the functions behind it: for what calls it from outside."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local_world import Machines, make_world

from functions.local.bus import Bus, Retry
from functions.local.bus_journal import BusJournal
from functions.local.front import front
from functions.local.scheduler import Scheduler
from functions.local.serving import HttpServer
from vm_runtime.contract.clock import CLOCK_VARIABLE

NOWHERE = "http://127.0.0.1:9"


@contextmanager
def embedded_front(folder: Path) -> Iterator[dict[str, str]]:
    """Serve bus, compute service and scheduler in `folder`; gives a function's environment."""
    world = make_world(folder, speed=1.0)
    machines = Machines(folder)
    bus = Bus(
        journal=BusJournal(folder / "bus.jsonl"),
        functions_url=NOWHERE,
        world=world,
        retry=Retry(),
    )
    scheduler = Scheduler(
        world=world,
        publish=bus.publish,
        functions_url=NOWHERE,
        forecast_every_s=3600,
        heartbeat_s=300,
    )
    compute = machines.make(world)
    server = HttpServer(
        front(bus=bus, compute=compute, scheduler=scheduler, key=world.key), name="front"
    )
    server.start()
    try:
        yield {
            "SMARTSCHEDULER_CLOUD": server.url,
            "SMARTSCHEDULER_BUCKET": (folder / "bucket").as_uri(),
            "SMARTSCHEDULER_LOCAL_KEY": world.key.get_secret_value(),
            CLOCK_VARIABLE: world.clock.to_json(),
        }
    finally:
        server.stop()
        machines.close()
