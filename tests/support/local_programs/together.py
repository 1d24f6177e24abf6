"""Trains with several processes, forked from one that has imported torch: cheap, and real gloo.

Reads scenarios as JSON from standard input, `{"name", "size", "stops", ...}`, and writes what came
out into the folder given: `<name>.pt`, the final state, and `<name>.json`, the samples seen.
"""

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

import torch
from fake_session import FakeSession
from tiny_training import Item, fit
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset

from vm_runtime import trainer_processes
from vm_runtime.storage.files import FileBlobStore
from vm_runtime.trainer import IntervalTrainer


class Samples(Dataset[Item]):
    """Samples whose targets are their indices."""

    def __init__(self, length: int) -> None:
        """Make `length` samples."""
        self._length = length

    def __len__(self) -> int:
        """Return the number of samples."""
        return self._length

    def __getitem__(self, index: int) -> Item:
        """Return a noisy sample and its index."""
        return torch.full((4,), index / self._length) + torch.rand(4), torch.tensor(index)


def trainer(scenario: dict[str, Any], seen: list[int]) -> IntervalTrainer:
    """Return a training whose layers are wide enough for DDP to use several buckets."""
    torch.manual_seed(scenario.get("init", 0))
    model = nn.Sequential(
        nn.Linear(4, 300),
        nn.BatchNorm1d(300) if scenario.get("batch_norm", True) else nn.LayerNorm(300),
        nn.Tanh(),
        nn.Linear(300, 300),
        nn.Tanh(),
        nn.Dropout(scenario.get("dropout", 0.3)),
        nn.Linear(300, 1),
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        if model.training:
            seen.append(targets.tolist())
        return functional.mse_loss(outputs[:, 0], targets / 24)

    return IntervalTrainer(
        model=model,
        train_dataset=Samples(scenario.get("length", 24)),
        val_dataset=Samples(9),
        loss_fn=loss_fn,
        optimizer=optimizer,
        lr_scheduler=torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5),
        metrics={"error": lambda outputs, targets: (outputs[:, 0] - targets / 24).abs().mean()},
        epochs=2,
        batch_size=8,
        accumulate=scenario.get("accumulate", 1),
        seed=3,
        devices=scenario["size"],
        num_workers=scenario.get("num_workers", 0),
        checkpoint_in_background=False,
        show_progress=False,
    )


class Forked:
    """A process with the little of `Popen` that the trainer uses."""

    def __init__(self, pid: int) -> None:
        """Take its id."""
        self.pid = pid
        self._code: int | None = None

    def poll(self) -> int | None:
        """Return its exit code if it has ended."""
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if pid else None
        return self._code

    def wait(self, timeout: float) -> int:
        """Wait for its end, whatever the time."""
        del timeout
        if self._code is None:
            self._code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._code

    def kill(self) -> None:
        """Kill it."""
        os.kill(self.pid, 9)


def in_fork(work: Any) -> int:  # noqa: ANN401
    """Run `work` in a forked process and return its id."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        code = 0
    except SystemExit as error:
        code = int(error.code or 0)
    except BaseException:  # noqa: BLE001  a fork must not go on as its parent
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def run(folder: Path, scenario: dict[str, Any], stop: int | None, incarnation: int) -> None:
    """Train once, as the first process."""
    seen: list[int] = []

    def follow(rank: int, size: int, port: int) -> Forked:
        def work() -> None:
            order = {"rank": rank, "size": size, "port": port, "parent": 0, "path": []}
            text = json.dumps({**order, "module": None, "script": ""})
            os.environ[trainer_processes.VARIABLE] = text
            part: list[int] = []
            try:
                if scenario.get("fails_at") == rank:
                    raise RuntimeError("this process is meant to fail")
                fit(trainer({**scenario, "init": rank + 7}, part), None)
            finally:
                with (folder / f"{scenario['name']}-{rank}.json").open("a") as file:
                    file.write(json.dumps(part) + "\n")

        return Forked(in_fork(work))

    trainer_processes.start = follow  # type: ignore[assignment]
    store = FileBlobStore(folder / scenario["name"])
    session = FakeSession(store, incarnation=incarnation, stop_at_look=stop)
    outcome = fit(trainer(scenario, seen), session)
    with (folder / f"{scenario['name']}-0.json").open("a") as file:
        file.write(json.dumps(seen) + "\n")
    with (folder / f"{scenario['name']}.log").open("a") as file:
        file.write(
            json.dumps([outcome.step, outcome.finished, str(outcome.stopped_because)]) + "\n"
        )


def main() -> None:
    """Run all scenarios one after the other; each of its stays in a process of its own."""
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    for scenario in json.load(sys.stdin):
        sizes = scenario.get("sizes") or [scenario["size"]] * (len(scenario["stops"]) + 1)
        for number, (stop, size) in enumerate(zip([*scenario["stops"], None], sizes, strict=True)):
            stay = {**scenario, "size": size, "init": number}
            pid = in_fork(lambda stay=stay, at=stop, n=number: run(folder, stay, at, n + 1))
            os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
