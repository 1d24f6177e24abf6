"""Gradients are dropped after each step, in the optimizer's own way if it has one."""

import pytest
import torch
from tiny_training import NoisySamples
from torch import Tensor, nn
from torch.optim import SGD

from vm_runtime.trainer import IntervalTrainer


class CountingSgd(SGD):
    """Counts how often it is asked to drop the gradients."""

    dropped = 0

    def zero_grad(self, set_to_none: bool = True) -> None:  # noqa: FBT001, FBT002  torch's
        """Count, and do it."""
        self.dropped += 1
        super().zero_grad(set_to_none)


class AtStepEnd:
    """Notes the gradients that are left after each step."""

    def __init__(self, model: nn.Module) -> None:
        """Look at `model`."""
        self._model = model
        self.left: list[bool] = []

    def on_step_end(self, step: int) -> None:
        """Look."""
        del step
        self.left.append(any(p.grad is not None for p in self._model.parameters()))


def train(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[bool]:
    """Train three steps; return for each whether a gradient was left."""
    look = AtStepEnd(model)
    IntervalTrainer(
        model=model,
        train_dataset=NoisySamples(12),
        loss_fn=_loss,
        optimizer=optimizer,
        epochs=1,
        batch_size=4,
        callbacks=[look],
        show_progress=False,
    ).fit()
    return look.left


def _loss(outputs: Tensor, targets: Tensor) -> Tensor:
    return outputs.square().mean() + 0.0 * targets.sum()


def test_no_gradient_is_left_in_any_group() -> None:
    """Of all parameters, in whatever group they are."""
    model = nn.Linear(4, 1)
    groups = [{"params": [p], "lr": 0.1 / n} for n, p in enumerate(model.parameters(), start=1)]

    assert train(model, SGD(groups)) == [False, False, False]


@pytest.mark.parametrize("is_class", [True, False])
def test_an_optimizers_own_way_is_kept(is_class: bool) -> None:  # noqa: FBT001  parameter
    """Whether its class overrides `zero_grad`, or somebody replaced it in the one object."""
    model = nn.Linear(4, 1)
    calls: list[int] = []
    optimizer = (CountingSgd if is_class else SGD)(model.parameters(), lr=0.1)
    if not is_class:
        drop = optimizer.zero_grad

        def counting(set_to_none: bool = True) -> None:  # noqa: FBT001, FBT002  torch's
            calls.append(1)
            drop(set_to_none)

        optimizer.zero_grad = counting  # type: ignore[method-assign]
    train(model, optimizer)
    dropped = optimizer.dropped if isinstance(optimizer, CountingSgd) else len(calls)

    assert dropped == 4  # before the first step, and after each
