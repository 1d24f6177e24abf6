"""How often to take a checkpoint: pure arithmetic on what checkpoints were measured to cost."""

import math
from dataclasses import dataclass
from typing import Final

HIGHEST_OVERHEAD: Final = 0.01
"""Share of the training's time that checkpoints may take."""

FIRST_S: Final = 60.0
"""Before anything was measured, the first checkpoint comes after so many seconds: it measures."""

SHORTEST_S: Final = 60.0
"""Not more often, however cheap: each checkpoint is billed as some ten operations on the bucket,
and losing a minute costs less than the machine spends on anything else."""

MEAN_TIME_BETWEEN_FAILURES_S: Final = 24 * 3600.0
"""Mean time until a VM goes without notice, seconds. An assumption on the careful side:
Google took 5 to 15 % of preemptible VMs back on a day (documentation of preemptible VMs,
2023), most of them with a notice, in which the last steps are saved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointCost:
    """What the last checkpoint cost, real seconds."""

    pause_s: float
    """How long training stood still for it."""
    background_cpu_s: float
    """What the background took from the machine's cores, seconds of all cores together."""
    write_s: float
    """From the snapshot until LATEST had moved."""
    size_bytes: int
    """What was written."""

    @property
    def training_s(self) -> float:
        """What it took from training, seconds: standing still, or with fewer cores."""
        return self.pause_s + self.background_cpu_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Cadence:
    """When the next checkpoint is due; all seconds are of one and the same clock."""

    every_s: float
    """Time between two checkpoints."""
    shortest_s: float
    """An epoch's end takes one too, unless the last is younger than this."""
    warning: str = ""
    """What a person should know if not all promises can be kept."""


def first_cadence(longest_s: float | None) -> Cadence:
    """Return the cadence before anything was measured."""
    every_s = math.inf if longest_s is None else min(longest_s, FIRST_S)
    return Cadence(every_s=every_s, shortest_s=0.0)


def cadence(cost: CheckpointCost, *, longest_s: float | None, clock_speed: float = 1.0) -> Cadence:
    """Return the cadence that loses least, within two bounds.

    Young's formula sqrt(2 x cost x mean time between failures) balances what checkpoints
    cost against what a crash loses (J. W. Young, CACM 17(9), 1974; J. T. Daly, FGCS 22(3),
    2006). The overhead stays below `HIGHEST_OVERHEAD`, a crash loses at most `longest_s` and
    the step under way. Where both cannot be had, the second holds, with a warning.

    Args:
        cost: what the last checkpoint cost, real seconds.
        longest_s: what a crash may lose, seconds on the clock; `None`: epoch ends only.
        clock_speed: seconds on the clock in a real second.
    """
    cost_s, write_s = cost.training_s * clock_speed, cost.write_s * clock_speed
    cheap_s = cost_s / HIGHEST_OVERHEAD
    shortest_s = max(cheap_s, write_s)
    if longest_s is None:
        return Cadence(every_s=math.inf, shortest_s=shortest_s)
    young_s = math.sqrt(2 * cost_s * MEAN_TIME_BETWEEN_FAILURES_S)
    # What is not written yet when the machine goes is lost too.
    latest_s = longest_s - write_s
    every_s = max(min(max(young_s, cheap_s, SHORTEST_S), latest_s), write_s)
    return Cadence(
        every_s=every_s,
        shortest_s=min(shortest_s, every_s),
        warning=_warning(cost_s, every_s, write_s, longest_s),
    )


def notice_warning(cost: CheckpointCost, *, notice_s: float) -> str:
    """Return what to say if the last checkpoint of a VM will not fit into its notice."""
    if cost.write_s <= notice_s:
        return ""
    size_mb = cost.size_bytes / 1e6
    return (
        f"expected a checkpoint to be safe within the {notice_s:.0f} s that this VM stays up"
        f" after a notice, found {cost.write_s:.1f} s for {size_mb:.0f} MB: a preemption will"
        " lose the steps since the checkpoint before. Use a machine with more network or a"
        " bucket in its region, keep less state, or a VM that is not Spot."
    )


def _warning(cost_s: float, every_s: float, write_s: float, longest_s: float) -> str:
    share = cost_s / every_s if every_s else 0.0
    if every_s + write_s > longest_s * (1 + 1e-9):
        return (
            f"expected a crash to lose at most {longest_s:.0f} s (checkpoint_every_s), found that"
            f" writing a checkpoint takes {write_s:.0f} s: it may lose {every_s + write_s:.0f} s."
            " Keep less state, or use a bucket that is nearer."
        )
    if share > HIGHEST_OVERHEAD:
        return (
            f"expected checkpoints to take less than {HIGHEST_OVERHEAD:.0%} of the time, found"
            f" {share:.1%}: one costs {cost_s:.1f} s, and checkpoint_every_s wants one every"
            f" {every_s:.0f} s. Set it higher, or None for epoch ends only."
        )
    return ""
