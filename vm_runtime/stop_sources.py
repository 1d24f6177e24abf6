"""What the metadata server says that ends a training: new ends, preemption, maintenance."""

import logging
from collections.abc import Callable

from vm_runtime.contract.clock import Clock
from vm_runtime.contract.instance import Attribute
from vm_runtime.metadata import MetadataServer, parse_time
from vm_runtime.session import StopReason
from vm_runtime.stop import StopFlag

_log = logging.getLogger(__name__)

_STOP_NOW = "now"
_ENDS_THE_VM = "TERMINATE_ON_HOST_MAINTENANCE"
_NOTHING = "NONE"


def watch_stop_sources(server: MetadataServer, stop: StopFlag, clock: Clock) -> None:
    """Let the server's changes raise the flag, or move the interval's end, from now on."""
    server.watch(f"instance/attributes/{Attribute.INTERVAL_END}", on_interval_end(stop, clock))
    server.watch("instance/preempted", on_preempted(stop))
    server.watch("instance/maintenance-event", on_maintenance(stop))


def on_interval_end(stop: StopFlag, clock: Clock) -> Callable[[str], None]:
    """Return what to do with a value of the attribute: a time, or `now` for a stop request."""

    def on_value(value: str) -> None:
        if value == _STOP_NOW:
            _log.info("asked to stop now", extra={"event": "stop_requested"})
            stop.raise_flag(StopReason.REQUESTED)
        end = clock.now() if value == _STOP_NOW else parse_time(value)
        if end != stop.interval_end:
            _log.info(
                "the interval now ends at %s", end.isoformat(), extra={"event": "interval_moved"}
            )
        stop.move_interval_end(end)

    return on_value


def on_preempted(stop: StopFlag) -> Callable[[str], None]:
    """Return what to do with a value of `instance/preempted`."""

    def on_value(value: str) -> None:
        if value.upper() == "TRUE":
            _log.warning(
                "preempted: Compute Engine takes this VM back", extra={"event": "preempted"}
            )
            stop.raise_flag(StopReason.PREEMPTED)

    return on_value


def on_maintenance(stop: StopFlag) -> Callable[[str], None]:
    """Return what to do with a value of `instance/maintenance-event`."""

    def on_value(value: str) -> None:
        if value.upper() == _ENDS_THE_VM:
            _log.warning(
                "maintenance of the host: Compute Engine ends this VM",
                extra={"event": "maintenance"},
            )
            stop.raise_flag(StopReason.MAINTENANCE)
        elif value.upper() != _NOTHING:
            _log.info(
                "maintenance of the host (%s): this VM is moved and goes on",
                value,
                extra={"event": "maintenance"},
            )

    return on_value
