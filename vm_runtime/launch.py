"""Puts a session together, on a VM from its metadata or in a folder, and runs the script."""

import logging
import socket
import tempfile
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from vm_runtime.contract import object_names
from vm_runtime.contract.checkpoint import Latest
from vm_runtime.contract.clock import Clock, clock_from
from vm_runtime.contract.codec import DocumentError, decode, encode
from vm_runtime.contract.job import Job
from vm_runtime.contract.lease import Lease
from vm_runtime.contract.progress import Progress
from vm_runtime.energy import EnergyCounter
from vm_runtime.energy_counters import find_counters
from vm_runtime.json_log import log_as_json
from vm_runtime.lease import LeaseKeeper
from vm_runtime.metadata import InstanceMetadata, MetadataServer
from vm_runtime.place import Place
from vm_runtime.reporting import ProgressFile
from vm_runtime.script import ExitCode, download_source, run_script
from vm_runtime.session import LeaseLostError
from vm_runtime.stop import StopFlag, shortest_notice_s
from vm_runtime.stop_sources import watch_stop_sources
from vm_runtime.storage import open_store
from vm_runtime.storage.port import BlobNotFoundError, BlobStore, StorageError
from vm_runtime.vm_session import VmSession
from vm_runtime.watchdog import Watchdog

_log = logging.getLogger(__name__)

_POLLS_PER_TTL = 20
_LOCAL_TTL_S = 15.0

Work = Callable[[VmSession], ExitCode]
"""Runs something in a session that has started, and sees to it that it is ended."""


def run_on_vm(environment: Mapping[str, str], work: Work | None = None) -> ExitCode:
    """Do what the VM's metadata says: train the job until its interval ends.

    Args:
        environment: names metadata server and clock where they are not the usual ones.
        work: what is run inside the session; `None`: the script in the job's source folder.

    Raises:
        MetadataError: not on a VM of ours.
        StorageError: the bucket did not answer.
        ValueError: metadata or clock do not hold what they should.
    """
    clock = clock_from(environment)
    started_at = clock.now()
    log_as_json()
    server = MetadataServer(environment)
    me = server.read_instance()
    log_as_json(job_id=me.job_id, vm=me.name, incarnation=me.incarnation)
    _log.info(
        "up in %s until %s", me.compute_zone, me.interval_end.isoformat(), extra={"event": "up"}
    )
    stop = StopFlag(clock, interval_end=me.interval_end)
    with stop.on_signals():
        watch_stop_sources(server, stop, clock)
        watchdog = Watchdog(stop=stop, clock=clock, grace_s=me.shutdown_grace_s)
        watchdog.start()
        store = open_store(me.bucket_url)
        try:
            job = _read_job(store, me.job_id)
        except (DocumentError, BlobNotFoundError) as error:
            _report_unreadable_job(store, clock, me, error)
            return ExitCode.FAILED
        session = VmSession(
            job=job,
            place=_place_of(me, started_at),
            store=store,
            clock=clock,
            stop=stop,
            lease=_keeper(store, clock, me),
            poll_s=me.lease_ttl_s / _POLLS_PER_TTL,
            counters=_counters(clock),
        )
        session.start()
        watchdog.guard(session)
        code = (work or _run_source)(session)
    _log.info("ends with %s", code.name, extra={"event": "ended"})
    return code


def _run_source(session: VmSession) -> ExitCode:
    """Run the script that lies in the bucket, in a folder that nobody else sees."""
    job = session.job
    with tempfile.TemporaryDirectory(prefix=f"{job.job_id}-") as name:
        folder = Path(name)
        try:
            download_source(session.store, job.job_id, folder)
        except (StorageError, OSError) as error:  # OSError: the disk is full, names collide
            session.fail(f"expected the job's source, found: {error}")
            return ExitCode.FAILED
        return run_script(session, folder / job.script, job.args, work_folder=folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalRun:
    """A run in a folder instead of on a VM."""

    script: Path
    """The training script."""
    args: Sequence[str]
    """Its arguments."""
    folder: Path
    """The bucket: a folder of this machine."""
    job_id: str
    """The job; its document is made if there is none."""
    until: datetime | None
    """When to stop; `None`: when the work is done."""
    power_w: float
    """Power of this machine, watts, if the job document is to be made."""


def run_locally(run: LocalRun, environment: Mapping[str, str]) -> ExitCode:
    """Train in a folder: stop at any time, run it again to go on.

    Raises:
        StorageError: the folder did not answer.
        DocumentError: the folder holds a document that cannot be read.
    """
    clock = clock_from(environment)
    started_at = clock.now()
    store = open_store(run.folder.absolute().as_uri())
    job = _read_or_make_job(store, run, started_at)
    incarnation = _next_incarnation(store, job.job_id)
    name = f"local-{socket.gethostname()}"
    # Real seconds, whatever the clock's speed: a process must be able to renew it in time.
    ttl_s = _LOCAL_TTL_S * _LOCAL_TTL_S / clock.wait_s(_LOCAL_TTL_S)
    stop = StopFlag(clock, interval_end=run.until)
    place = Place(
        vm=name,
        compute_zone="local",
        incarnation=incarnation,
        started_at=started_at,
        interval_start=started_at,
    )
    lease = LeaseKeeper(
        store=store,
        clock=clock,
        job_id=job.job_id,
        holder=_holder(name),
        incarnation=incarnation,
        ttl_s=ttl_s,
    )
    with stop.on_signals():
        session = VmSession(
            job=job,
            place=place,
            store=store,
            clock=clock,
            stop=stop,
            lease=lease,
            poll_s=ttl_s / _POLLS_PER_TTL,
            counters=_counters(clock),
        )
        session.start()
        return run_script(session, run.script, run.args, work_folder=None)


def _counters(clock: Clock) -> Sequence[EnergyCounter]:
    """Return the hardware's counters; their time is real, so a faster clock cannot use them."""
    return find_counters() if clock.wait_s(1.0) == 1.0 else ()


def _place_of(me: InstanceMetadata, started_at: datetime) -> Place:
    return Place(
        vm=me.name,
        compute_zone=me.compute_zone,
        incarnation=me.incarnation,
        started_at=started_at,
        interval_start=me.interval_start,
        notice_s=shortest_notice_s(is_spot=me.is_spot),
    )


def _keeper(store: BlobStore, clock: Clock, me: InstanceMetadata) -> LeaseKeeper:
    return LeaseKeeper(
        store=store,
        clock=clock,
        job_id=me.job_id,
        holder=_holder(me.name),
        incarnation=me.incarnation,
        ttl_s=me.lease_ttl_s,
    )


def _holder(name: str) -> str:
    """Return the VM's name and a nonce: a restarted VM is another holder."""
    return f"{name}-{uuid.uuid4().hex[:8]}"


def _read_job(store: BlobStore, job_id: str) -> Job:
    name = object_names.job(job_id)
    return decode(Job, store.read(name).data, name=name)


def _report_unreadable_job(
    store: BlobStore, clock: Clock, me: InstanceMetadata, error: Exception
) -> None:
    message = f"{error} What to do: write {object_names.job(me.job_id)} anew with `submit`."
    _log.error(message, extra={"event": "job_unreadable"})
    try:
        ProgressFile(store, me.job_id).write_failure(
            job_id=me.job_id,
            vm=me.name,
            incarnation=me.incarnation,
            now=clock.now(),
            message=message,
        )
    except (StorageError, DocumentError, LeaseLostError) as second:
        _log.error("the failure could not be reported: %s", second)


def _read_or_make_job(store: BlobStore, run: LocalRun, now: datetime) -> Job:
    try:
        return _read_job(store, run.job_id)
    except BlobNotFoundError:
        job = Job(
            job_id=run.job_id,
            machine_type="e2-standard-8",
            power_w=run.power_w,
            allowed_regions=("europe-west3",),
            submitted_at=now,
            script=run.script.name,
            args=tuple(run.args),
        )
        store.write(object_names.job(run.job_id), encode(job), if_generation=0)
        return job


def _next_incarnation(store: BlobStore, job_id: str) -> int:
    """Return one more than any incarnation that left a trace in the folder."""
    traces: tuple[tuple[type[Lease | Progress | Latest], str], ...] = (
        (Lease, object_names.lease(job_id)),
        (Progress, object_names.progress(job_id)),
        (Latest, object_names.latest(job_id)),
    )
    found = [0]
    for kind, name in traces:
        try:
            found.append(decode(kind, store.read(name).data, name=name).incarnation)
        except BlobNotFoundError:
            continue
    return max(found) + 1
