"""The speed of training and of resuming, and what interruptions lose."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from fake_session import FakeSession
from figure import Figure
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from vm_runtime.contract.clock import SystemClock
from vm_runtime.contract.ledger import SegmentKind
from vm_runtime.data import ALONE
from vm_runtime.examples import digits
from vm_runtime.session import enter_session
from vm_runtime.storage.files import FileBlobStore
from vm_runtime.trainer import IntervalTrainer
from vm_runtime.trainer_group import Group
from vm_runtime.trainer_loop import TrainingLoop
from vm_runtime.trainer_tasks import task_of

EPOCHS = 60
BATCH = 32
EVERY_S = 60.0

HUGE = 10_000_000
HUGE_BATCH = 1000

SAMPLES = 4000
SMALL_BATCH = 8
WORKERS = 8
INTERRUPTIONS = 20
PEER_INTERRUPTIONS = 5
"""Fewer, as some of the peers take long to start again; the figure is per interruption."""


class RealTimeSession(FakeSession):
    """A job on a folder of this machine, in real time, that never stops."""

    def __init__(self, folder: Path) -> None:
        """Begin at once."""
        super().__init__(FileBlobStore(folder))
        self.clock = SystemClock()  # type: ignore[assignment]
        self.pauses_s: list[float] = []
        self._since = time.perf_counter()

    def stop_reason(self) -> None:
        """Go on."""

    def report(self, **_: object) -> None:
        """Forget it."""

    def spend(self, kind: SegmentKind) -> None:
        """Time the checkpoints."""
        now = time.perf_counter()
        if kind is SegmentKind.CHECKPOINT:
            self._since = now
        elif kind is SegmentKind.TRAIN:
            self.pauses_s.append(now - self._since)


class Turns:
    """A callback that times epochs, and has a plain loop train one after each of them."""

    def __init__(self, plain: Callable[[], object]) -> None:
        """Take the plain loop's epoch."""
        self.ours_s: list[float] = []
        self.theirs_s: list[float] = []
        self._plain = plain
        self._begin = 0.0

    def on_epoch_start(self, epoch: int) -> None:
        """Begin to time."""
        del epoch
        self._begin = time.perf_counter()

    def on_epoch_end(self, epoch: int, metrics: dict[str, float]) -> None:
        """Note the time, and the plain loop's."""
        del epoch, metrics
        now = time.perf_counter()
        self.ours_s.append(now - self._begin)
        self._plain()
        self.theirs_s.append(time.perf_counter() - now)


def speed_figures() -> Iterator[Figure]:
    """Samples loaded by the training process itself, and by a worker on the second core."""
    for num_workers in (0, 1):
        yield _speed(num_workers)


def _speed(num_workers: int) -> Figure:
    """Our loop in a job beside the same loop in plain PyTorch: small CNN, one thread.

    In turns of one epoch, so that what else the machine does falls on both alike. Checkpoints
    are timed apart, as one a minute hits few turns, and counted as one a minute.
    """
    data = digits.Digits(train=True)
    model, optimizer = _network()
    loader = DataLoader(
        data,
        batch_size=BATCH,
        shuffle=True,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
    )

    def plain() -> float:
        total = 0.0
        for inputs, targets in loader:
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(inputs), targets)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(targets)
        return total

    turns = Turns(plain)
    with tempfile.TemporaryDirectory() as folder:
        session = RealTimeSession(Path(folder))
        enter_session(session)
        try:
            _digits_trainer(data, turns, num_workers).fit()
        finally:
            enter_session(None)
    pause_s = statistics.mean(session.pauses_s)
    ours_s = statistics.median(turns.ours_s[1:]) * (1 + pause_s / EVERY_S)
    theirs_s = statistics.median(turns.theirs_s[1:])
    return Figure(
        what=f"training in a job, small CNN on digits, {num_workers} workers, checkpoint a minute",
        ours=f"{len(loader) / ours_s:.0f} steps/s ({1000 * pause_s:.1f} ms a checkpoint)",
        peer=f"plain PyTorch {len(loader) / theirs_s:.0f} steps/s",
        ratio=f"{theirs_s / ours_s:.3f}",
    )


def _network() -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(digits.SEED)
    model = digits.network()
    return model, torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)


def _digits_trainer(data: digits.Digits, turns: Turns, num_workers: int) -> IntervalTrainer:
    model, optimizer = _network()
    return IntervalTrainer(
        model=model,
        train_dataset=data,
        loss_fn=functional.cross_entropy,
        optimizer=optimizer,
        callbacks=[turns],
        num_workers=num_workers,
        epochs=EPOCHS,
        batch_size=BATCH,
        seed=digits.SEED,
        checkpoint_every_s=EVERY_S / 20,  # often enough to time some
        show_progress=False,
    )


class HugeData(Dataset[Tensor]):
    """Ten million samples that cost nothing."""

    def __len__(self) -> int:
        """Return their number."""
        return HUGE

    def __getitem__(self, index: int) -> Tensor:
        """Return one."""
        return torch.tensor([float(index)])

    def __getitems__(self, indices: list[int]) -> Tensor:
        """Return many at once, for the peer that has to fetch all those before."""
        return torch.tensor(indices, dtype=torch.float32).unsqueeze(1)


def resume_figures() -> Iterator[Figure]:
    """From a checkpoint deep in a huge epoch to the first step after it."""
    for percent in (10, 90):
        ours_s = min(_first_step_s(percent) for _ in range(3))
        theirs_s = _stateful_loader_s(percent)
        yield Figure(
            what=f"first batch after a resume at {percent} % of 10 million samples",
            ours=f"{ours_s:.3f} s",
            peer=f"StatefulDataLoader {theirs_s:.3f} s",
            ratio=f"{theirs_s / ours_s:.1f}",
        )


def _first_step_s(percent: int) -> float:
    """Return the time to make the loop, take the state over and train one batch, seconds."""
    model = nn.Linear(1, 1)
    trainer = IntervalTrainer(
        model=model,
        train_dataset=HugeData(),
        loss_fn=lambda outputs, _: outputs.square().mean(),
        optimizer=torch.optim.SGD(model.parameters(), lr=1e-20),
        epochs=1,
        batch_size=HUGE_BATCH,
    )
    state = TrainingLoop(trainer, task_of(trainer), Group(trainer, ALONE)).state_dict()
    state["position"]["batch"] = HUGE // HUGE_BATCH * percent // 100
    begin = time.perf_counter()
    loop = TrainingLoop(trainer, task_of(trainer), Group(trainer, ALONE))
    loop.begin(state)
    loop.advance()
    return time.perf_counter() - begin


def _stateful_loader_s(percent: int) -> float:
    """Return the time of torchdata's loader alone, seconds, restored in the same place."""
    loader_class = _stateful_data_loader()

    def loader() -> Any:  # noqa: ANN401  torchdata has no types
        return loader_class(
            HugeData(), batch_size=HUGE_BATCH, shuffle=True, collate_fn=lambda batch: batch
        )

    before = loader()
    batches = iter(before)
    for _ in range(HUGE // HUGE_BATCH * percent // 100):
        next(batches)
    state = before.state_dict()
    begin = time.perf_counter()
    after = loader()
    after.load_state_dict(state)
    next(iter(after))
    return time.perf_counter() - begin


def _stateful_data_loader() -> Any:  # noqa: ANN401  torchdata has no types
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torchdata.stateful_dataloader import StatefulDataLoader  # noqa: PLC0415

    return StatefulDataLoader


class Marked(Dataset[tuple[Tensor, Tensor]]):
    """Samples that say which they are."""

    def __len__(self) -> int:
        """Return their number."""
        return SAMPLES

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return a sample and its index."""
        return torch.full((1,), float(index)), torch.tensor(index)


def loss_figures() -> Iterator[Figure]:
    """Samples of one epoch lost or seen again, with eight loader workers."""
    lost, again = _ours_lost()
    ours = f"{(lost + again) / INTERRUPTIONS:.0f}"
    for name, found in _peers_lost():
        yield Figure(
            what=f"samples lost or repeated per interruption, {WORKERS} workers",
            ours=f"{ours} ({INTERRUPTIONS} interruptions)",
            peer=f"{name} {found}",
        )


def _peers_lost() -> Iterator[tuple[str, str]]:
    for name, measure in [
        ("eco4cast", _eco4cast_lost),
        ("Lightning, ckpt_path", _lightning_lost),
        ("StatefulDataLoader", _stateful_loader_lost),
    ]:
        found = measure()
        if found is None:
            yield name, "not installed here"
            continue
        count, lost, again = found
        yield name, f"{(lost + again) / count:.0f} ({lost} lost, {again} repeated in {count})"


def _tally(seen: list[int]) -> tuple[int, int]:
    counts = Counter(seen)
    return SAMPLES - len(counts), sum(counts.values()) - len(counts)


def _ours_lost() -> tuple[int, int]:
    seen: list[int] = []
    every = SAMPLES // SMALL_BATCH // (INTERRUPTIONS + 1)
    with tempfile.TemporaryDirectory() as folder:
        for incarnation in range(1, INTERRUPTIONS + 2):
            stop = None if incarnation > INTERRUPTIONS else every
            session = FakeSession(
                FileBlobStore(Path(folder)), incarnation=incarnation, stop_at_look=stop
            )
            enter_session(session)
            try:
                _marked_trainer(seen).fit()
            finally:
                enter_session(None)
    return _tally(seen)


def _marked_trainer(seen: list[int]) -> IntervalTrainer:
    model = nn.Linear(1, 1)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        seen.extend(targets.tolist())
        return outputs.square().mean()

    return IntervalTrainer(
        model=model,
        train_dataset=Marked(),
        loss_fn=loss_fn,
        optimizer=torch.optim.SGD(model.parameters(), lr=1e-20),
        epochs=1,
        batch_size=SMALL_BATCH,
        num_workers=WORKERS,
    )


def _eco4cast_lost() -> tuple[int, int, int] | None:
    python = os.environ.get("PEER_PYTHON", "")
    if not Path(python).exists():
        return None
    numbers = (SAMPLES, SMALL_BATCH, WORKERS)
    peer = Path(__file__).with_name("eco4cast_trainer_peer.py")
    done = subprocess.run(  # noqa: S603  the peer
        [python, str(peer), *map(str, numbers)], capture_output=True, text=True, check=True
    )
    count, lost, again = map(int, done.stdout.split())
    return count, lost, again


def _stateful_loader_lost() -> tuple[int, int, int]:
    seen: list[int] = []
    state = None
    every = SAMPLES // SMALL_BATCH // (PEER_INTERRUPTIONS + 1)
    for stay in range(PEER_INTERRUPTIONS + 1):
        loader = _stateful_data_loader()(
            Marked(), batch_size=SMALL_BATCH, shuffle=True, num_workers=WORKERS
        )
        if state is not None:
            loader.load_state_dict(state)
        last = stay == PEER_INTERRUPTIONS
        for number, (_, targets) in enumerate(loader, start=1):
            seen += targets.tolist()
            if not last and number == every:
                state = loader.state_dict()
                break
    return (PEER_INTERRUPTIONS, *_tally(seen))


def _lightning_lost() -> tuple[int, int, int] | None:
    """Stop by `max_steps`, save, and go on with `ckpt_path` in a new Trainer."""
    code = Path(__file__).with_name("lightning_peer.py")
    numbers = (SAMPLES, SMALL_BATCH, WORKERS, PEER_INTERRUPTIONS)
    done = subprocess.run(  # noqa: S603  the peer
        [sys.executable, str(code), *map(str, numbers)], capture_output=True, text=True, check=True
    )
    count, lost, again = map(int, done.stdout.split()[-3:])
    return count, lost, again


FIGURES = (speed_figures, resume_figures, loss_figures)
