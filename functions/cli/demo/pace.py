"""How fast the demo's clock runs, and how patient its control plane is. Pure."""

from dataclasses import dataclass

from functions.domain.lifecycle.timing import Timing
from functions.local.vm_states import Delays

SPEED = 600.0
"""An hour in 6 real seconds: faster, and a VM's boot would fill its interval."""
LONGEST_WORK_H = 6.0
"""On a slow machine the clock runs slower instead of the job longer."""
MARGIN = 1.1
"""Work is declared with some room, as a person would who has measured it once."""

# Real seconds: what processes on a laptop need, however fast the clock runs.
_BOOT_S = 1.5
_START_S = 1.2
_LEASE_S = 4.0
_GRACE_S = 15.0
_FORCE_S = 8.0
_SILENCE_S = 25.0
_BLOCK_S = 10.0
_OPERATION_S = 15.0
_DISK_MOVE_S = 60.0
_RETRY_S = 0.5
_HEARTBEAT_S = 1.0
_DEVICE_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Settings of the embedded cloud for one speed."""

    speed: float
    """Simulated seconds per real second."""
    timing: Timing
    delays: Delays
    heartbeat_s: int
    """Simulated seconds."""
    work_h: float
    """The job's work on the clock, hours."""
    start_overhead_s: float
    """What a start costs the job, simulated seconds."""


def pace_of(train_s: float, *, start_s: float = 0.0) -> Pace:
    """Return the pace for a job that trains for `train_s` real seconds.

    The waits of the control plane are those of a real deployment, but never less than what
    real processes need; so at this speed a VM's boot looks long.

    Args:
        train_s: real seconds.
        start_s: real seconds in which this machine loads an interpreter for one more VM. No
            hour is shorter: on a busy machine VMs would be gone before they have booted.
    """
    speed = min(SPEED, LONGEST_WORK_H * 3600 / (MARGIN * train_s))
    speed = min(speed, 3600 / start_s) if start_s else speed
    usual = Timing()

    def at_least(usual_s: float, real_s: float) -> float:
        return round(max(usual_s, real_s * speed), 1)

    return Pace(
        speed=speed,
        timing=Timing(
            boot_lead_s=at_least(usual.boot_lead_s, _BOOT_S),
            lease_ttl_s=at_least(usual.lease_ttl_s, _LEASE_S),
            shutdown_grace_s=at_least(usual.shutdown_grace_s, _GRACE_S),
            force_stop_after_s=at_least(usual.force_stop_after_s, _FORCE_S),
            silence_s=at_least(usual.silence_s, _SILENCE_S),
            block_s=at_least(usual.block_s, _BLOCK_S),
            operation_timeout_s=at_least(usual.operation_timeout_s, _OPERATION_S),
            disk_move_timeout_s=at_least(usual.disk_move_timeout_s, _DISK_MOVE_S),
            retry_after_s=at_least(usual.retry_after_s, _RETRY_S),
        ),
        delays=Delays(
            provisioning_s=_DEVICE_S * speed,
            staging_s=_DEVICE_S * speed,
            stopping_s=_DEVICE_S * speed,
        ),
        heartbeat_s=max(300, round(_HEARTBEAT_S * speed / 60) * 60),
        work_h=round(MARGIN * train_s * speed / 3600, 2),
        start_overhead_s=at_least(180.0, _START_S),
    )
