"""The control plane's speed: ticks, heartbeats, cold starts, memory; on the embedded cloud.

Of several turns the best counts, and beside a process's wall time stands the CPU time that it
took: on a machine that does other things too, the wall says what those do.
"""

import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from embedded_front import embedded_front
from figure import Figure
from local_world import START
from punctuality import quantile, watch
from sample_jobs import job
from slow_api import SlowApi

import functions.main
from functions.adapters.tcn import TcnForecaster
from functions.domain.lifecycle.actions import Owner
from functions.domain.lifecycle.state import JobState
from functions.domain.lifecycle.timing import Timing
from functions.domain.lifecycle.vm import Vm
from functions.handlers.reconcile import reconcile
from functions.handlers.tick import tick
from functions.local.ports import connect
from functions.ports import Pace, Ports
from functions.settings import read_deployment
from functions.wire import WakeUp, WakeUpKind
from vm_runtime.contract import object_names
from vm_runtime.contract.codec import encode
from vm_runtime.contract.job import Job
from vm_runtime.storage.files import FileBlobStore
from vm_runtime.storage.port import Blob

TURNS = 5
API_ANSWER_S = 0.1
JOBS, MANY = 1_000, 10_000
BUCKET_ANSWER_S = 0.02
"""A read of a small object from Cloud Storage in the same region takes about so long."""
ECO4CAST_CALLS = 357
"""Of one forecast of eco4cast 0.0.8: 13 of Electricity Maps, 344 of a weather service, in turn."""
PROGRAM = str(Path(__file__).with_name("tick_program.py"))
READY = (
    "import functions_framework;"
    "functions_framework.create_app(target={target!r}, source={source!r},"
    " signature_type='cloudevent')"
)
CPU = "; import time; print(time.process_time())"
FIRST_CALL = (
    "import functions.main;"
    "from functions.adapters.compute_engine import ComputeEngineFleet;"
    "from google.auth.credentials import AnonymousCredentials;"
    "fleet = ComputeEngineFleet(project='p', instance_templates={}, credentials="
    "AnonymousCredentials()); fleet._calls.instances"
)


def tick_figures() -> Iterator[Figure]:
    """From tick to published plan of one job, 13 zones, 100 ms per call."""
    api = SlowApi(now=START, answer_s=API_ANSWER_S)
    fresh, warm, cpus = [], [], []
    with api.running() as url:
        for _ in range(TURNS):
            with _cloud() as (folder, environment):
                _put_jobs(folder, [job("digits", submitted_at=START)])
                begin_s = time.time()
                found = _program(environment, url, ticks=4)
                assert found["failed"] == 0
                fresh.append(found["first_s"] - begin_s)
                cpus.append(found["first_cpu_s"])
                warm += found["spans_s"][1:]
    theirs_s = ECO4CAST_CALLS * API_ANSWER_S
    by_cpu = f", CPU {min(cpus):.1f} s"
    for what, spans, cpu, bar in (
        ("warm", warm, "", "0.5 s"),
        ("fresh process", fresh, by_cpu, "4 s"),
    ):
        yield Figure(
            what=f"tick to plan published, 13 zones, API 100 ms, {what} (bar {bar})",
            ours=f"{min(spans):.2f} s{cpu}",
            peer=f"eco4cast, {ECO4CAST_CALLS} calls in turn {theirs_s:.1f} s (computed)",
            ratio=f"{theirs_s / min(spans):.0f}",
        )


def reconcile_figures() -> Iterator[Figure]:
    """A heartbeat over a thousand jobs that wait for their interval: nothing to do."""
    with _cloud() as (folder, environment):
        _put_jobs(folder, [_late_job(f"job-{number}") for number in range(JOBS)])
        ports = _ports(environment, Pace(threads=10))
        assert tick(ports, Timing()).planned == JOBS
        for what, far in (("", False), (", bucket 20 ms per read", True)):
            spans, lists = [], Counter[str]()
            for owner in (Owner.STOP_VM, Owner.MOVE_VM, Owner.START_VM):
                fleet = _CountingFleet(ports.fleet, lists)
                store = _FarStore(folder / "bucket") if far else ports.store
                some = replace(ports, fleet=fleet, store=store)
                begin = time.perf_counter()
                reconcile(some, Timing(), owner, WakeUp(kind=WakeUpKind.HEARTBEAT))
                spans.append(time.perf_counter() - begin)
            yield Figure(
                what=f"heartbeat, {JOBS} jobs, nothing to do{what} (bar 5 s)",
                ours=f"{max(spans):.2f} s, {lists.total() // 3} call of Compute Engine",
            )


def cold_start_figures() -> Iterator[Figure]:
    """A fresh process until the framework has loaded the function; then the first client."""
    source = functions.main.__file__
    for target in ("stop_vm", "move_vm", "start_vm"):
        yield _fresh(
            f"{target}: fresh process to ready (bar 1.0 s)",
            READY.format(target=target, source=source),
        )
    yield _fresh("the same and Compute Engine's client, at its first call", FIRST_CALL)


def _fresh(what: str, program: str) -> Figure:
    spans, cpus = [], []
    for _ in range(TURNS):
        begin = time.perf_counter()
        cpus.append(float(_run([sys.executable, "-c", program + CPU], {})))
        spans.append(time.perf_counter() - begin)
    return Figure(what=what, ours=f"{min(spans):.2f} s, CPU {min(cpus):.2f} s")


def memory_figures() -> Iterator[Figure]:
    """One tick over ten thousand jobs, beside one over a thousand."""
    api = SlowApi(now=START, answer_s=API_ANSWER_S)
    peaks = []
    with api.running() as url:
        for count in (JOBS, MANY):
            with _cloud() as (folder, environment):
                _put_jobs(folder, [_late_job(f"job-{number}") for number in range(count)])
                environment["SMARTSCHEDULER_TIME_LIMIT_S"] = "3600"
                found = _program(environment, url, ticks=1)
                assert found["planned"] == count, found
                peaks.append(found["peak_kib"] / 1024)
                if count == MANY:
                    span_s = found["spans_s"][0]
    yield Figure(
        what=f"one tick, {MANY} jobs planned and published",
        ours=f"{span_s:.0f} s, {peaks[1]:.0f} MiB ({peaks[1] - peaks[0]:+.0f} above {JOBS} jobs)",
    )


def punctual_figures() -> Iterator[Figure]:
    """Six jobs in slots of 15 minutes, boots of 40 to 90 s; simulated, in turns of ten seconds."""
    logging.disable(logging.CRITICAL)
    seen = watch(jobs=6, hours=12, seed=1)
    logging.disable(logging.NOTSET)
    for what, spans, bar in (
        ("interval's start to first step", seen.starts_s, "30 s"),
        ("interval's end to VM down", seen.ends_s, "120 s"),
    ):
        half, most = quantile(spans, 0.5), quantile(spans, 0.95)
        yield Figure(
            what=f"{what}, simulated (bar {bar})",
            ours=f"p50 {half:.0f} s, p95 {most:.0f} s of {len(spans)}",
        )


def _late_job(job_id: str) -> Job:
    """Two hours of work that has days: planned, and not begun for a while in most cases."""
    return job(job_id, submitted_at=START, work_h=2.0, deadline=START + timedelta(hours=24))


class _cloud(tempfile.TemporaryDirectory[str]):  # noqa: N801 - used as a context manager only
    """A folder with the API of an embedded cloud over it."""

    def __enter__(self) -> tuple[Path, dict[str, str]]:  # type: ignore[override]
        folder = Path(super().__enter__())
        self._front = embedded_front(folder)
        return folder, self._front.__enter__()

    def __exit__(self, *error: object) -> None:
        self._front.__exit__(*error)
        super().__exit__(*error)


def _put_jobs(folder: Path, jobs: Sequence[Job]) -> None:
    """Put jobs into the bucket as `submit` does, without waiting for the disk each time."""
    for each in jobs:
        for name, data in (
            (object_names.job(each.job_id), encode(each)),
            (object_names.state(each.job_id), encode(JobState(job_id=each.job_id))),
            (object_names.open_job(each.job_id), b""),
        ):
            path = folder / "bucket" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


def _ports(environment: Mapping[str, str], pace: Pace) -> Ports:
    settings = read_deployment(environment).settings
    return connect(settings, environment, forecaster=TcnForecaster(), pace=pace)


class _CountingFleet:
    """Counts the calls."""

    def __init__(self, inner: Any, calls: Counter[str]) -> None:  # noqa: ANN401 - any fleet
        self._inner, self._calls = inner, calls

    def list(self) -> Sequence[Vm]:
        self._calls["list"] += 1
        found: Sequence[Vm] = self._inner.list()
        return found

    def __getattr__(self, name: str) -> object:
        self._calls[name] += 1
        return getattr(self._inner, name)


class _FarStore(FileBlobStore):
    """The bucket, as far away as Cloud Storage."""

    def read(self, name: str) -> Blob:
        time.sleep(BUCKET_ANSWER_S)
        return super().read(name)


def _program(environment: Mapping[str, str], url: str, *, ticks: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        _run([sys.executable, PROGRAM, url, str(ticks)], environment)
    )
    return found


def _run(command: Sequence[str], environment: Mapping[str, str]) -> str:
    root = str(Path(functions.main.__file__).parents[1])
    variables = os.environ | {"PYTHONPATH": root} | dict(environment)
    done = subprocess.run(  # noqa: S603 - our own interpreter
        command, capture_output=True, text=True, env=variables, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()[-1] if done.stdout else ""


FIGURES = (tick_figures, reconcile_figures, cold_start_figures, punctual_figures, memory_figures)
