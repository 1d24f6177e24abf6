"""The promises of the design, looked at whenever something changes."""

import hashlib
import json
import logging
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

from greenlet import getcurrent

from functions.domain.lifecycle.state import JobState, Phase, Purpose
from functions.domain.lifecycle.vm import Vm, VmStatus
from soak.faults import Kind, clock
from vm_runtime.contract import object_names
from vm_runtime.contract.codec import decode
from vm_runtime.contract.instance import Attribute, Label
from vm_runtime.storage.port import Blob

if TYPE_CHECKING:
    from soak.compute import Instance
    from soak.guest import Guest
    from soak.world import World

LONGEST_OVERRUN_S = 15 * 60.0
"""Promise 4."""
LATE_S = 420.0
"""A function may stand still before it makes a VM, whose longest run counts from then on."""
MOST_CALLS_PER_HOUR = 240
"""Changes of VMs that are asked for, for one job: a loop without end asks for more."""


class LawError(BaseException):
    """A promise was broken; nothing but the world catches it for good."""


class Laws:
    """Watches a world."""

    def __init__(self, world: "World") -> None:
        """Know nothing yet."""
        self._world = world
        self.violation = ""
        self._made: set[str] = set()
        self._targets_s: dict[str, float] = {}
        """When each VM was first named as a target."""
        self._calls: Counter[tuple[str, int]] = Counter()
        self.states: dict[str, JobState] = {}
        self.latest: dict[str, dict[str, object]] = {}
        self.excused: set[str] = set()
        """Jobs of which a person deleted a disk or a snapshot."""

    def broken(self, law: str, what: str) -> None:
        """Stop the world: a promise is broken."""
        self.violation = self.violation or f"{law}: {what} ({clock(self._world.kernel.now_s)})"
        self._world.kernel.stop()
        raise LawError(self.violation)

    def unforeseen(self, record: logging.LogRecord) -> None:
        """Hear of an error that nobody foresaw: the product logs it with its stack."""
        if record.exc_info and not self.violation:
            what = f"{record.getMessage()}: {record.exc_info[1]!r}"
            self.violation = f"no unforeseen errors: {what} ({clock(self._world.kernel.now_s)})"
            self._world.kernel.stop()

    # The bucket

    def changed(self, name: str, before: Blob | None, after: Blob | None) -> None:
        """Look at a change of an object."""
        del before
        if "/checkpoints/" in name:
            self._checkpoints(name, after)
        elif name.endswith("/state.json"):
            self._state(name, after)

    def _checkpoints(self, name: str, after: Blob | None) -> None:
        job_id = name.split("/")[1]
        folder, _, last = name.rpartition("/")
        if last == "LATEST":
            self._pointer(job_id, after)
        elif last == "manifest.json":
            if after is not None:
                self._manifest(job_id, folder.rpartition("/")[2], after)
            elif self.latest.get(job_id, {}).get("checkpoint_id") == folder.rpartition("/")[2]:
                self.broken("promise 2", f"{name} was deleted, and LATEST names it")
        elif f"{folder}/manifest.json" in self._world.bucket.blobs:
            self.broken("promise 2", f"{name} changed under its manifest")

    def _pointer(self, job_id: str, after: Blob | None) -> None:
        if after is None:
            self.broken("promise 2", f"LATEST of {job_id} was deleted")
        found = json.loads(after.data)
        before = self.latest.get(job_id)
        if before is not None:
            for what in ("step", "incarnation", "finished"):
                if found[what] < before[what]:
                    told = f"{what} of LATEST of {job_id} fell from {before[what]} to {found[what]}"
                    self.broken("promise 1" if what == "incarnation" else "promise 2", told)
        self.latest[job_id] = found
        checkpoint = found["checkpoint_id"]
        if checkpoint is not None:
            self._complete(job_id, checkpoint, "LATEST names it")
            if before is None or before["checkpoint_id"] != checkpoint:
                self._world.tell(f"ss-{job_id}-{found['incarnation']}", f"LATEST is {checkpoint}")

    def _manifest(self, job_id: str, checkpoint: str, after: Blob) -> None:
        """See a commit marker; a superseded VM's, if its payload was pruned, commits nothing.

        Such a VM stood still right before this write. LATEST never names what it wrote, and who
        falls back to an older checkpoint verifies every byte of it.
        """
        present = self.latest.get(job_id)
        if present is None or json.loads(after.data)["incarnation"] >= present["incarnation"]:
            self._complete(job_id, checkpoint, "a manifest was written")

    def _complete(self, job_id: str, checkpoint: str, why: str) -> None:
        blobs = self._world.bucket.blobs
        manifest = blobs.get(object_names.manifest(job_id, checkpoint))
        if manifest is None:
            self.broken("promise 2", f"{checkpoint} of {job_id} has no manifest, and {why}")
        for file in json.loads(manifest.data)["files"]:
            payload = blobs.get(object_names.checkpoint_folder(job_id, checkpoint) + file["name"])
            digest = hashlib.sha256(payload.data).hexdigest() if payload else "nothing"
            if digest != file["sha256"]:
                self.broken("promise 2", f"{checkpoint} of {job_id} is torn, and {why}")

    def _state(self, name: str, after: Blob | None) -> None:
        if after is None:
            self.broken("promise 3", f"{name} was deleted")
        state = decode(JobState, after.data, name=name)
        old = self.states.get(state.job_id)
        self.states[state.job_id] = state
        if state.target is not None:
            self._targets_s.setdefault(state.target.vm, self._world.kernel.now_s)
        if old is None:
            return
        # A person who resumes a job makes its plan of before void.
        plan_fell = bool(state.plan_id and old.plan_id and state.plan_id < old.plan_id)
        if plan_fell or state.seq < old.seq:
            told = f"plan {old.plan_id} (seq {old.seq}) gave way to the older {state.plan_id}"
            self.broken("design 1, an older plan is ignored", f"{told} (seq {state.seq})")
        if state.incarnation < old.incarnation:
            self.broken("promise 1", f"incarnation of {state.job_id} fell to {state.incarnation}")
        if old.phase in {Phase.FINISHED, Phase.CANCELLED} and state.phase is not old.phase:
            self.broken("promise 3", f"{state.job_id} was {old.phase} and is {state.phase}")
        if state.phase is not old.phase:
            self._world.tell(state.job_id, f"is {state.phase}: {state.message}")

    # VMs

    def counted(self, party: str, what: str) -> None:
        """Count a call of Compute Engine."""
        del party
        verb, _, name = what.partition(" ")
        if not name:
            return
        job_id = name.removeprefix("ss-").rpartition("-")[0]
        key = (job_id, int(self._world.kernel.now_s // 3600))
        self._calls[key] += 1
        if self._calls[key] > MOST_CALLS_PER_HOUR:
            told = f"{MOST_CALLS_PER_HOUR} changes of its VMs in an hour, the last: {verb} {name}"
            self.broken("promise 3, no loop without end", f"{job_id}: {told}")

    def created(self, instance: "Instance", *, will_run: bool) -> None:
        """See a VM come into being."""
        self._world.tell(instance.name, f"is made in {instance.spec.compute_zone}")
        if instance.name in self._made:
            told = f"{instance.name} was made a second time"
            self.broken("design 6, a request has one effect", told)
        if will_run:
            self._made.add(instance.name)

    def touched(self, vm: Vm, instance: "Instance | None", verb: str) -> None:
        """See the control plane change a VM."""
        if vm.name in self._world.compute.taken and instance is None:
            self.broken("only ours", f"{verb} of {vm.name}, which is a person's")
        self._world.tell("control plane", f"{verb} {vm.name}")
        state = self.states.get(vm.job_id)
        if verb != "delete" or state is None or state.phase.is_final or state.target is None:
            return
        target = state.target
        if target.purpose is not Purpose.MOVE or target.incarnation <= vm.incarnation:
            return
        if self._targets_s[target.vm] > getcurrent().machine.began_s:
            return  # Who deletes has looked before there was a successor.
        successor = self._world.compute.instances.get((target.compute_zone, target.vm))
        is_there = successor is not None and (
            successor.has_run or successor.status is VmStatus.TERMINATED
        )
        if not is_there and target.vm not in self._world.gone:
            told = f"{vm.name} was deleted before its successor {target.vm} ran"
            self.broken("design 6, create before delete", told)

    def looked_at(self) -> None:
        """Look at all VMs: none may be up too long."""
        world = self._world
        now_s = world.kernel.now_s
        for instance in world.compute.instances.values():
            if not instance.is_managed or not instance.is_up:
                continue
            if now_s > self._bound_s(instance):
                self.broken("promise 4", f"{instance.name} is up long after its job's deadline")
            end_s = max(world.seconds_of(instance.interval_end), instance.created_s)
            if now_s - end_s > LONGEST_OVERRUN_S and not self._is_excused(instance):
                late = timedelta(seconds=round(now_s - end_s))
                self.broken("promise 4", f"{instance.name} is up {late} after its interval's end")

    def _bound_s(self, instance: "Instance") -> float:
        """Return until when `max_run_duration` lets it be up, whatever hangs."""
        world = self._world
        deadline = world.submissions[instance.labels[Label.JOB]].job.deadline
        last_s = max(
            world.seconds_of(deadline),
            world.seconds_of(instance.interval_end),
            world.seconds_of(world.time_of(instance.spec.metadata[Attribute.INTERVAL_END])),
            # Compute Engine counts anew from each start (docs/adr: a stopped VM is started again).
            instance.created_s if instance.runs == 1 else instance.run_until_s,
        )
        return last_s + LONGEST_OVERRUN_S + LATE_S

    def _is_excused(self, instance: "Instance") -> bool:
        """Whether guest and control plane are both gone: `max_run_duration` holds (see its ADR)."""
        world, guest = self._world, instance.guest
        now_s = world.kernel.now_s
        stands_still = guest is not None and now_s < guest.system.frozen_until_s + 120
        if not stands_still and guest is not None:
            return False
        return now_s - world.disturbed_s() < LONGEST_OVERRUN_S

    # Data disks

    def disk_gone(self, job_id: str) -> None:
        """See a disk or a snapshot go: all that was written must be in a ready one that is left."""
        state = self.states.get(job_id)
        needs_none = state is None or (state.phase.is_final and state.phase is not Phase.FAILED)
        if needs_none or job_id in self.excused or not self._world.disks.written[job_id]:
            return
        if not self._world.disks.is_whole_somewhere(job_id):
            self.broken("keep_disk", f"what {job_id} wrote is in no ready disk or snapshot")

    def mounts(self, guest: "Guest", content: int) -> None:
        """See a VM get its data disk: all that was written must be on it."""
        written = self._world.disks.written[guest.job_id]
        self._world.tell(guest.name, f"has its data disk, with write {content}")
        if content != written:
            told = f"{guest.name} has a disk with write {content}, the last one was {written}"
            self.broken("keep_disk", told)

    # Guests

    def trains(self, guest: "Guest") -> None:
        """See a VM begin a step: no other may take itself for the one."""
        if not guest.believes():
            self.broken("promise 1", f"{guest.name} trains without its lease")
        for other in self._world.guests_of(guest.job_id):
            if other is not guest and other.believes():
                self.broken("promise 1", f"{guest.name} and {other.name} train at once")

    def resumed(self, guest: "Guest", step: int) -> None:
        """See where a VM goes on."""
        self._world.tell(guest.name, f"trains from step {step}")
        expected = self.latest.get(guest.job_id, {"step": 0})
        if step < expected["step"] and expected["incarnation"] <= guest.incarnation:
            told = f"{guest.name} resumed from step {step}, LATEST says {expected['step']}"
            self.broken("promise 2", told)

    # The end

    def ended(self) -> None:
        """Look at how each job ended."""
        world = self._world
        kinds = {fault.kind for fault in world.schedule.faults}
        for state in self.states.values():
            is_finished = bool(self.latest.get(state.job_id, {}).get("finished"))
            if state.phase is Phase.FINISHED and not is_finished:
                self.broken("promise 3", f"{state.job_id} is finished, its training is not")
            if state.phase is not Phase.FAILED:
                continue
            if not state.message:
                self.broken("promise 3", f"{state.job_id} failed without a word")
            if not self._may_fail(state, kinds):
                self.broken("promise 3", f"{state.job_id} was given up: {state.message}")

    def _may_fail(self, state: JobState, kinds: set[Kind]) -> bool:
        """Whether something happened of which a person has to know."""
        hows = {str(fault.how) for fault in self._world.schedule.faults}
        if state.job_id in self.excused:
            return True
        if "403" in state.message:
            return "gets 403" in hows
        return bool(
            kinds
            & {
                *(Kind.REFUSED, Kind.TEMPLATE_DELETED, Kind.NAME_TAKEN, Kind.SCRIPT_FAILS),
                *(Kind.SCRIPT_HANG, Kind.BAD_BOOT, Kind.CALL, Kind.VM_DELETED),
                *((Kind.LABEL_REMOVED,) if self._world.keeps_disks else ()),
            }
        )
