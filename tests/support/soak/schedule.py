"""From a seed to a schedule: jobs, patience, and what goes wrong when."""

import math
import random
from dataclasses import dataclass
from datetime import timedelta

from functions.domain.lifecycle.timing import Timing
from soak.faults import Fault, How, Kind
from soak.kernel import START
from vm_runtime.contract.job import Job, KeepDisk

REGIONS = ("europe-west3", "europe-west9", "europe-north1", "europe-southwest1")
GRID_ZONES = ("DE", "FR", "FI", "ES")
FUNCTIONS = ("forecast", "stop_vm", "move_vm", "start_vm")
CALLS = {
    "forecast": ("bucket.write", "bucket.read", "bucket.list", "fleet.list", "publish", "alarm"),
    "stop_vm": (
        *("fleet.list", "fleet.stop", "fleet.delete", "fleet.set_interval_end"),
        *("fleet.disks", "fleet.delete_disk", "fleet.delete_snapshot"),
        *("bucket.write", "bucket.read", "publish"),
    ),
    "move_vm": (
        *("fleet.list", "fleet.insert", "fleet.delete", "fleet.set_interval_end"),
        *("fleet.take_snapshot", "fleet.copy_disk", "fleet.snapshots"),
        *("fleet.operation", "bucket.write", "bucket.read", "publish"),
    ),
    "start_vm": (
        *("fleet.list", "fleet.insert", "fleet.operation", "fleet.set_interval_end"),
        *("fleet.attach", "fleet.disks"),
        *("bucket.write", "bucket.read", "publish"),
    ),
    "vm": (
        *("bucket.write lease", "bucket.write LATEST", "bucket.write manifest", "bucket.upload"),
        *("bucket.write progress", "bucket.write ledger", "bucket.delete", "bucket.read"),
        *("bucket.list", "bucket.download", "bucket."),
    ),
}
"""Where each party can be hit: what it calls."""

DEATHS = (How.DIES_BEFORE, How.DIES_AFTER)
STANDSTILLS = (How.STANDS_BEFORE, How.STANDS_AFTER)
NO_ANSWERS = (How.NOT_DONE, How.DONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A job, when it comes, and how fast its steps are."""

    job: Job
    at_s: float
    step_s: float

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole training."""
        return max(1, round((self.job.work_h or 0) * 3600 / self.step_s))


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """All that a seed means."""

    seed: int
    submissions: tuple[Submission, ...]
    timing: Timing
    faults: tuple[Fault, ...]

    @property
    def quiet_s(self) -> float:
        """From when on nothing goes wrong any more."""
        return max((fault.ends_s for fault in self.faults), default=0.0)


def draw(seed: int) -> Schedule:
    """Return the schedule of `seed`; most are short, some are long."""
    dice = random.Random(seed)
    is_long = dice.random() < 0.02
    submissions = tuple(
        _submission(dice, f"job-{letter}", is_long=is_long)
        for letter in "ab"[: 2 if dice.random() < 0.2 else 1]
    )
    span_s = 3600 * (dice.uniform(6, 24) if is_long else dice.uniform(0.3, 1.2))
    number = dice.choice((1, 2, 3, 4, 5, 6, 8, 12, 18)) * (2 if is_long else 1)
    drawn = [fault for _ in range(number) for fault in _faults(dice, span_s)]
    faults = sorted(drawn, key=lambda each: each.at_s)
    timing = Timing(lease_ttl_s=dice.choice((120.0, 240.0)))
    return Schedule(seed=seed, submissions=submissions, timing=timing, faults=tuple(faults))


def _submission(dice: random.Random, job_id: str, *, is_long: bool) -> Submission:
    # Near the full hour, at which the grid changes, and with it often the place.
    spans_s = ((0, 0), (0, 3600), (1500, 3000), (1500, 3000), (3000, 3600))
    at_s = dice.uniform(*dice.choice(spans_s))
    work_h = dice.uniform(2.0, 5.0) if is_long else dice.uniform(0.3, 0.8)
    slack_h = dice.uniform(3, 20) if is_long else dice.uniform(0.15, dice.choice((0.3, 0.9)))
    job = Job(
        job_id=job_id,
        machine_type="e2-standard-8",
        power_w=250,
        allowed_regions=tuple(dice.sample(REGIONS, dice.choice((1, 2, 3, 3, 4)))),
        submitted_at=START + timedelta(seconds=at_s),
        work_h=work_h,
        deadline=START + timedelta(seconds=at_s, hours=work_h + slack_h),
        slot_minutes=60 if is_long else 15,
        keep_disk=KeepDisk(size_gb=10, move_s=120.0) if dice.random() < 0.2 else None,
    )
    return Submission(job=job, at_s=at_s, step_s=dice.choice((30.0, 60.0, 90.0)))


def _faults(dice: random.Random, span_s: float) -> tuple[Fault, ...]:
    at_s = dice.uniform(0, span_s)
    if dice.random() < 0.14:
        return dice.choice(_TOGETHER)(dice, at_s)
    draws = (
        (30, _call),
        (8, _messages),
        (34, _vm_trouble),
        (12, _no_vm),
        (10, _away),
        (8, _people),
    )
    (make,) = dice.choices([make for _, make in draws], [weight for weight, _ in draws])
    return (make(dice, at_s),)


def _lost_and_deleted(dice: random.Random, at_s: float) -> tuple[Fault, ...]:
    """Nobody hears that a VM was made, and then a person deletes it."""
    how = dice.choice((How.DIES_AFTER, How.DONE))
    call = Fault(kind=Kind.CALL, at_s=at_s, call="fleet.insert", how=how)
    return (call, Fault(kind=Kind.VM_DELETED, at_s=at_s + dice.uniform(1, 900)))


def _hung_and_alone(dice: random.Random, at_s: float) -> tuple[Fault, ...]:
    """A VM hangs, and soon nobody is there to stop it."""
    number, for_s = dice.uniform(1, 600), dice.uniform(1.5, 3.0) * 3600
    return (Fault(kind=Kind.HUNG_AND_ALONE, at_s=at_s, for_s=for_s, number=number),)


def _hidden_and_still(dice: random.Random, at_s: float) -> tuple[Fault, ...]:
    """A VM that nobody sees stands still right before it moves LATEST, and then goes on.

    Its successor takes the lease meanwhile: only the generation of LATEST is left to stop it.
    """
    still = Fault(
        kind=Kind.FREEZE_AT_CALL,
        at_s=at_s,
        call="bucket.write LATEST",
        how=dice.choice((How.STANDS_BEFORE, How.STANDS_BEFORE, How.STANDS_AFTER)),
        number=dice.uniform(400, 1800),
    )
    return (still, Fault(kind=Kind.LABEL_REMOVED, at_s=at_s + 1))


def _overtaken(dice: random.Random, at_s: float) -> tuple[Fault, ...]:
    """Before the full hour a new plan is wanted; who makes it stands still until after it."""
    at_s = max(0.0, 3600.0 * math.ceil(at_s / 3600) - dice.uniform(90, 300))
    number = dice.uniform(100, 520)
    how = dice.choice(STANDSTILLS)
    call = Fault(
        kind=Kind.CALL,
        at_s=at_s,
        party="forecast",
        call="bucket.write plans",
        how=how,
        number=number,
    )
    return (call, Fault(kind=Kind.PAUSED, at_s=at_s, for_s=dice.uniform(5, 40)))


def _slow_move(dice: random.Random, at_s: float) -> tuple[Fault, ...]:
    """At the full hour, when a job moves, its source is down long before its target runs."""
    at_s = max(0.0, 3600.0 * math.ceil(at_s / 3600) - dice.uniform(200, 400))
    number = dice.choice((400.0, 700.0))
    return (Fault(kind=Kind.SLOW_OPERATIONS, at_s=at_s, for_s=600.0, number=number),)


def _late_plans(dice: random.Random, at_s: float) -> tuple[Fault, ...]:
    """What a tick says comes again and again, most of it after the next tick."""
    at_s = max(0.0, 3600.0 * math.floor(at_s / 3600) - 10.0)
    late = Fault(kind=Kind.MESSAGES, at_s=at_s, for_s=400.0, chance=0.0, number=7200.0)
    return (late,) * dice.randint(2, 5)


_TOGETHER = (
    *(_lost_and_deleted, _overtaken, _late_plans, _slow_move, _slow_move),
    *(_hung_and_alone, _hung_and_alone),
    *(_hidden_and_still, _hidden_and_still),
)
"""Faults that alone are harmless, so that chance alone would rarely tell."""


def _call(dice: random.Random, at_s: float) -> Fault:
    """One call of one party, or all of them for a while."""
    party = dice.choice((*FUNCTIONS, "vm", "vm"))
    call = dice.choice(CALLS[party])
    how = dice.choice((*DEATHS, *STANDSTILLS, *NO_ANSWERS))
    if how in NO_ANSWERS and dice.random() < 0.5:
        for_s = dice.choice((120.0, 600.0, 1800.0))
        chance = dice.choice((0.3, 1.0))
        return Fault(
            kind=Kind.CALL, at_s=at_s, for_s=for_s, party=party, call=call, how=how, chance=chance
        )
    if party != "vm" and dice.random() < 0.05:
        how = How.DENIED
    longest_s = {"vm": 1500.0, "forecast": 530.0}.get(party, 290.0)
    number = dice.uniform(5, longest_s) if how in STANDSTILLS else 0.0
    return Fault(kind=Kind.CALL, at_s=at_s, party=party, call=call, how=how, number=number)


def _messages(dice: random.Random, at_s: float) -> Fault:
    return Fault(
        kind=Kind.MESSAGES,
        at_s=at_s,
        for_s=dice.uniform(300, 5400),
        chance=dice.choice((0.0, 0.3, 0.9)),
        number=dice.choice((0.0, 30.0, 600.0, 7200.0)),
    )


def _vm_trouble(dice: random.Random, at_s: float) -> Fault:
    kind = dice.choice(
        (
            *(Kind.PREEMPT, Kind.PREEMPT, Kind.HOST_ERROR, Kind.SCRIPT_HANG),
            *(Kind.KERNEL_HANG, Kind.KERNEL_HANG),
            *(Kind.VM_FREEZE, Kind.CLOCK_STEP, Kind.SCRIPT_FAILS, Kind.BAD_BOOT),
            *(Kind.FREEZE_AT_END, Kind.FREEZE_AT_END, Kind.FREEZE_AT_END, Kind.CUT_OFF),
        )
    )
    if kind is Kind.FREEZE_AT_END:
        call = dice.choice(("bucket.write LATEST", "bucket.write LATEST", *CALLS["vm"]))
        how, number = dice.choice(STANDSTILLS), dice.uniform(100, 880)
        return Fault(kind=kind, at_s=at_s, call=call, how=how, number=number)
    if kind is Kind.CUT_OFF:
        return Fault(kind=kind, at_s=at_s, for_s=dice.uniform(60, 2400))
    if kind is Kind.BAD_BOOT:
        return Fault(kind=kind, at_s=at_s, for_s=dice.uniform(60, 1200))
    if kind is Kind.VM_FREEZE:
        return Fault(kind=kind, at_s=at_s, for_s=dice.choice((20.0, 100.0, 200.0, 400.0, 2400.0)))
    number = dice.uniform(-30, 30) if kind is Kind.CLOCK_STEP else 0.0
    return Fault(kind=kind, at_s=at_s, number=number)


def _no_vm(dice: random.Random, at_s: float) -> Fault:
    kind = dice.choice(
        (Kind.STOCK_OUT, Kind.STOCK_OUT, Kind.QUOTA, Kind.REFUSED, Kind.SLOW_OPERATIONS)
    )
    place = dice.choice(("", *REGIONS)) if kind in {Kind.STOCK_OUT, Kind.QUOTA} else ""
    number = dice.choice((60.0, 400.0, 1300.0)) if kind is Kind.SLOW_OPERATIONS else 0.0
    longest_s = 1200.0 if kind is Kind.REFUSED else 5400.0
    for_s = dice.uniform(300, longest_s)
    return Fault(kind=kind, at_s=at_s, for_s=for_s, place=place, number=number)


def _away(dice: random.Random, at_s: float) -> Fault:
    kind = dice.choice(
        (Kind.FUNCTIONS_DOWN, Kind.HEARTBEAT_DOWN, Kind.SOURCE_DOWN, Kind.CALL, Kind.CALL)
    )
    if kind is Kind.CALL:  # Compute Engine or the bucket as a whole, for whoever asks
        call = dice.choice(("fleet.", "bucket.", "publish"))
        party = dice.choice((*FUNCTIONS, "vm")) if call == "bucket." else ""
        return Fault(
            kind=kind,
            at_s=at_s,
            for_s=dice.uniform(60, 3600),
            party=party,
            call=call,
            how=dice.choice(NO_ANSWERS),
            chance=dice.choice((0.2, 1.0)),
        )
    longest_s = 24 * 3600 if kind is Kind.SOURCE_DOWN else 5400
    return Fault(kind=kind, at_s=at_s, for_s=dice.uniform(600, longest_s))


def _people(dice: random.Random, at_s: float) -> Fault:
    kind = dice.choice(
        (
            *(Kind.VM_DELETED, Kind.VM_DELETED, Kind.LABEL_REMOVED, Kind.NAME_TAKEN),
            *(Kind.TEMPLATE_DELETED, Kind.SUBMITTED_TWICE, Kind.TICK_AGAIN, Kind.TICK_AGAIN),
            *(Kind.PAUSED, Kind.PAUSED, Kind.CANCELLED, Kind.RETRIED, Kind.RETRIED),
            *(Kind.DISK_DELETED, Kind.SNAPSHOT_DELETED),
        )
    )
    if kind is Kind.TICK_AGAIN and dice.random() < 0.7:  # just before the regular one
        at_s = max(0.0, 3600.0 * math.ceil(at_s / 3600) - dice.uniform(1, 400))
    lasts = {Kind.TEMPLATE_DELETED, Kind.PAUSED, Kind.RETRIED}
    for_s = dice.uniform(30, 3600) if kind in lasts else 0.0
    return Fault(kind=kind, at_s=at_s, for_s=for_s)
