"""The use case behind stop_vm, move_vm and start_vm: observe, decide, one step of one's own."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from functions.domain.lifecycle.actions import MakePlan, Owner
from functions.domain.lifecycle.decide import decide
from functions.domain.lifecycle.timing import Timing
from functions.domain.lifecycle.vm import Vm
from functions.errors import PermanentError, SchedulerError, StaleStateError, TransientError
from functions.handlers.disk_stock import DiskStock
from functions.handlers.documents import Documents
from functions.handlers.observe import AtRest, observe
from functions.handlers.open_jobs import open_jobs
from functions.handlers.orphans import remove_orphans
from functions.handlers.perform import perform, stop_overdue_vms
from functions.handlers.telling import tell_status
from functions.handlers.together import Stopwatch, by_job
from functions.ports import Ports
from functions.wire import WakeUp, WakeUpKind

_LOG = logging.getLogger(__name__)

TRIES = 3
"""Looks at a job whose state somebody else changes meanwhile; then the message comes again."""


def reconcile(ports: Ports, timing: Timing, owner: Owner, message: WakeUp) -> None:
    """Take the next step of each job that the message is about, as far as it is `owner`'s.

    One job's trouble never keeps another from its step.

    Raises:
        TransientError: some job could not be brought on, or the time did not suffice for all;
            the message must come again.
    """
    watch = Stopwatch(ports.pace)
    vms = by_job(ports.fleet.list())
    stock = DiskStock(ports.disks)
    tells = owner is Owner.STOP_VM and message.kind is WakeUpKind.HEARTBEAT
    if tells:
        _list_for_orphans(stock)
    job_ids = [message.job_id] if message.job_id else _all_job_ids(ports, vms, stock)
    look = _Look(
        ports=ports,
        timing=timing,
        owner=owner,
        seq=message.seq,
        vms=vms,
        tells=tells,
        stock=stock,
    )
    troubles = list(watch.each(look.safely_at, job_ids))
    if look.planned:
        _have_it_aimed(ports)
    left = len(job_ids) - len(troubles)
    if left:
        raise TransientError(
            f"{owner}: looked at {len(troubles)} of {len(job_ids)} jobs in"
            f" {ports.pace.time_limit_s:.0f} s; the message comes again for the others. If that"
            " happens often, raise the function's CPU, or spread the jobs over two deployments."
        )
    postponed = [trouble for trouble in troubles if trouble is not None]
    if postponed:
        raise TransientError(f"{len(postponed)} of {len(job_ids)} jobs: {postponed[0]}")


def _have_it_aimed(ports: Ports) -> None:
    """Let `forecast` aim the boundary job at the new plans' edges too: it knows all the others.

    Its tick passes over what has a plan, and plans what could not be planned here. Without it
    the heartbeat finds the edges, some minutes late.
    """
    try:
        ports.alarm.tick_now()
    except SchedulerError as error:
        told = {"event": "boundary_not_aimed"}
        _LOG.warning("the next full hour aims the boundary job: %s", error, extra=told)


def _list_for_orphans(stock: DiskStock) -> None:
    """Without the list jobs go on: what no job needs is found at another heartbeat."""
    try:
        stock.look()
    except SchedulerError as error:
        told = {"event": "disks_not_listed"}
        _LOG.warning("what no job needs of disks is not looked for: %s", error, extra=told)


def _all_job_ids(ports: Ports, vms: Mapping[str, Sequence[Vm]], stock: DiskStock) -> list[str]:
    """First those with VMs, which cost; also those whose documents are gone."""
    opened = {each.job_id for each in open_jobs(Documents(ports.store))}
    return [*sorted(vms), *sorted((opened | stock.job_ids()) - vms.keys())]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """One owner's look at jobs, because of one message; from several threads at once."""

    ports: Ports
    timing: Timing
    owner: Owner
    seq: int | None
    vms: Mapping[str, Sequence[Vm]]
    tells: bool
    """Whether to say how each job stands: one function does, at each heartbeat."""
    stock: DiskStock
    planned: list[str] = field(default_factory=list)
    """Jobs that had no plan, and were dealt with between two ticks."""

    def safely_at(self, job_id: str) -> TransientError | None:
        """Take a step; return why it has to be tried again, if so."""
        extra = {"event": "job_failed", "job_id": job_id, "owner": self.owner}
        try:
            self._at(job_id)
        except PermanentError as error:
            _LOG.error("%s", error, extra=extra)
        except TransientError as error:
            _LOG.warning("%s", error, extra={**extra, "event": "job_postponed"})
            return error
        except Exception:  # noqa: BLE001 - nor must our own mistake keep the others from theirs
            extra["event"] = "unforeseen"
            _LOG.exception("job %s: no step could be taken", job_id, extra=extra)
        return None

    def _at(self, job_id: str) -> None:
        vms = self.vms.get(job_id, ())
        for _ in range(TRIES):
            try:
                again = self._step(job_id, vms)
            except StaleStateError:
                vms = by_job(self.ports.fleet.list()).get(job_id, ())
                self.stock.forget()
                continue
            if again:
                now = self.ports.clock.now()
                self.ports.publisher.publish(
                    WakeUp(kind=WakeUpKind.AGAIN, sent_at=now, job_id=job_id)
                )
            return
        raise StaleStateError(f"job {job_id}: its state changed under {TRIES} looks in a row")

    def _step(self, job_id: str, vms: Sequence[Vm]) -> bool:
        """Take at most one step; return whether the next look should follow at once."""
        extra = {"job_id": job_id, "owner": self.owner}
        try:
            sighting = observe(self.ports, self.timing, job_id, vms, self.stock)
        except SchedulerError:
            self._guard(vms)
            raise
        if isinstance(sighting, AtRest):
            if sighting is AtRest.UNKNOWN:
                told = {**extra, "event": "no_such_job"}
                _LOG.warning("no such job: %s", job_id, extra=told)
                self._guard(vms)
                self._clear(job_id, vms)
            return False
        if self.tells:
            tell_status(sighting.seen)
        if self.seq is not None and self.seq < sighting.seen.state.seq:
            return False
        action = decide(sighting.seen)
        if action is None or action.owner is not self.owner:
            return False
        verb = type(action).__name__
        told = {**extra, "event": "decision", "action": verb}
        _LOG.info("%s: %s", verb, action.reason, extra=told)
        again = perform(self.ports, sighting, action)
        if isinstance(action, MakePlan):
            self.planned.append(job_id)
        return again

    def _guard(self, vms: Sequence[Vm]) -> None:
        """Let no VM burn on though its job cannot be read (promise 4)."""
        if self.owner is Owner.STOP_VM:
            stop_overdue_vms(self.ports, self.timing, vms)

    def _clear(self, job_id: str, vms: Sequence[Vm]) -> None:
        """Remove what is left of a job that was deleted."""
        if self.owner is Owner.STOP_VM:
            remove_orphans(self.ports, self.timing, job_id, vms, self.stock)
