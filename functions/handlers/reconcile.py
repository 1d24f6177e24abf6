"""The use case behind stop_vm, move_vm and start_vm: observe, decide, one step of one's own."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from functions.domain.lifecycle.actions import Owner
from functions.domain.lifecycle.decide import decide
from functions.domain.lifecycle.timing import Timing
from functions.domain.lifecycle.vm import Vm
from functions.errors import PermanentError, StaleStateError, TransientError
from functions.handlers.documents import Documents
from functions.handlers.observe import observe
from functions.handlers.perform import perform, stop_overdue_vms
from functions.handlers.telling import tell_status
from functions.ports import Ports
from functions.wire import WakeUp, WakeUpKind

_LOG = logging.getLogger(__name__)

TRIES = 3
"""Looks at a job whose state somebody else changes meanwhile; then the message comes again."""


def reconcile(ports: Ports, timing: Timing, owner: Owner, message: WakeUp) -> None:
    """Take the next step of each job that the message is about, as far as it is `owner`'s.

    One job's trouble never keeps another from its step.

    Raises:
        TransientError: some job could not be brought on; the message must come again.
    """
    vms = ports.fleet.list()
    job_ids = [message.job_id] if message.job_id else _all_job_ids(ports, vms)
    look = _Look(
        ports=ports,
        timing=timing,
        owner=owner,
        seq=message.seq,
        tells=owner is Owner.STOP_VM and message.kind is WakeUpKind.HEARTBEAT,
    )
    postponed: list[TransientError] = []
    for job_id in job_ids:
        try:
            look.at(job_id, vms)
        except PermanentError as error:
            _LOG.error("%s", error, extra={"job_id": job_id, "owner": owner})
        except TransientError as error:
            _LOG.warning("%s", error, extra={"job_id": job_id, "owner": owner})
            postponed.append(error)
        except Exception:  # noqa: BLE001 - nor must our own mistake keep the others from theirs
            _LOG.exception("job %s: no step could be taken", job_id)
    if postponed:
        raise TransientError(f"{len(postponed)} of {len(job_ids)} jobs: {postponed[0]}")


def _all_job_ids(ports: Ports, vms: Sequence[Vm]) -> list[str]:
    """Also those whose documents are gone while a VM is left."""
    return sorted({*Documents(ports.store).job_ids(), *(vm.job_id for vm in vms)})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """One owner's look at jobs, because of one message."""

    ports: Ports
    timing: Timing
    owner: Owner
    seq: int | None
    tells: bool
    """Whether to say how each job stands: one function does, at each heartbeat."""

    def at(self, job_id: str, vms: Sequence[Vm]) -> None:
        for _ in range(TRIES):
            try:
                again = self._step(job_id, vms)
            except StaleStateError:
                vms = self.ports.fleet.list()
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
            sighting = observe(self.ports, self.timing, job_id, vms)
        except PermanentError:
            self._guard(job_id, vms)
            raise
        if sighting is None:
            _LOG.warning("no such job: %s", job_id, extra=extra)
            self._guard(job_id, vms)
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
        return perform(self.ports, sighting, action)

    def _guard(self, job_id: str, vms: Sequence[Vm]) -> None:
        """Let no VM burn on though its job cannot be read (promise 4)."""
        if self.owner is Owner.STOP_VM:
            stop_overdue_vms(self.ports, self.timing, [vm for vm in vms if vm.job_id == job_id])
