"""`Run`: makes a training loop of one's own resumable, in a handful of changed lines.

    run = Run(model=model, optimizer=optimizer, seed=7)
    for epoch in run.epochs(10):
        for inputs, targets in run.batches(dataset, batch_size=64):
            ...                      # forward, backward, step: as it was

Inside a job it goes on where the last VM stopped; when the job has to stop, the checkpoint is
committed between two batches and the script ends there, with exit code 75. Without a job it
simply trains.
"""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

from torch import nn
from torch.optim import Optimizer
from torch.utils.data import default_collate

from vm_runtime.data import Collate, Loading, MapSource, Source, dataset_length, is_stream
from vm_runtime.data_stream import StreamSource, check_stream
from vm_runtime.seeding import seed_rng
from vm_runtime.session import StopReason, current_session
from vm_runtime.state import (
    State,
    Stateful,
    StateMismatchError,
    deterministic_algorithms,
    gradients,
    restore_gradients,
)
from vm_runtime.trainer_position import NonFiniteError
from vm_runtime.trainer_session import SessionRun

MORE_TO_DO = 75
"""Exit code of a script that was stopped and is to be run again (`EX_TEMPFAIL`)."""

_RESERVED = frozenset({"run", "position", "data", "stream", "gradients", "values", "metrics"})


class Stopped(SystemExit):
    """The job has to stop here; all that was trained is committed."""

    def __init__(self, reason: StopReason) -> None:
        """End the script with the code that asks to be run again."""
        super().__init__(MORE_TO_DO)
        self.reason: Final = reason


@dataclass(slots=True, kw_only=True)
class RunPosition:
    """Where a loop of one's own is."""

    epoch: int = 0
    batch: int = 0
    """Batches whose loop body is done, in this epoch."""
    step: int = 0
    """Optimizer steps done in all."""
    batches: int = 0
    """Batches done in all."""
    epoch_is_over: bool = False
    """Whether no batch is left in this epoch; what follows them may be to be done yet."""


class Run:
    """Gives the batches of a training, and keeps what is `Stateful` in checkpoints.

    Leave an epoch early, if you must, by `break` at the end of the loop's body. What stands
    between `epochs` and `batches` runs again after a resume, so it must bear that, as
    `model.train()` does; what comes after the batches runs once.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        checkpoint_every_s: float | None = 600.0,
        checkpoint_in_background: bool = True,
        **parts: Any,  # noqa: ANN401  whatever has a state
    ) -> None:
        """Take what makes up the state; nothing is read or written before `epochs`.

        Args:
            seed: seed of order, augmentation and all random generators, at least 0.
            checkpoint_every_s: what a crash may lose at most, seconds on the job's clock.
            checkpoint_in_background: whether training goes on while a checkpoint is written.
            parts: models, optimizers, schedulers and all else with `state_dict` and
                `load_state_dict`, by names of your choice.

        Raises:
            TypeError: a part without state.
            ValueError: a name that is taken, or a negative seed.
        """
        for name, part in parts.items():
            if not isinstance(part, Stateful):
                message = (
                    f"{name}: expected something with state_dict() and load_state_dict(), found"
                    f" {type(part).__qualname__}; put plain values into run.values"
                )
                raise TypeError(message)
        if _RESERVED & parts.keys() or seed < 0:
            message = (
                f"expected a seed of at least 0 and parts with names other than"
                f" {', '.join(sorted(_RESERVED))}, found {seed} and {', '.join(parts)}"
            )
            raise ValueError(message)
        self._loop = _OwnLoop(seed, parts)
        self._every_s = checkpoint_every_s
        self._in_background = checkpoint_in_background
        self._session_run: SessionRun | None = None
        self._source: tuple[object, Source] | None = None
        self._has_begun = self._has_batches = False

    @property
    def step(self) -> int:
        """Optimizer steps done in all, by all VMs."""
        return self._loop.position.step

    @property
    def batch(self) -> int:
        """Number of the batch in hand within its epoch, from 0.

        Unlike a count of your own it is right after a resume, such as for accumulation.
        """
        return self._loop.position.batch

    @property
    def values(self) -> dict[str, Any]:
        """Plain values of your own, part of every checkpoint, such as the best score so far."""
        return self._loop.values

    @property
    def should_stop(self) -> bool:
        """Whether the job has to stop: a good moment to end the loop's body early."""
        session = current_session()
        return session is not None and session.stop_reason() is not None

    def log(self, **metrics: float) -> None:
        """Report metrics to whoever watches the job.

        Raises:
            NonFiniteError: `loss` is NaN or infinite.
        """
        numbers = {name: float(value) for name, value in metrics.items()}
        if not math.isfinite(numbers.get("loss", 0.0)):
            at = self._loop.position
            message = (
                f"expected a finite loss, found {numbers['loss']} in epoch {at.epoch}, batch"
                f" {at.batch}; the last checkpoint is kept"
            )
            raise NonFiniteError(message)
        self._loop.metrics.update(numbers)

    def checkpoint(self) -> None:
        """Ask for a checkpoint at the end of this loop body, without waiting for it."""
        self._loop.wants_checkpoint = True

    def epochs(self, count: int) -> Iterator[int]:
        """Give the epochs that are left, from 0 to `count - 1` in a new training.

        Raises:
            Stopped: the job has to stop; everything is committed.
            LeaseLostError: another VM has the job.
            StateMismatchError: the checkpoint belongs to another training.
        """
        with deterministic_algorithms():
            self._begin(count)
            at = self._loop.position
            try:
                while at.epoch < count:
                    self._look()
                    seed_rng(self._loop.seed, "epoch", at.epoch)
                    self._has_batches = False
                    yield at.epoch
                    at.epoch, at.batch, at.epoch_is_over = at.epoch + 1, 0, False
                    self._loop.stream = None
                    self._note(epoch_is_over=True)
                self._finish()
            finally:
                if self._source is not None:
                    self._source[1].close()

    def batches(
        self,
        dataset: Any,  # noqa: ANN401  map-style, or iterable and Stateful
        *,
        batch_size: int,
        num_workers: int = 0,
        collate_fn: Collate = default_collate,
    ) -> Iterator[Any]:
        """Give the batches that are left in this epoch, in random order; once an epoch.

        Raises:
            Stopped: the job has to stop; everything is committed.
            RuntimeError: called outside `epochs`, or twice in an epoch.
            StateMismatchError: the checkpoint was of another data set or batch size.
        """
        if not self._has_begun or self._has_batches:
            message = (
                "expected run.batches() once in each round of `for epoch in run.epochs(...)`; for"
                " validation, a DataLoader of your own does"
            )
            raise RuntimeError(message)
        self._has_batches = True
        loading = Loading(
            seed=self._loop.seed,
            batch_size=batch_size,
            num_workers=num_workers,
            collate=collate_fn,
        )
        source = self._source_of(dataset, loading)
        at = self._loop.position
        if not at.epoch_is_over:
            source.go_to(at.epoch, at.batch, self._loop.stream)
        while not at.epoch_is_over:
            self._look()
            loaded = source.next()
            seed_rng(self._loop.seed, "train", at.epoch, at.batch)
            try:
                yield loaded.batch
            finally:  # also when the loop is left by `break`
                at.batch, at.batches = at.batch + 1, at.batches + 1
                at.epoch_is_over = loaded.is_last
                self._loop.stream = source.stream_state
            self._note(epoch_is_over=False)
        self._look()
        seed_rng(self._loop.seed, "after", at.epoch)

    def _source_of(self, dataset: Any, loading: Loading) -> Source:  # noqa: ANN401  user data
        if self._source is not None and self._source[0] is dataset:
            return self._source[1]
        if is_stream(dataset):
            check_stream(dataset, name="dataset")
            length: int | str = "a stream"
            source: Source = StreamSource(dataset, loading, purpose="train")
        else:
            length = dataset_length(dataset, name="dataset")
            source = MapSource(dataset, loading, purpose="train", epochs=self._loop.epochs)
        self._loop.check_data({"length": length, "batch_size": loading.batch_size})
        self._loop.batches_per_epoch = source.batches_per_epoch
        self._source = (dataset, source)
        return source

    def _begin(self, count: int) -> None:
        if self._has_begun:
            message = "expected one `for epoch in run.epochs(...)` in a run, found a second"
            raise RuntimeError(message)
        self._has_begun = True
        self._loop.epochs = count
        session = current_session()
        if session is None:
            return
        self._session_run = SessionRun(
            session,
            self._loop,
            checkpoint_every_s=self._every_s,
            in_background=self._in_background,
        )
        reason = self._session_run.begin()
        if reason is not None:
            raise Stopped(reason)

    def _look(self) -> None:
        """Stop here if the job has to."""
        if self._session_run is None:
            return
        with self._session_run.guarded():
            reason = self._session_run.look()
            if reason is None:
                return
            self._session_run.save_the_rest(finished=False)
        self._session_run.end(reason)
        raise Stopped(reason)

    def _note(self, *, epoch_is_over: bool) -> None:
        if self._session_run is None:
            return
        with self._session_run.guarded():
            self._session_run.note(stepped=True, epoch_is_over=epoch_is_over)
            if self._loop.wants_checkpoint:
                self._session_run.begin_saving()
        self._loop.wants_checkpoint = False

    def _finish(self) -> None:
        if self._session_run is None:
            return
        with self._session_run.guarded():
            self._session_run.save_the_rest(finished=True)
        self._session_run.end(None)


class _OwnLoop:
    """A loop of one's own as the job sees it; implements `trainer_session.Resumable`."""

    may_stop = True

    def __init__(self, seed: int, parts: dict[str, Any]) -> None:
        self.seed: Final = seed
        self.position = RunPosition()
        self.metrics: dict[str, float] = {}
        self.values: dict[str, Any] = {}
        self.stream: State | None = None
        self.epochs = 0
        self.batches_per_epoch: int | None = None
        self.wants_checkpoint = False
        self.models: dict[str, nn.Module] = {
            name: part for name, part in parts.items() if isinstance(part, nn.Module)
        }
        self._parts = parts
        self._data: dict[str, int | str] | None = None
        for optimizer in [part for part in parts.values() if isinstance(part, Optimizer)][:1]:
            optimizer.register_step_post_hook(self._count_step)

    @property
    def done(self) -> bool:
        """Whether all epochs are complete."""
        return self.position.epoch >= self.epochs

    @property
    def steps_total(self) -> int | None:
        """Optimizer steps of all epochs, worked out from those of the batches so far."""
        at = self.position
        if self.batches_per_epoch is None or at.batches == 0:
            return None
        total = round(at.step / at.batches * self.batches_per_epoch * self.epochs)
        return max(total, at.step)

    def check_data(self, data: dict[str, int | str]) -> None:
        """Refuse other data than the checkpoint's: the order of its samples is lost."""
        if self._data is not None and self._data != data:
            message = (
                f"expected a data set as in the checkpoint, {self._data}, found {data}; set it"
                " back to what it was, or submit a new job"
            )
            raise StateMismatchError(message)
        self._data = data

    def begin(self, state: State | None) -> None:
        """Go to where `state` was taken, or to the beginning."""
        if state is None:
            return
        if state["run"] != {"seed": self.seed}:
            message = f"seed: expected {state['run']} as in the checkpoint, found {self.seed}"
            raise StateMismatchError(message)
        for name, part in self._parts.items():
            part.load_state_dict(state[name])
            if isinstance(part, Optimizer) and state["position"]["step"] > 0:
                # Else torch would warn of a scheduler that moves before the optimizer did.
                part._opt_called = True  # type: ignore[attr-defined]  # noqa: SLF001
        for name, model in self.models.items():
            restore_gradients(model, state["gradients"][name])
        self.position = RunPosition(**state["position"])
        self._data, self.stream = state["data"], state["stream"]
        self.values, self.metrics = dict(state["values"]), dict(state["metrics"])

    def state_dict(self) -> State:
        """Return all parts, and where the loop is; random generators are seeded by place."""
        return {
            "run": {"seed": self.seed},
            "position": asdict(self.position),
            "data": self._data,
            "stream": self.stream,
            "gradients": {name: gradients(model) for name, model in self.models.items()},
            "values": self.values,
            "metrics": self.metrics,
            **{name: part.state_dict() for name, part in self._parts.items()},
        }

    def agree(self, reason: StopReason | None) -> StopReason | None:
        """Return the reason: there is one process only."""
        return reason

    def call(self, hook: str, *args: object) -> None:
        """Do nothing: a loop of one's own needs no hooks."""

    def _count_step(self, *_: object) -> None:
        self.position.step += 1
