"""One job at noon, as `decide` sees it: VMs, plans and reservations for tests of its rules."""

from dataclasses import replace
from datetime import datetime, timedelta

from simulated_clock import START

from functions.domain.lifecycle.actions import Action, Owner
from functions.domain.lifecycle.decide import decide
from functions.domain.lifecycle.observation import Observation
from functions.domain.lifecycle.state import JobState, Purpose, Target
from functions.domain.lifecycle.timing import Timing
from functions.domain.lifecycle.vm import Vm, VmStatus
from functions.domain.plan.document import Plan, PlannedInterval
from functions.domain.regions import grid_zone_of
from vm_runtime.contract.checkpoint import Latest
from vm_runtime.contract.job import Job
from vm_runtime.contract.lease import Lease
from vm_runtime.contract.progress import Progress, RunState

DE, FR, FI = "europe-west3-b", "europe-west9-b", "europe-north1-b"
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
NOON = START + 12 * HOUR

JOB = Job(
    job_id="digits",
    machine_type="e2-standard-8",
    power_w=250,
    allowed_regions=("europe-west3", "europe-west9", "europe-north1"),
    submitted_at=START,
    work_h=4,
    deadline=START + 30 * HOUR,
)


LEASE = Lease(
    job_id="digits",
    holder="ss-digits-1/x",
    incarnation=1,
    acquired_at=NOON,
    expires_at=NOON + 2 * HOUR,
)


def interval(start: datetime, end: datetime, zone: str, *fallbacks: str) -> PlannedInterval:
    """Return a planned interval."""
    return PlannedInterval(
        start=start,
        end=end,
        grid_zone=grid_zone_of(zone),
        compute_zone=zone,
        fallbacks=fallbacks,
        work_h=1,
        expected_gco2eq=1,
    )


def plan(*intervals: PlannedInterval) -> Plan:
    """Return a plan of these intervals."""
    return Plan(
        plan_id="2024-03-05T1200Z",
        job_id="digits",
        created_at=NOON,
        forecast_origin=NOON,
        work_left_h=2,
        deadline=JOB.deadline,
        intervals=intervals,
        expected_gco2eq=1,
        meets_deadline=True,
        reason="",
        alternatives=(),
        forecast_source="test",
    )


def vm(incarnation: int = 1, zone: str = DE, **changes: object) -> Vm:
    """Return a VM that runs until two."""
    plain = Vm(
        name=f"ss-digits-{incarnation}",
        compute_zone=zone,
        status=VmStatus.RUNNING,
        job_id="digits",
        incarnation=incarnation,
        created_at=NOON - 5 * MINUTE,
        interval_end=NOON + 2 * HOUR,
        run_until=NOON + 30 * HOUR,
    )
    return replace(plain, **changes)


def target(incarnation: int = 1, zone: str = DE, **changes: object) -> Target:
    """Return a reserved VM for noon to two."""
    plain = Target(
        incarnation=incarnation,
        vm=f"ss-digits-{incarnation}",
        compute_zone=zone,
        purpose=Purpose.START,
        interval_start=NOON,
        interval_end=NOON + 2 * HOUR,
        reserved_at=NOON - 5 * MINUTE,
    )
    return replace(plain, **changes)


def seen(*vms: Vm, **changes: object) -> Observation:
    """Return an observation at noon: two hours in DE are planned, then one in FR."""
    plain = Observation(
        now=NOON,
        timing=Timing(),
        job=JOB,
        state=JobState(job_id="digits", incarnation=max((v.incarnation for v in vms), default=0)),
        plan=plan(
            interval(NOON, NOON + 2 * HOUR, DE, FI),
            interval(NOON + 2 * HOUR, NOON + 3 * HOUR, FR, FI),
        ),
        vms=vms,
        lease=None,
        progress=None,
        latest=None,
        operation=None,
    )
    return replace(plain, **changes)


def latest(step: int, *, finished: bool = False) -> Latest:
    """Return a pointer to a checkpoint."""
    return Latest(checkpoint_id=None, step=step, incarnation=1, updated_at=NOON, finished=finished)


def progress(state: RunState, **changes: object) -> Progress:
    """Return a report of the first VM."""
    plain = Progress(
        job_id="digits", vm="ss-digits-1", incarnation=1, state=state, heartbeat_at=NOON
    )
    return replace(plain, **changes)


def decided(observation: Observation, kind: type[Action], owner: Owner) -> Action:
    """Decide, and check kind and owner."""
    action = decide(observation)
    assert isinstance(action, kind)
    assert action.owner is owner
    return action
