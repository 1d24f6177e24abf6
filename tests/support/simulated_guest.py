"""A VM's software in a simulated world: the real lease and the real checkpoints, no torch."""

import logging
from dataclasses import replace
from datetime import datetime, timedelta

from simulated_clock import SimulatedClock, SkewedClock

from functions.domain.lifecycle.vm import Vm, VmSpec
from vm_runtime.checkpoint import Checkpoints
from vm_runtime.contract import object_names
from vm_runtime.contract.codec import encode
from vm_runtime.contract.instance import Attribute
from vm_runtime.contract.ledger import LedgerEntry, Segment, SegmentKind
from vm_runtime.contract.progress import Progress, RunState
from vm_runtime.lease import LeaseKeeper
from vm_runtime.session import LeaseLostError
from vm_runtime.storage.port import BlobStore

_LOG = logging.getLogger(__name__)

STEP_S = 10.0
"""Time of an optimizer step, seconds."""
CHECKPOINT_EVERY = timedelta(minutes=10)
DIGEST = "0" * 64


class Guest:
    """Trains while it surely holds the lease; gone when `turn` returns False."""

    def __init__(
        self,
        store: BlobStore,
        clock: SimulatedClock | SkewedClock,
        spec: VmSpec,
        steps_total: int,
    ) -> None:
        """Boot."""
        self.store, self.clock, self.spec, self.steps_total = store, clock, spec, steps_total
        self.job_id = spec.metadata[Attribute.JOB]
        self.incarnation = int(spec.metadata[Attribute.INCARNATION])
        self.start = datetime.fromisoformat(spec.metadata[Attribute.INTERVAL_START])
        self.lease = LeaseKeeper(
            store=store,
            clock=clock,
            job_id=self.job_id,
            holder=f"{spec.name}/boot-{self.incarnation}",
            incarnation=self.incarnation,
            ttl_s=float(spec.metadata[Attribute.LEASE_TTL_S]),
            monotonic=clock.monotonic,
        )
        self.checkpoints = Checkpoints(
            store, self.job_id, self.incarnation, clock, sleep=lambda _: None
        )
        self.step = 0
        self.has_begun = False
        self.is_stalled = False
        self.booted_at = clock.now()
        self.committed_at = clock.now()
        self.committed_step = 0
        self.first_step = 0

    @property
    def may_train(self) -> bool:
        """Whether it believes that it is the one."""
        return self.has_begun and self.lease.held_surely(self.clock.now())

    def turn(self, vm: Vm, elapsed_s: float) -> bool:
        """Live for `elapsed_s`; return whether it goes on."""
        if self.is_stalled:
            return True
        try:
            return self._turn(vm, elapsed_s)
        except LeaseLostError as error:
            _LOG.info("%s", error)
            return False

    def _turn(self, vm: Vm, elapsed_s: float) -> bool:
        now = self.clock.now()
        if not self.has_begun:
            return self._begin(vm, now)
        self.lease.renew()
        if self.lease.held_surely(now):
            self.step = min(self.steps_total, self.step + int(elapsed_s / STEP_S))
        is_done, is_over = self.step >= self.steps_total, now >= vm.interval_end
        if is_done or is_over or now - self.committed_at >= CHECKPOINT_EVERY:
            self._commit(finished=is_done)
        self._report(RunState.FINISHED if is_done else RunState.TRAINING)
        if is_done or is_over:
            self.lease.release()
            return False
        return True

    def _begin(self, vm: Vm, now: datetime) -> bool:
        if now >= vm.interval_end:
            return False
        if now >= self.start and self.lease.acquire():
            latest = self.checkpoints.take_over()
            self.step = self.first_step = self.committed_step = latest.step
            self.has_begun, self.committed_at = True, now
            return not latest.finished
        return True

    def _commit(self, *, finished: bool) -> None:
        now, state = self.clock.now(), b"%d" % self.step
        latest = self.checkpoints.commit(
            self.step,
            {"state": lambda stream: stream.write(state)},
            finished=finished,
            weights_sha256=DIGEST,
        )
        self.committed_at, self.committed_step = now, latest.step

    def _report(self, state: RunState) -> None:
        now = self.clock.now()
        report = Progress(
            job_id=self.job_id,
            vm=self.spec.name,
            incarnation=self.incarnation,
            state=state,
            heartbeat_at=now,
            steps_done=self.step,
            steps_total=self.steps_total,
            seconds_per_step=STEP_S,
        )
        self.store.write(object_names.progress(self.job_id), encode(report))
        hours = (now - self.booted_at).total_seconds() / 3600
        segment = Segment(
            kind=SegmentKind.TRAIN, start=self.booted_at, end=now, energy_kwh=0.25 * hours
        )
        entry = LedgerEntry(
            job_id=self.job_id,
            vm=self.spec.name,
            incarnation=self.incarnation,
            compute_zone=self.spec.compute_zone,
            started_at=self.booted_at,
            updated_at=now,
            segments=(segment,),
            first_step=self.first_step,
            last_step=self.step,
            committed_step=self.committed_step,
            energy_basis="declared power 250 W x time",
        )
        entry = replace(entry, ended_because="finished" if state is RunState.FINISHED else "")
        name = object_names.ledger_entry(self.job_id, self.incarnation)
        self.store.write(name, encode(entry))
