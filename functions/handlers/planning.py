"""Plans one job anew from its true progress, stores the plan and publishes it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from forecaster.series import Forecast
from functions.domain.job import work_left_h
from functions.domain.lifecycle.state import JobState
from functions.domain.lifecycle.vm import Vm
from functions.domain.plan.document import Plan, plan_id_of
from functions.domain.plan.prices import PriceTable
from functions.domain.plan.replan import replan
from functions.domain.plan.shared import SharedTables
from functions.errors import InvalidInputError, StaleStateError
from functions.handlers.documents import Documents
from functions.handlers.prices import read_prices
from functions.ports import Ports
from functions.wire import WakeUp, WakeUpKind
from vm_runtime.contract import object_names
from vm_runtime.contract.checkpoint import Latest
from vm_runtime.contract.job import Job
from vm_runtime.contract.lease import Lease
from vm_runtime.contract.progress import Progress, RunState

TRIES = 5
"""Compare-and-swaps of the state against the functions that write it too."""


def plan_job(  # noqa: PLR0913 - what is shared by many is handed in
    ports: Ports,
    forecast: Forecast,
    job_id: str,
    vms: Sequence[Vm],
    *,
    prices: PriceTable | None = None,
    tables: SharedTables | None = None,
) -> Plan:
    """Return the job's plan in force; made under `forecast` and stored if there is none newer.

    Args:
        ports: the world.
        forecast: of this hour.
        job_id: which job.
        vms: those of the job, at least.
        prices: of machines; `None`: read them.
        tables: for plans made in a row, see `replan`.

    Raises:
        PermanentError: the job cannot be planned; the message says what to mend.
        TransientError: no data for its regions now, or a service did not answer.
    """
    documents = Documents(ports.store)
    job = documents.get(Job, object_names.job(job_id))
    state = documents.get(JobState, object_names.state(job_id))
    plan_id = _plan_id(forecast, state, ports.clock.now())
    name = object_names.plan(job_id, plan_id)
    is_new = state.plan_id is None or state.plan_id < plan_id
    fresh = None
    if is_new:
        prices = read_prices(documents) if prices is None else prices
        fresh = _make(ports, forecast, job, state, vms, prices=prices, tables=tables)
    if fresh is not None and documents.create(name, replace(fresh, plan_id=plan_id)):
        plan = replace(fresh, plan_id=plan_id)
    else:  # In force, or stored by a tick that was cut off: it is not changed.
        plan = documents.get(Plan, name)
    message = WakeUp(
        kind=WakeUpKind.PLAN,
        sent_at=ports.clock.now(),
        job_id=job_id,
        seq=_put_in_force(documents, plan),
        plan=plan,
    )
    ports.publisher.publish(message)
    return plan


def _plan_id(forecast: Forecast, state: JobState, now: datetime) -> str:
    """Return the id of the plan to be made: one per forecast, as a tick may be repeated.

    Where the plan of this forecast is void, since the job was resumed meanwhile, the next one
    is named after the minute in which it is made. One that is in force and as new stays.
    """
    usual = plan_id_of(forecast.origin)
    if state.plan_id is not None:
        return max(usual, state.plan_id)
    return plan_id_of(now) if state.seq else usual


def _put_in_force(documents: Documents, plan: Plan) -> int:
    """Name the plan in the state and return its `seq`; the functions write there too."""
    name = object_names.state(plan.job_id)
    for _ in range(TRIES):
        found = documents.find(JobState, name)
        if found is None:
            raise InvalidInputError(f"{name}: expected an object, found none. Submit the job anew.")
        state = found.document
        is_newer = state.plan_id is not None and state.plan_id >= plan.plan_id
        if is_newer or not state.phase.may_run:
            return state.seq
        state = replace(state, plan_id=plan.plan_id, seq=state.seq + 1)
        try:
            documents.write(name, state, if_generation=found.generation)
        except StaleStateError:
            continue
        return state.seq
    raise StaleStateError(f"{name}: changed under {TRIES} writes in a row; tick again")


def _make(  # noqa: PLR0913 - as above
    ports: Ports,
    forecast: Forecast,
    job: Job,
    state: JobState,
    vms: Sequence[Vm],
    *,
    prices: PriceTable,
    tables: SharedTables | None,
) -> Plan:
    documents = Documents(ports.store)
    now = ports.clock.now()
    progress = _true_progress(
        documents.peek(Progress, object_names.progress(job.job_id)),
        documents.peek(Latest, object_names.latest(job.job_id)),
        vms,
    )
    lease = documents.peek(Lease, object_names.lease(job.job_id))
    running = _running(job, lease, vms, now)
    return replan(
        job,
        forecast,
        now=now,
        work_left_h=work_left_h(job, progress),
        running_in=running.compute_zone if running else None,
        running_since=_since(running, state) if running else None,
        blocked=tuple(block.place for block in state.blocked if now < block.until),
        prices=prices,
        tables=tables,
    )


def _true_progress(
    progress: Progress | None, latest: Latest | None, vms: Sequence[Vm]
) -> Progress | None:
    """Return the report as far as it is true: only what is committed outlives the reporter."""
    if progress is None:
        return None
    step = latest.step if latest is not None else 0
    if progress.state is RunState.FINISHED and not (latest is not None and latest.finished):
        progress = replace(progress, state=RunState.STOPPED, steps_done=step)
    if not any(vm.name == progress.vm and vm.is_alive for vm in vms):
        progress = replace(progress, steps_done=min(progress.steps_done, step))
    return progress


def _running(job: Job, lease: Lease | None, vms: Sequence[Vm], now: datetime) -> Vm | None:
    """Return the VM that can go on at no cost: the lease's holder, else the newest that is up."""
    mine = [vm for vm in vms if vm.job_id == job.job_id]
    alive = [vm for vm in mine if vm.is_alive and vm.interval_end > now]
    alive.sort(key=lambda vm: vm.incarnation)
    holder = [
        vm
        for vm in alive
        if lease is not None and not lease.released and vm.incarnation == lease.incarnation
    ]
    newest = (holder or alive)[-1:]
    return newest[0] if newest else None


def _since(vm: Vm, state: JobState) -> datetime:
    """Return when its interval began: a VM that was booted ahead waits for it."""
    target = state.target
    if target is None or target.incarnation != vm.incarnation:
        return vm.created_at
    return max(vm.created_at, target.interval_start)
