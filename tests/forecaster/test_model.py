"""Laws of the network."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import torch
from intensity_worlds import TINY
from pydantic import ValidationError
from torch.nn import functional

from forecaster.features import calendar, epoch_hour
from forecaster.model import Block, ModelConfig, Tcn, normalise


def network(config: ModelConfig = TINY, *, seed: int = 0) -> Tcn:
    """Return a network with random weights."""
    torch.manual_seed(seed)
    return Tcn(config).eval()


def inputs(config: ModelConfig, batch: int, *, seed: int = 0) -> tuple[torch.Tensor, ...]:
    """Return random windows, grid zones and a calendar."""
    random = torch.Generator().manual_seed(seed)
    shape = (batch, 1 + config.neighbours, config.lookback_h)
    windows = 50 + 400 * torch.rand(shape, generator=random)
    hours = np.arange(473_352, 473_352 + config.lookback_h + config.horizon_h)
    clock = torch.from_numpy(calendar(hours)).expand(batch, -1, -1)
    return windows, torch.zeros(batch, dtype=torch.int64), clock


def test_the_receptive_field_is_the_lookback_exactly() -> None:
    """An impulse at any hour of the lookback, and at no other, moves the last state."""
    config = ModelConfig(grid_zones=2)
    assert config.lookback_h == 168
    assert config.dilations == (1, 6, 12, 24)
    model = network(config)
    channels = 2 * (1 + config.neighbours) + calendar(np.arange(1)).shape[-1]
    x = torch.randn(1, channels, config.lookback_h, requires_grad=True)
    state = x
    for block in model.blocks:
        state = block(state)
    assert state.shape[-1] == 1
    state.abs().sum().backward()
    assert x.grad is not None
    assert (x.grad.abs().sum(dim=(0, 1)) > 0).all()


def test_skipped_positions_are_those_of_a_dilated_causal_convolution() -> None:
    """Striding over kept positions gives the last hour of the full dilated network."""
    torch.manual_seed(0)
    blocks = [Block(3, 5, kernel=3), Block(5, 5, kernel=4)]
    x = torch.randn(2, 3, 24)
    strided = x
    dense, dilation = x, 1
    for block in blocks:
        strided = block(strided)
        causal = functional.pad(dense, ((block.kernel - 1) * dilation, 0))
        weight, bias = block.convolution.weight, block.convolution.bias
        inner = functional.gelu(functional.conv1d(causal, weight, bias, dilation=dilation))
        dense = block.shortcut(dense) + functional.gelu(block.mix(inner))
        dilation *= block.kernel
    torch.testing.assert_close(strided[..., -1], dense[..., -1])


@pytest.mark.parametrize("seed", range(5))
def test_quantiles_never_cross_and_are_not_negative(seed: int) -> None:
    """Whatever the weights, 0 <= p10 <= p50 <= p90."""
    model = network(seed=seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(5)
        out = model(*inputs(TINY, 16, seed=seed))
    assert out.shape == (16, TINY.horizon_h, 3)
    assert (out >= 0).all()
    assert (out.diff(dim=-1) >= 0).all()


def test_normalisation_is_reversible() -> None:
    """A grid three times as dirty gets a forecast three times as high."""
    model = network()
    windows, zones, clock = inputs(TINY, 4)
    with torch.no_grad():
        once, thrice = model(windows, zones, clock), model(3 * windows, zones, clock)
    torch.testing.assert_close(3 * once, thrice, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("value", [0.0, 100.0, float("nan")])
def test_a_constant_or_empty_window_gives_finite_numbers(value: float) -> None:
    """Neither no spread nor no value at all gives NaN."""
    windows, zones, clock = inputs(TINY, 1)
    with torch.no_grad():
        out = network()(torch.full_like(windows, value), zones, clock)
    assert torch.isfinite(out).all()


def test_missing_hours_are_masked_and_not_taken_for_zero() -> None:
    """A missing hour takes the same hour of other days; the mask tells it from a recorded one."""
    window = torch.arange(48, dtype=torch.float32).reshape(1, 1, 48) + 100
    window[0, 0, 30] = float("nan")
    values, mask, mean, spread = normalise(window)
    assert mask[0, 0].tolist() == [1.0] * 30 + [0.0] + [1.0] * 17
    assert mean.item() == pytest.approx(window.nanmean().item())
    restored = values * spread + mean
    assert restored[0, 0, 30].item() == pytest.approx(window[0, 0, 6].item(), rel=1e-5)


def test_a_lookback_of_broken_days_is_refused() -> None:
    """The lookback must be whole days, or hours of day would not line up."""
    with pytest.raises(ValidationError, match="multiple of 24 h, found 6"):
        ModelConfig(grid_zones=1, kernels=(2, 3))


def test_an_untrained_network_starts_near_yesterday() -> None:
    """The linear path begins as persistence, from which learning can only improve."""
    windows, _, _ = inputs(TINY, 3)
    values, _, _, _ = normalise(windows)
    linear = functional.linear(values[:, 0], network().linear_shared)
    torch.testing.assert_close(linear, values[:, 0, -24:])


def test_the_calendar_agrees_with_the_datetime_library() -> None:
    """Hour of day, weekend and epoch hour are those of Python's own calendar."""
    for day in range(400):
        time = datetime(2023, 12, 1, tzinfo=UTC) + timedelta(days=day, hours=day % 24)
        row = calendar(np.array([epoch_hour(time)]))[0]
        assert row[0] == pytest.approx(np.sin(2 * np.pi * time.hour / 24), abs=1e-6)
        assert row[4] == pytest.approx(np.sin(2 * np.pi * time.weekday() / 7), abs=1e-6)
        assert bool(row[6]) == (time.weekday() >= 5)
