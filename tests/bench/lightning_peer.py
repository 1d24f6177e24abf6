"""Lightning's Trainer, interrupted within an epoch and resumed with `ckpt_path`.

Arguments: samples, batch size, loader workers, interruptions. Prints the interruptions, how many
samples of the epoch were lost, and how many were seen again.
"""

import logging
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

warnings.simplefilter("ignore")
from lightning.pytorch import LightningModule, Trainer  # noqa: E402
from lightning.pytorch.callbacks import ModelCheckpoint  # noqa: E402

SAMPLES, BATCH, WORKERS, INTERRUPTIONS = map(int, sys.argv[1:])


class Marked(torch.utils.data.Dataset[tuple[Tensor, Tensor]]):
    """Samples that say which they are."""

    def __len__(self) -> int:
        """Return their number."""
        return SAMPLES

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return a sample and its index."""
        return torch.full((1,), float(index)), torch.tensor(index)


class Net(LightningModule):
    """Notes what it trains on."""

    def __init__(self, seen: list[int]) -> None:
        """Build it."""
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.seen = seen

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        """Note the indices."""
        del batch_idx
        self.seen += batch[1].tolist()
        return self.layer(batch[0]).square().mean()

    def configure_optimizers(self) -> Any:  # noqa: ANN401
        """Learn nothing."""
        return torch.optim.SGD(self.parameters(), lr=1e-20)


def main() -> None:
    """Stop after every so many steps."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    seen: list[int] = []
    every = SAMPLES // BATCH // (INTERRUPTIONS + 1)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = ""
        for stay in range(INTERRUPTIONS + 1):
            torch.manual_seed(0)  # the same order of samples, as a careful user would see to
            trainer = Trainer(
                max_epochs=1,
                max_steps=(stay + 1) * every if stay < INTERRUPTIONS else -1,
                accelerator="cpu",
                logger=False,
                callbacks=[ModelCheckpoint(folder, filename=f"{stay}", every_n_train_steps=every)],
                enable_progress_bar=False,
                enable_model_summary=False,
            )
            loader = torch.utils.data.DataLoader(
                Marked(), batch_size=BATCH, shuffle=True, num_workers=WORKERS
            )
            trainer.fit(Net(seen), loader, ckpt_path=checkpoint or None)
            checkpoint = str(Path(folder) / f"{stay}.ckpt")  # taken within the epoch
    counts = Counter(seen)
    print(INTERRUPTIONS, SAMPLES - len(counts), sum(counts.values()) - len(counts))  # noqa: T201


if __name__ == "__main__":
    main()
