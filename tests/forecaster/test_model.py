"""Laws of the network."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import torch
from intensity_worlds import TINY
from pydantic import ValidationError
from torch.nn import functional

from forecaster.features import CLOCK_FEATURES, calendar, clock, epoch_hour
from forecaster.linear_path import LinearPath
from forecaster.model import (
    FADES_BY,
    Block,
    Clocks,
    Member,
    ModelConfig,
    Tcn,
    between,
    bridged,
    normalise,
    same_hours,
)
from forecaster.prediction import clocks_at

FIRST_ORIGIN = 473_400


def network(config: ModelConfig = TINY, *, seed: int = 0) -> Tcn:
    """Return a network with random weights, the linear path included."""
    torch.manual_seed(seed)
    model = Tcn(config).eval()
    with torch.no_grad():
        for parameter in model.linear.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
        for member in model.members:
            assert isinstance(member, Member)
            member.hear.add_(torch.randn_like(member.hear))
    return model


def inputs(config: ModelConfig, batch: int, *, seed: int = 0) -> tuple[torch.Tensor, Clocks]:
    """Return random windows and their clocks."""
    random = torch.Generator().manual_seed(seed)
    shape = (batch, config.grid_zones, config.lookback_h)
    recorded = 50 + 400 * torch.rand(shape, generator=random)
    return recorded, clocks_at(FIRST_ORIGIN + np.arange(batch), config)


def test_the_receptive_field_is_the_lookback_exactly() -> None:
    """An impulse at any hour of the lookback moves the last state of the convolutions."""
    config = ModelConfig(grid_zones=2)
    assert config.lookback_h == 168
    assert config.dilations == (1, 6, 12, 24)
    reached = reached_hours(config)
    assert reached.all()


def test_with_one_level_fewer_some_hours_are_out_of_reach() -> None:
    """Without the last block the last state sees only the last day: each level is needed."""
    config = ModelConfig(grid_zones=2)
    assert reached_hours(config, levels=3).tolist() == [False] * 144 + [True] * 24


def reached_hours(config: ModelConfig, *, levels: int | None = None) -> torch.Tensor:
    """Tell which hours of the lookback move the last state after so many blocks."""
    member = network(config).members[0]
    assert isinstance(member, Member)
    x = torch.randn(1, config.lookback_h, 2, requires_grad=True)
    state = x
    for block in list(member.blocks)[:levels]:
        state = block(state)
    if levels is None:
        assert state.shape[1] == 1
    state[:, -1].abs().sum().backward()
    assert x.grad is not None
    return x.grad.abs().sum(dim=(0, 2)) > 0


def test_skipped_positions_are_those_of_a_dilated_causal_convolution() -> None:
    """Groups of kept positions give the last hour of the full dilated network."""
    torch.manual_seed(0)
    blocks = [
        Block(3, 5, kernel=3, dropout=0.0),
        Block(5, 5, kernel=4, dropout=0.0),
    ]
    x = torch.randn(2, 24, 3)
    grouped = x
    dense, dilation = x.transpose(1, 2), 1
    for block in blocks:
        grouped = block(grouped)
        causal = functional.pad(dense, ((block.kernel - 1) * dilation, 0))
        # As a convolution has it: (out, in, kernel).
        weight = block.convolution.weight.view(5, block.kernel, -1).transpose(1, 2)
        inner = functional.gelu(
            functional.conv1d(causal, weight, block.convolution.bias, dilation=dilation)
        ).transpose(1, 2)
        through = functional.gelu(block.mix(inner))
        dense = (block.shortcut(dense.transpose(1, 2)) + through).transpose(1, 2)
        dilation *= block.kernel
    torch.testing.assert_close(grouped[:, -1], dense[..., -1])


@pytest.mark.parametrize("seed", range(5))
def test_quantiles_never_cross_and_are_not_negative(seed: int) -> None:
    """Whatever the weights, 0 <= p10 <= p50 <= p90."""
    model = network(seed=seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(5)
        out = model(*inputs(TINY, 16, seed=seed))
    assert out.shape == (16, TINY.grid_zones, TINY.horizon_h, 3)
    assert (out >= 0).all()
    assert (out.diff(dim=-1) >= 0).all()


def test_each_origin_is_forecast_as_if_alone() -> None:
    """A batch of origins gives what one origin after the other gives."""
    model = network()
    recorded, clocks = inputs(TINY, 6)
    recorded[2, 1] = float("nan")
    with torch.no_grad():
        together = model(recorded, clocks)
        for i in range(6):
            at = slice(i, i + 1)
            alone = model(
                recorded[at],
                Clocks(clocks.past_blf[at], clocks.origin_bf[at], clocks.ahead_bhf[at]),
            )
            torch.testing.assert_close(alone[0], together[i], rtol=1e-5, atol=1e-3)


def test_normalisation_is_reversible() -> None:
    """A grid three times as dirty gets a forecast three times as high: no level is learnt."""
    model = network()
    recorded, clocks = inputs(TINY, 4)
    with torch.no_grad():
        once, thrice = model(recorded, clocks), model(3 * recorded, clocks)
    torch.testing.assert_close(3 * once, thrice, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("value", [0.0, 100.0, float("nan")])
def test_a_constant_or_empty_window_gives_finite_numbers(value: float) -> None:
    """Neither no spread nor no value at all gives NaN."""
    recorded, clocks = inputs(TINY, 1)
    with torch.no_grad():
        out = network()(torch.full_like(recorded, value), clocks)
    assert torch.isfinite(out).all()


def test_missing_hours_are_masked_and_not_taken_for_zero() -> None:
    """A missing hour takes the same hour of other days; the mask tells it from a recorded one."""
    window = torch.arange(48, dtype=torch.float32).reshape(1, 1, 48) + 100
    window[0, 0, 30] = float("nan")
    normal = normalise(window)
    assert normal.recorded_bzl[0, 0].tolist() == [1.0] * 30 + [0.0] + [1.0] * 17
    assert normal.mean_bz.item() == pytest.approx(window.nanmean().item())
    restored = normal.values_bzl * normal.spread_bz + normal.mean_bz
    assert restored[0, 0, 30].item() == pytest.approx(window[0, 0, 6].item(), rel=1e-5)


def test_a_gap_is_bridged_from_the_hours_beside_it() -> None:
    """Within: straight from one to the other; at the end: it fades; before the record: nothing."""
    offset = torch.zeros(1, 1, 10)
    offset[0, 0, 3], offset[0, 0, 7] = 2.0, 6.0
    seen = torch.zeros(1, 1, 10, dtype=torch.bool)
    seen[0, 0, [3, 7]] = True
    found = bridged(offset, seen)[0, 0]
    assert found[:3].tolist() == [0, 0, 0]
    assert found[3:8].tolist() == [2, 3, 4, 5, 6]
    torch.testing.assert_close(found[8:], torch.tensor([6 * FADES_BY, 6 * FADES_BY**2]))


def test_a_bridge_changes_no_recorded_hour() -> None:
    """It is for what is missing alone, and a whole window is the same with it and without."""
    recorded, _ = inputs(TINY, 4)
    recorded[:2, :, 20:30] = float("nan")
    plain, bridge = normalise(recorded), normalise(recorded, bridge=True)
    seen = torch.isfinite(recorded)
    torch.testing.assert_close(plain.values_bzl[seen], bridge.values_bzl[seen], rtol=0, atol=0)
    assert (plain.values_bzl[~seen] != bridge.values_bzl[~seen]).any()


def test_a_grid_zone_that_is_not_known_is_not_heard() -> None:
    """Less than a day of a neighbour's hours, whatever they are, moves no forecast of others."""
    model = network()
    recorded, clocks = inputs(TINY, 3)
    recorded[:, 1, :-10] = float("nan")
    other = recorded.clone()
    other[:, 1, -10:] *= 7
    with torch.no_grad():
        before, after = model(recorded, clocks), model(other, clocks)
    torch.testing.assert_close(before[:, 0], after[:, 0], rtol=0, atol=0)
    assert (before[:, 1] != after[:, 1]).any()


def test_a_stand_in_is_heard_by_nobody() -> None:
    """A grid zone that is no neighbour is forecast, but informs no other."""
    config = ModelConfig(**{**vars_of(TINY), "neighbours": (0,)})
    model = network(config)
    recorded, clocks = inputs(config, 3)
    other = recorded.clone()
    other[:, 1] = other[:, 1].flip(-1)
    with torch.no_grad():
        before, after = model(recorded, clocks), model(other, clocks)
    torch.testing.assert_close(before[:, 0], after[:, 0], rtol=0, atol=0)
    assert (before[:, 1] != after[:, 1]).any()


def vars_of(config: ModelConfig) -> dict[str, object]:
    """Return the fields of `config`."""
    return {name: getattr(config, name) for name in config.__dataclass_fields__}


def test_the_linear_paths_share_by_how_much_is_recorded() -> None:
    """At each length its own path counts alone, shortly before it both, and always 1 in all."""
    recorded = torch.tensor([[0.0, 24.0, 48.0, 60.0, 72.0, 120.0, 144.0, 168.0]])
    shares = between(recorded, (24, 72, 168))
    assert shares[:, 0].T.tolist() == [
        [1, 0, 0],
        [1, 0, 0],
        [1, 0, 0],
        [0.5, 0.5, 0],
        [0, 1, 0],
        [0, 1, 0],
        [0, 0.5, 0.5],
        [0, 0, 1],
    ]


def test_a_lookback_of_broken_days_is_refused() -> None:
    """Lookback and horizon must be whole days, or hours of day would not line up."""
    with pytest.raises(ValidationError, match=r"multiple of 24 h .* found 6"):
        ModelConfig(grid_zones=1, kernels=(2, 3))
    with pytest.raises(ValidationError, match=r"horizon_h: .* found 30"):
        ModelConfig(grid_zones=1, horizon_h=30)
    with pytest.raises(ValidationError, match="indices below 1"):
        ModelConfig(grid_zones=1, neighbours=(1,))


def test_an_untrained_network_starts_near_the_days_before() -> None:
    """The linear path begins as yesterday, a member's anchor as a mean of the same hours."""
    normal = normalise(inputs(TINY, 3)[0])
    clocks = inputs(TINY, 3)[1]
    path = LinearPath(grid_zones=2, neighbours=(0, 1), hours=(TINY.lookback_h, TINY.horizon_h))
    linear = path(normal.values_bzl, normal.known_bz, clocks.origin_bf)
    torch.testing.assert_close(linear, normal.values_bzl[..., -24:])
    torch.testing.assert_close(
        functional.linear(normal.values_bzl, same_hours(TINY)),
        (normal.values_bzl[..., -24:] + normal.values_bzl[..., :24]) / 2,
    )


def test_the_calendar_agrees_with_the_datetime_library() -> None:
    """Hour of day, weekday and weekend are those of Python's own calendar."""
    for day in range(400):
        time = datetime(2023, 12, 1, tzinfo=UTC) + timedelta(days=day, hours=day % 24)
        hours = np.array([epoch_hour(time)])
        row, rich = calendar(hours)[0], clock(hours)[0]
        assert row[0] == pytest.approx(np.sin(2 * np.pi * time.hour / 24), abs=1e-6)
        assert row[4] == pytest.approx(np.sin(2 * np.pi * time.weekday() / 7), abs=1e-6)
        assert bool(row[6]) == (time.weekday() >= 5)
        assert rich.shape == (CLOCK_FEATURES,)
        assert rich[0] == pytest.approx(np.sqrt(2) * row[0], abs=1e-5)
        assert rich[10:17].argmax() == time.weekday()
        assert rich[-1] == 1


def test_yesterday_says_nothing_of_the_next_hour() -> None:
    """Its share in the median comes with the hours: of the next one the last says more."""
    model = network()
    recorded, clocks = inputs(TINY, 3)
    with torch.no_grad():
        without = model(recorded, clocks)[..., 1]
        model.yesterday_z.fill_(0.5)
        moved = model(recorded, clocks)[..., 1] - without
        yesterday = recorded[..., -24:] - without
    torch.testing.assert_close(moved[..., 0], torch.zeros_like(moved[..., 0]), atol=1e-3, rtol=0)
    torch.testing.assert_close(moved[..., 23], 0.5 * yesterday[..., 23], atol=0.1, rtol=1e-3)
