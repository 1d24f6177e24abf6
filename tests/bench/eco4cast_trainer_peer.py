"""Runs in eco4cast's own environment: its IntervalTrainer, interrupted in mid-epoch.

Arguments: samples, batch size, loader workers. Prints the number of interruptions, how many
samples were lost, and how many were seen again.
"""

import contextlib
import io
import os
import sys
import tempfile
import types
import warnings
from datetime import UTC, datetime

warnings.simplefilter("ignore")
import torch  # noqa: E402

# Its energy meter wants pkg_resources, which setuptools no longer has; it is not used here.
sys.modules["eco2ai"] = types.ModuleType("eco2ai")
from eco4cast.virtual_machine.smart_scheduler_concept import IntervalTrainer  # noqa: E402

SAMPLES, BATCH, WORKERS = map(int, sys.argv[1:])
END = datetime(2100, 1, 1, tzinfo=UTC)


class Samples(torch.utils.data.Dataset):
    """Samples that say which they are."""

    def __len__(self) -> int:
        """Return the number of samples."""
        return SAMPLES

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a sample and its index."""
        return torch.full((1,), float(index)), torch.tensor(float(index))


class NoMeter:
    """Stands for its energy meter, which needs the network."""

    def start(self) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Do nothing."""


def main() -> None:
    """Interrupt in the middle of an epoch."""
    seen: list[int] = []

    def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if trainer.model.training:
            seen.extend(int(target) for target in targets)
            if len(seen) == SAMPLES // 2:
                trainer.shutting = True  # what its interval's end sets, too
        return (outputs[:, 0] - targets).square().mean()

    trainer = IntervalTrainer(
        torch.nn.Linear(1, 1),
        Samples(),
        torch.utils.data.Subset(Samples(), range(BATCH)),
        loss,
        lambda *_: 0.0,
        optimizer=torch.optim.SGD,
        lr=1e-12,
        epochs=1,
        batch_size=BATCH,
        num_workers=WORKERS,
        show_progressbar=False,
    )
    trainer.emission_tracker = NoMeter()
    with contextlib.redirect_stdout(io.StringIO()):
        trainer._IntervalTrainer__train_loop(END)  # noqa: SLF001
    # It goes on from its sampler's place: what lies between that and what was seen is lost.
    lost = trainer.train_sampler.perm_index.value - len(seen)
    again = len(seen) - len(set(seen))
    print(1, lost, again, flush=True)  # noqa: T201
    os._exit(0)  # its workers would keep it alive


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        main()
