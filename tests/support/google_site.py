"""The whole deployment on stand-ins for Google Cloud, all real but the cloud itself.

The four functions run under the Functions Framework, a process each, with Google's client
libraries: fake-gcs-server, Google's Pub/Sub emulator, our Compute Engine whose VMs are processes
of the real runtime, our Cloud Scheduler, and callers whose tokens are signed and checked.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import electricity_maps_server
import fake_gcs
import pubsub_emulator
import requests
from account_metadata import account_metadata
from compute_guests import Guests
from compute_model import ComputeModel
from compute_rules import TEMPLATE
from compute_server import serving
from electricity_maps_server import ElectricityMapsServer
from fake_gcs import free_port
from fake_scheduler import FakeScheduler
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from pubsub_emulator import PROJECT, PubSubEmulator
from push_gate import SERVICES, PushGate
from token_signer import CALLER, TokenSigner
from waiting import until

from functions.domain.lifecycle.state import JobState
from functions.handlers.documents import Documents
from functions.handlers.submit import submit
from functions.settings import PREFIX
from functions.wire import WakeUp, WakeUpKind, encode_wake_up
from vm_runtime.contract import object_names
from vm_runtime.contract.clock import CLOCK_VARIABLE, ScaledClock
from vm_runtime.contract.job import Job
from vm_runtime.storage.gcs import GcsBlobStore

FASTEST = 300.0
"""Simulated seconds per real one: an hour in 12 seconds, on a machine with nothing else to do."""
_BOOTS_PER_HOUR = 6
"""A VM that boots longer than its interval trains nothing, so a busy machine's clock is slower."""
PATIENCE_S = 600.0
"""Real seconds for anything on a busy machine; alone the longest takes about 20."""
TOPIC, DEAD_LETTERS = "interval-plan", "dead-letters"
ATTEMPTS = 5
_BUCKET = "tests-state"
_JOBS = f"{PROJECT}/locations/europe-west1/jobs"
_PROGRAMS = Path(__file__).with_name("guest_programs")
_SOURCE, _SCRIPT = _PROGRAMS / "functions_on_google.py", _PROGRAMS / "holding.py"
_HEARTBEAT_S = 0.7
_STEP_S = 20.0
"""What a step of the script says that it takes on the clock; it takes less, so that intervals are
long and work is short."""
_TIMING = {
    "boot_lead_s": 900,
    "lease_ttl_s": 6000,
    "shutdown_grace_s": 18_000,
    "force_stop_after_s": 12_000,
    "silence_s": 36_000,
    "block_s": 72_000,
    "operation_timeout_s": 18_000,
    "retry_after_s": 60,
    "max_fruitless_vms": 1000,
}


def why_not() -> str | None:
    """Return what is missing to run it here, `None` if nothing is."""
    if fake_gcs.find_server() is None:
        return "fake-gcs-server is not installed"
    return pubsub_emulator.why_not()


@dataclass
class GoogleSite:
    """A running deployment, and the hands of the world around it."""

    folder: Path
    clock: ScaledClock
    model: ComputeModel
    guests: Guests
    pubsub: PubSubEmulator
    gate: PushGate
    scheduler: FakeScheduler
    grid: ElectricityMapsServer
    functions: dict[str, str]
    """Address of each function."""
    store: GcsBlobStore
    _ending: threading.Event = field(default_factory=threading.Event)

    @property
    def documents(self) -> Documents:
        """The bucket."""
        return Documents(self.store)

    def submit(self, job_id: str, *, steps: int, hold_at: int, region: str, **more: object) -> None:
        """Submit a job that counts to `steps`; the next tick plans it.

        It stays at the step `hold_at` until `release`.
        """
        now, work_h = self.clock.now(), steps * _STEP_S / 3600
        fields: dict[str, object] = {
            "job_id": job_id,
            "machine_type": "e2-standard-8",
            "power_w": 250,
            "allowed_regions": (region,),
            "submitted_at": now,
            "work_h": work_h,
            # No time to wait for an hour that the forecast takes for a little cleaner.
            "deadline": now + timedelta(hours=work_h + 1),
            "start_overhead_s": 1200,
            "move_overhead_s": 1200,
            "args": (str(steps), str(hold_at)),
            **more,
        }
        job = Job(**fields)  # type: ignore[arg-type]
        self.store.write(f"hold-{job_id}", b"")
        submit(self.store, self, job, {job.script: _SCRIPT.read_bytes()})

    def release(self, job_id: str) -> None:
        """Let a job go on beyond the step at which it holds."""
        self.store.delete(f"hold-{job_id}")

    def put_off(self, job_id: str, by: timedelta) -> None:
        """Move a job's deadline, as a person may by editing its document."""
        name = object_names.job(job_id)
        job = self.documents.get(Job, name)
        assert job.deadline is not None
        self.documents.write(name, replace(job, deadline=job.deadline + by))

    def tick_now(self) -> None:
        """Be the alarm that `submit` rings: several jobs are planned by one `tick`."""

    def tick(self) -> None:
        """Trigger `forecast` as Cloud Scheduler does."""
        answer = self.gate.tick(self.clock.now())
        assert answer.ok, answer.text

    def aim_boundary(self, at: datetime, *later: datetime) -> None:
        """Nobody here aims it but `forecast`."""
        raise NotImplementedError

    def state(self, job_id: str) -> JobState:
        """Return the control plane's state of a job."""
        return self.documents.get(JobState, object_names.state(job_id))

    def vms(self, job_id: str) -> dict[str, str]:
        """Return a job's VMs that are there now: the compute zone by the name."""
        with self.model.lock:
            found = self.model.instances().items()
            return {key[1]: key[0] for key, one in found if one.labels["job"] == job_id}

    def data_disks(self) -> list[str]:
        """Return the names of the data disks that are there now."""
        with self.model.lock:
            return [name for _, name in self.model.shelf.disks if name.endswith("-data")]

    def wait(self, look: object, what: str) -> None:
        """Wait until `look()` holds; fail with the ends of all logs if it does not."""
        try:
            until(look, timeout_s=PATIENCE_S)  # type: ignore[arg-type]
        except AssertionError as error:
            raise AssertionError(f"waited in vain for {what}\n{self.logs(1500)}") from error

    def logs(self, last: int = 10**9) -> str:
        """Return the end of each log of functions and VMs."""
        files = [file for file in sorted(self.folder.glob("*.log")) if file.name != "pubsub.log"]
        return "\n".join(f"--- {file.name}\n{file.read_text()[-last:]}" for file in files)

    def lines(self, function: str) -> list[dict[str, object]]:
        """Return what a function has logged, as Cloud Logging would see it."""
        text = (self.folder / f"{function}.log").read_text()
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def keep_time(self) -> None:
        """Be Cloud Scheduler: heartbeats, and a tick at each full hour; until `end`."""
        hour = self.clock.now().replace(minute=0, second=0, microsecond=0)
        while not self._ending.wait(_HEARTBEAT_S):
            self.pubsub.publish(TOPIC, encode_wake_up(WakeUp(kind=WakeUpKind.HEARTBEAT)))
            now = self.clock.now().replace(minute=0, second=0, microsecond=0)
            if now > hour:
                hour = now
                with suppress(requests.RequestException):  # the next hour's comes, too
                    self.gate.tick(now)

    def end(self) -> None:
        """Let no more time be kept."""
        self._ending.set()


@contextmanager
def google_site(folder: Path) -> Iterator[GoogleSite]:
    """Start everything, and end it."""
    speed = _speed()
    now_s = time.time()
    clock = ScaledClock(real_anchor_s=now_s, simulated_anchor_s=now_s // 3600 * 3600, speed=speed)
    binary = fake_gcs.find_server()
    assert binary is not None
    scheduler = FakeScheduler(f"{_JOBS}/boundary", f"{_JOBS}/forecast")
    signer, model, grid = TokenSigner(), ComputeModel(clock), ElectricityMapsServer(clock)
    account = account_metadata()
    (folder / "bucket").mkdir()
    with ExitStack() as stack:
        certs_url = stack.enter_context(signer.serving())
        storage_url = stack.enter_context(fake_gcs.running_server(binary, folder / "bucket"))
        emulator = stack.enter_context(pubsub_emulator.running_emulator(folder))
        compute_url = stack.enter_context(serving(model))
        scheduler_address = stack.enter_context(scheduler.serving())
        functions = {name: f"http://127.0.0.1:{free_port()}" for name in SERVICES}
        gate = PushGate(signer, functions)
        for server in (account, grid.server, gate.server):
            server.start()
            stack.callback(server.stop)
        store = _store(storage_url)
        environment = {
            **{PREFIX + name.upper(): str(value) for name, value in _TIMING.items()},
            f"{PREFIX}BUCKET": store.url,
            f"{PREFIX}PROJECT": "tests",
            f"{PREFIX}LOCATION": "europe-west1",
            f"{PREFIX}INSTANCE_TEMPLATES": f"default={TEMPLATE}",
            f"{PREFIX}BOUNDARY_JOB": f"{_JOBS}/boundary",
            f"{PREFIX}FORECAST_JOB": f"{_JOBS}/forecast",
            f"{PREFIX}ELECTRICITY_MAPS_KEY": electricity_maps_server.KEY,
            f"{PREFIX}ELECTRICITY_MAPS_URL": f"{grid.server.url}/v4",
            f"{PREFIX}COMPUTE_URL": compute_url,
            f"{PREFIX}CERTS_URL": certs_url,
            f"{PREFIX}CALLER": CALLER,
            CLOCK_VARIABLE: clock.to_json(),
            "TESTS_SCHEDULER": scheduler_address,
            "STORAGE_EMULATOR_HOST": storage_url,
            "PUBSUB_EMULATOR_HOST": emulator.address,
            "GCE_METADATA_HOST": account.address,
            "GCE_METADATA_IP": account.address,
            "DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA": "true",
        }
        processes = [_start(name, functions[name], environment, folder) for name in SERVICES]
        stack.callback(_end, processes)
        for url in functions.values():
            until(lambda url=url: _answers(url), timeout_s=60)
        _subscribe(emulator, gate.server.url)
        guests = Guests(model, clock, folder, {"STORAGE_EMULATOR_HOST": storage_url})
        guests.start()
        stack.callback(guests.stop)
        site = GoogleSite(
            *(folder, clock, model, guests, emulator, gate, scheduler, grid, functions, store)
        )
        keeper = threading.Thread(target=site.keep_time, name="scheduler", daemon=True)
        keeper.start()
        stack.callback(keeper.join)
        stack.callback(site.end)
        yield site


def _speed() -> float:
    """Return a speed at which an hour has room for the boots of some VMs."""
    begin_s = time.monotonic()
    boot = "import vm_runtime.launch, google.cloud.storage"
    subprocess.run([sys.executable, "-c", boot], check=True)  # noqa: S603 - our own
    return min(FASTEST, 3600 / (_BOOTS_PER_HOUR * (time.monotonic() - begin_s)))


def _store(url: str) -> GcsBlobStore:
    client = storage.Client(
        project="tests",
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options={"api_endpoint": url},
    )
    client.create_bucket(_BUCKET)
    return GcsBlobStore(_BUCKET, make_client=lambda: client)


def _start(
    name: str, url: str, environment: dict[str, str], folder: Path
) -> "subprocess.Popen[bytes]":
    """Run one function as its container does: one target, one process."""
    kind = "http" if name == "forecast" else "cloudevent"
    host, _, port = url.removeprefix("http://").partition(":")
    own = {"FUNCTION_TARGET": name, f"{PREFIX}SERVICE": SERVICES[name]}
    with (folder / f"{name}.log").open("w") as log:
        return subprocess.Popen(  # noqa: S603 - our own
            [
                *(sys.executable, "-m", "functions_framework", "--source", str(_SOURCE)),
                *("--target", name, "--signature-type", kind, "--host", host, "--port", port),
            ],
            env={**os.environ, **environment, **own},
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def _end(processes: "list[subprocess.Popen[bytes]]") -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(url: str) -> bool:
    try:
        with requests.Session() as session:
            session.trust_env = False
            return session.get(url, timeout=30).status_code < 500
    except requests.RequestException:
        return False


def _subscribe(emulator: PubSubEmulator, gate_url: str) -> None:
    """Make topics and subscriptions as infra/topic.tf does."""
    for topic in (TOPIC, DEAD_LETTERS):
        emulator.create_topic(topic)
    emulator.subscribe(DEAD_LETTERS, DEAD_LETTERS)
    for name in SERVICES:
        if name == "forecast":
            continue
        path = f"{PROJECT}/topics/{TOPIC}?pubsub_trigger=true"
        emulator.subscribe(
            f"push-{name}",
            TOPIC,
            ackDeadlineSeconds=300,
            pushConfig={"pushEndpoint": f"{gate_url}/{name}/{path}"},
            deadLetterPolicy={
                "deadLetterTopic": f"{PROJECT}/topics/{DEAD_LETTERS}",
                "maxDeliveryAttempts": ATTEMPTS,
            },
        )
