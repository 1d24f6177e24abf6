"""Trains the network. The only module that imports Lightning; inference must not need it.

One run: fit the linear path in closed form, train the members of the ensemble, and, if some
days are held out, find on these how wide the intervals have to be; then do the first two
again on all hours.
"""

import dataclasses
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TypeAlias, cast

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from numpy.typing import NDArray
from torch import Tensor
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, IterableDataset

from forecaster.artifact import Manifest, pack, sha256
from forecaster.batches import Faults, Windows, draw_batches
from forecaster.calibration import calibrate
from forecaster.lessons import (
    neighbours_in,
    one_basis,
    persistence_error,
    tabulate_lessons,
    without_last,
)
from forecaster.linear_path import LinearPath
from forecaster.linear_start import fit_linear_path
from forecaster.loss import pinball
from forecaster.model import (
    HOURS_PER_DAY,
    Clocks,
    ModelConfig,
    Tcn,
    history_lengths,
    normalise,
    reverse,
)
from forecaster.prediction import clocks_at
from forecaster.series import IntensityHistory, UtcHour, document
from forecaster.windows import Table

MOST_HELD_OUT = 6
"""At most the last sixth of the hours is held out."""
WARM_UP = 0.1
"""Share of the steps in which the learning rate rises."""


@document
class TrainingSettings:
    """How to train."""

    begin: UtcHour = datetime(2021, 1, 1, tzinfo=UTC)
    """First hour to learn from."""
    end: UtcHour = datetime(2024, 1, 1, tzinfo=UTC)
    """End of the last hour to learn from; validation begins here."""
    steps: int = 500
    """Optimizer steps."""
    batch_size: int = 24
    """Origins a step; all grid zones are learnt from at each."""
    learning_rate: float = 1e-3
    """Highest; rises first, then falls as a cosine."""
    weight_decay: float = 0.05
    """AdamW's."""
    average_decay: float = 0.998
    """Of the running mean of the weights, a step."""
    calibration_days: int = 182
    """Last days that are held out first, at most a sixth of all, to calibrate; 0 for none."""
    seed: int = 0
    """Of weights, windows and faults."""
    never_neighbours: tuple[str, ...] = ("IT",)
    """Grid zones that do not inform others: stand-ins, which live data do not have."""


Tensors: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
"""A batch as Lightning can carry it: windows, targets, and the fields of `Clocks`."""


class BatchStream(IterableDataset[Tensors]):
    """Gives Lightning the batches as they are drawn."""

    def __init__(self, batches: Callable[[], Iterator[Windows]], config: ModelConfig) -> None:
        """Keep what makes the batches."""
        super().__init__()
        self._config = config
        self._batches = batches

    def __iter__(self) -> Iterator[Tensors]:
        """Draw from the beginning."""
        for batch in self._batches():
            clocks = clocks_at(batch.epoch_hours, self._config)
            yield (
                torch.from_numpy(batch.recorded_bzl),
                torch.from_numpy(batch.targets_bzh),
                clocks.past_blf,
                clocks.origin_bf,
                clocks.ahead_bhf,
            )


class Training(lightning.LightningModule):
    """One step of learning: pinball loss, each grid zone's errors on its own scale."""

    def __init__(
        self, model: Tcn, settings: TrainingSettings, *, scale: NDArray[np.float64]
    ) -> None:
        """Set up; `scale` is in gCO2eq/kWh, shape (grid zones,)."""
        super().__init__()
        self.model = model
        self.settings = settings
        self.average = AveragedModel(
            model,
            avg_fn=lambda average, now, steps: torch.lerp(
                average, now, 1 - mean_decay(settings, int(steps))
            ),
        )
        self.register_buffer("scale", torch.as_tensor(scale, dtype=torch.float32))

    def training_step(self, batch: Tensors) -> Tensor:
        """Return the loss of one batch, the mean over the members, each judged alone."""
        recorded, targets, past, origin, ahead = batch
        normal = normalise(recorded)
        members = self.model.each_member(normal, Clocks(past, origin, ahead))
        loss = pinball(reverse(members, normal), targets, self.get_buffer("scale"))
        self.log("loss", loss, prog_bar=True)
        return loss

    def on_train_batch_end(self, *_: object) -> None:
        """Move the mean of the weights towards the weights."""
        self.average.update_parameters(self.model)

    def configure_optimizers(self) -> lightning.pytorch.utilities.types.OptimizerLRScheduler:
        """Return AdamW with a warm-up and a cosine."""
        s = self.settings
        optimizer = torch.optim.AdamW(
            self.model.members.parameters(), lr=s.learning_rate, weight_decay=s.weight_decay
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=s.learning_rate, total_steps=s.steps, pct_start=WARM_UP
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


def train(
    histories: Mapping[str, IntensityHistory],
    *,
    settings: TrainingSettings | None = None,
    config: ModelConfig | None = None,
    faults: Faults | None = None,
    on_step: Callable[[int], None] = lambda _step: None,
) -> tuple[dict[str, Tensor], Manifest]:
    """Train a network; the same bits for the same arguments on the same machine.

    Args:
        histories: Recorded hours; later ones than `settings.end` are not looked at.
        settings: How; the defaults if `None`.
        config: Shape of the network; its grid zones and neighbours are set from `histories`.
        faults: How training windows are damaged.
        on_step: Called after each optimizer step with its number, to show progress; the
            numbers go to `total_steps(settings)`.

    Returns:
        Weights (the running mean) and manifest, without metrics.

    Raises:
        ValueError: If the histories are too short, or not all of one accounting basis.
    """
    settings, faults = settings or TrainingSettings(), faults or Faults()
    table = tabulate_lessons(histories, settings.begin, settings.end)
    basis = one_basis({zone: histories[zone] for zone in table.grid_zones})
    config = dataclasses.replace(
        config or ModelConfig(grid_zones=1),
        grid_zones=len(table.grid_zones),
        neighbours=neighbours_in(table, never=settings.never_neighbours),
    )
    early, done = None, 0
    if settings.calibration_days:
        hours = table.gco2eq_per_kwh.shape[1]
        held_out = min(settings.calibration_days * HOURS_PER_DAY, hours // MOST_HELD_OUT)
        early = _fit(without_last(table, held_out), config, (settings, faults), on_step)
        calibrate(early, table, hours=held_out)
        done = settings.steps
    model = _fit(table, config, (settings, faults), lambda step: on_step(done + step))
    if early is not None:
        model.width_pzhq.copy_(early.width_pzhq)
        model.yesterday_z.copy_(early.yesterday_z)
    weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
    manifest = Manifest(
        model=config,
        grid_zones=table.grid_zones,
        scale_gco2eq_per_kwh=tuple(float(value) for value in persistence_error(table)),
        basis=basis,
        settings=_plain(settings) | _plain(faults),
        data={
            "begin": table.start.isoformat(),
            "end": settings.end.isoformat(),
            "sha256": sha256(table.gco2eq_per_kwh.tobytes()),
        },
        metrics={},
        weights_sha256=sha256(pack(weights)),
    )
    return weights, manifest


def mean_decay(settings: TrainingSettings, steps: int) -> float:
    """Return the decay of the running mean after `steps`: short at first, to forget the start."""
    return min(settings.average_decay, (1 + steps) / (10 + steps))


def total_steps(settings: TrainingSettings) -> int:
    """Return how many optimizer steps a training takes, those before calibration included."""
    return settings.steps * (2 if settings.calibration_days else 1)


def _fit(
    table: Table,
    config: ModelConfig,
    how: tuple[TrainingSettings, Faults],
    on_step: Callable[[int], None],
) -> Tcn:
    """Return the running mean of a network that has learnt from `table`."""
    settings, faults = how
    lightning.seed_everything(settings.seed, verbose=False)
    model = Tcn(config)
    for path, hours in zip(model.linear, history_lengths(config), strict=True):
        fit_linear_path(cast("LinearPath", path), table, config, history_h=hours)
    model.linear.requires_grad_(requires_grad=False)
    module = Training(model, settings, scale=persistence_error(table))
    stream = BatchStream(
        lambda: draw_batches(
            table,
            config=config,
            faults=faults,
            batch_size=settings.batch_size,
            seed=settings.seed,
        ),
        config,
    )
    with warnings.catch_warnings():
        # Of Lightning's own code, and of workers that a stream in memory does not need.
        warnings.filterwarnings("ignore", message=".*LeafSpec", category=FutureWarning)
        warnings.filterwarnings("ignore", message=".*does not have many workers")
        _trainer(settings, on_step).fit(module, DataLoader(stream, batch_size=None))
    averaged = Tcn(config)
    averaged.load_state_dict(module.average.module.state_dict())
    return averaged.eval()


class _AfterStep(Callback):
    def __init__(self, on_step: Callable[[int], None]) -> None:
        self._on_step = on_step

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: object, **__: object) -> None:
        self._on_step(trainer.global_step)


def _trainer(settings: TrainingSettings, on_step: Callable[[int], None]) -> lightning.Trainer:
    # It would tell of the hardware that it does not use, and advertise.
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    return lightning.Trainer(
        accelerator="cpu",
        devices=1,
        max_steps=settings.steps,
        max_epochs=1,
        deterministic=True,
        gradient_clip_val=1.0,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        callbacks=[_AfterStep(on_step)],
    )


def _plain(settings: TrainingSettings | Faults) -> dict[str, float | int | str]:
    return {
        name: value if isinstance(value, int | float) else str(value)
        for name, value in dataclasses.asdict(settings).items()
    }
