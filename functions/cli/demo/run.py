"""The demo from begin to end: compare, start the cloud, submit, make trouble, settle, prove."""

import dataclasses
import time
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.text import Text

from functions.cli.demo.ending import ending
from functions.cli.demo.pace import pace_of
from functions.cli.demo.saved import DemoFolder, DemoState
from functions.cli.demo.scenario import (
    ARGS,
    JOB_ID,
    SCRIPT,
    WARM_UP,
    demo_job,
    start_and_regions,
)
from functions.cli.demo.screen import Screen
from functions.cli.demo.trouble import has_left, region_of_vm, stays_in_one_region, victim
from functions.cli.demo.uninterrupted import run_uninterrupted
from functions.cli.reading import JobReader, job_ids
from functions.domain.lifecycle.state import Phase
from functions.errors import UnavailableError
from functions.handlers.submit import submit
from functions.local.alarm import LocalAlarm
from functions.local.cloud import EmbeddedCloud
from functions.local.events import EventKind
from functions.local.saved import FILE
from functions.report.documents import JobDocuments
from functions.report.figures import plotly_script
from functions.report.story import Event, story
from vm_runtime.contract.progress import Progress

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""

_LOOK_S = 0.25
_LONGEST_S = 600.0
"""Real seconds after which something is wrong."""
_FIRST_TICK_S = 60.0
_SHOWN = {EventKind.FAULT, EventKind.DEAD_LETTER, EventKind.FUNCTION_ERROR}
_EXAMPLES = Path(__file__).parents[3] / "vm_runtime" / "examples"


class Demo:
    """One run of the demo."""

    def __init__(self, *, folder: Path, history: Path | None, seed: int, live: bool) -> None:
        """Take the options of the command line."""
        self._folder = DemoFolder(folder)
        self._history = history
        self._seed = seed
        self._is_live = live
        self._console = Console(highlight=False)

    def run(self, *, resume: bool) -> int:
        """Run it and return the exit code: 0 only if the job finished with equal weights.

        Raises:
            SchedulerError: it cannot be run; the message says what to do.
        """
        plotly_script()  # rather now than at the end
        try:
            state = self._folder.load() if resume else self._begin()
            documents = self._run_job(state)
        except KeyboardInterrupt:
            self._say(self._farewell())
            return INTERRUPTED
        return ending(self._console, documents, self._folder)

    def _begin(self) -> DemoState:
        _, regions = start_and_regions(self._history)
        self._folder.prepare()
        return self._compare(regions)

    def _run_job(self, state: DemoState) -> JobDocuments:
        self._say("Starting the embedded cloud ...")
        with self._cloud(state) as cloud:
            # A demo may have been interrupted before it had submitted its job.
            if JOB_ID not in job_ids(cloud.store):
                self._submit(cloud, state)
            return self._follow(cloud, state)

    def _cloud(self, state: DemoState) -> EmbeddedCloud:
        if (self._folder.cloud / FILE).exists():
            return EmbeddedCloud.resume(self._folder.cloud)
        start_at, _ = start_and_regions(state.history)
        pace = pace_of(state.train_s)
        return EmbeddedCloud(
            self._folder.cloud,
            speed=pace.speed,
            start_at=start_at - WARM_UP,
            timing=pace.timing,
            delays=pace.delays,
            heartbeat_s=pace.heartbeat_s,
            history=state.history,
            seed=state.seed,
        )

    def _farewell(self) -> str:
        if self._folder.is_begun:
            return "Interrupted; the state is saved. `make demo RESUME=1` goes on."
        return "Interrupted before there was anything to go on with. `make demo` starts anew."

    def _compare(self, regions: tuple[str, ...]) -> DemoState:
        self._say(f"Training {SCRIPT} once without interruption, for comparison ...")
        with self._console.status("starts") as status:

            def tell(progress: Progress) -> None:
                status.update(f"{progress.steps_done} of {progress.steps_total} steps")

            run = run_uninterrupted(
                _EXAMPLES / SCRIPT,
                self._folder.uninterrupted,
                job_id=JOB_ID,
                args=ARGS,
                on_progress=tell,
            )
        self._say(f"... {run.steps} steps in {run.train_s:.1f} s of training.")
        state = DemoState(
            history=self._history and self._history.absolute(),
            seed=self._seed,
            weights_sha256=run.weights_sha256,
            steps=run.steps,
            train_s=run.train_s,
            regions=regions,
        )
        self._folder.save(state)
        return state

    def _submit(self, cloud: EmbeddedCloud, state: DemoState) -> None:
        # The first tick loads torch and records the past: its seconds are not the job's.
        _wait_for_forecast(cloud, cloud.options.start_at + WARM_UP)
        job = demo_job(cloud.clock.now(), state.regions, pace_of(state.train_s))
        source = {SCRIPT: (_EXAMPLES / SCRIPT).read_bytes()}
        submit(cloud.store, LocalAlarm(cloud.url, cloud.key), job, source)

    def _follow(self, cloud: EmbeddedCloud, state: DemoState) -> JobDocuments:
        reader = JobReader(cloud.store, JOB_ID)
        note = f"to be equal to an uninterrupted run of {state.train_s:.0f} s"
        end_s = time.monotonic() + _LONGEST_S
        with Screen(
            self._console, live=self._is_live, speed=cloud.options.speed, note=note
        ) as screen:
            while time.monotonic() < end_s:
                documents = reader.read(cloud.clock.now())
                screen.show(documents, _events(cloud, documents))
                if _is_over(documents):
                    return documents
                state = self._make_trouble(cloud, state, documents)
                time.sleep(_LOOK_S)
        raise UnavailableError(
            f"demo: expected the job's receipt within {_LONGEST_S:.0f} s, found none. The machine"
            f" may be too busy; look into {self._folder.cloud} or run it again."
        )

    def _make_trouble(
        self, cloud: EmbeddedCloud, state: DemoState, documents: JobDocuments
    ) -> DemoState:
        before = state
        if state.full_region and has_left(documents, state.full_region):
            cloud.faults = dataclasses.replace(cloud.faults, stock_outs=frozenset())
            state = dataclasses.replace(state, full_region=None)
        vm = None if state.preempted else victim(documents)
        if vm:
            if stays_in_one_region(documents):
                full = region_of_vm(documents)
                cloud.faults = dataclasses.replace(cloud.faults, stock_outs=frozenset({full}))
                state = dataclasses.replace(state, full_region=full)
            cloud.compute.preempt(vm, without_notice=True)
            state = dataclasses.replace(state, preempted=True)
        if state is not before:
            self._folder.save(state)
        return state

    def _say(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)


def _wait_for_forecast(cloud: EmbeddedCloud, until: datetime) -> None:
    end_s = time.monotonic() + _FIRST_TICK_S
    while cloud.clock.now() < until or not cloud.store.list("forecasts/"):
        if time.monotonic() > end_s:
            raise UnavailableError(
                f"demo: expected a first forecast within {_FIRST_TICK_S:.0f} s, found none."
                f" Look into {cloud.folder / 'functions.log'}."
            )
        time.sleep(_LOOK_S)


def _events(cloud: EmbeddedCloud, documents: JobDocuments) -> list[Event]:
    """Return the job's story and what went wrong in the cloud, ascending."""
    faults = [
        Event(at=event.at, text=f"{event.subject}: {event.text.splitlines()[0]}")
        for event in cloud.events()
        if event.kind in _SHOWN
    ]
    return sorted([*story(documents), *faults])


def _is_over(documents: JobDocuments) -> bool:
    state, receipt = documents.state, documents.receipt
    if state is None:
        return False
    if state.phase is Phase.FAILED:
        return True
    return state.phase is Phase.FINISHED and receipt is not None and receipt.complete
