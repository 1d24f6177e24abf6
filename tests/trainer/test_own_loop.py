"""A loop of one's own, made resumable by `Run`, ends with the same bits however often stopped."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from fake_session import FakeSession
from memory_blobs import MemoryBlobStore
from stateful_stream import CountingStream
from tiny_training import NoisySamples, differences, final_state, latest
from torch import nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from vm_runtime.session import StopReason, enter_session
from vm_runtime.state import StateMismatchError
from vm_runtime.trainer import NonFiniteError, Run, Stopped


def train(  # noqa: PLR0913  what the tests vary
    seen: list[int],
    *,
    init: int = 0,
    num_workers: int = 0,
    dataset: Any = None,  # noqa: ANN401
    batch_size: int = 4,
    seed: int = 3,
    accumulate: int = 1,
    epochs: int = 2,
) -> Run:
    """Train as a plain loop does: accumulation, a moving average, validation, a scheduler."""
    torch.manual_seed(init)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 1))
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    run = Run(
        model=model,
        average=average,
        optimizer=optimizer,
        scheduler=scheduler,
        seed=seed,
        checkpoint_in_background=False,
    )
    samples = CountingStream(14) if dataset == "stream" else dataset or NoisySamples(14)
    for _ in run.epochs(epochs):
        model.train()
        batches = run.batches(samples, batch_size=batch_size, num_workers=num_workers)
        for inputs, targets in batches:
            seen += targets.tolist()
            loss = functional.mse_loss(model(inputs)[:, 0], targets / 14)
            loss.backward()
            run.log(loss=loss.item())
            if (run.batch + 1) % accumulate == 0:
                optimizer.step()
                optimizer.zero_grad()
                average.update_parameters(model)
        model.eval()
        with torch.no_grad():
            losses = [
                functional.mse_loss(average(inputs)[:, 0], targets / 14).item()
                for inputs, targets in DataLoader(NoisySamples(6), batch_size=3, shuffle=True)
            ]
        run.values.setdefault("losses", []).append(sum(losses))
        scheduler.step()
    return run


def stay(
    store: MemoryBlobStore,
    seen: list[int],
    incarnation: int,
    stop: int | None,
    **changes: Any,  # noqa: ANN401
) -> FakeSession:
    """Train with one VM until it finishes or is stopped."""
    session = FakeSession(store, incarnation=incarnation, stop_at_look=stop)
    enter_session(session)
    try:
        train(seen, init=incarnation - 1, **changes)
    except Stopped as stopped:
        if (stopped.code, stopped.reason) != (75, StopReason.SIGNAL):
            raise
    finally:
        enter_session(None)
    return session


def run_to_end(store: MemoryBlobStore, stops: list[int], **changes: Any) -> list[int]:  # noqa: ANN401
    """Train with one VM after the other and return the samples seen."""
    seen: list[int] = []
    for incarnation, stop in enumerate([*stops, None], start=1):
        stay(store, seen, incarnation, stop, **changes)
    assert latest(store).finished
    return seen


@pytest.mark.parametrize("changes", [{}, {"dataset": "stream"}, {"accumulate": 3}])
def test_a_stop_at_any_look_changes_no_bit(changes: dict[str, Any]) -> None:
    """Between any two batches, before the first, after the last, and between epochs."""
    store, seen = MemoryBlobStore(), []
    looks = stay(store, seen, 1, None, **changes).looks
    expected = final_state(store)
    for look in range(looks):
        stopped = MemoryBlobStore()
        assert run_to_end(stopped, [look], **changes) == seen
        assert differences(expected, final_state(stopped)) == []
    often = MemoryBlobStore()
    assert run_to_end(often, [1] * looks, **changes) == seen
    assert differences(expected, final_state(often)) == []


def test_workers_change_no_bit() -> None:
    """Another number of them after a stop, too."""
    straight, stopped = MemoryBlobStore(), MemoryBlobStore()
    expected = run_to_end(straight, [])
    seen: list[int] = []
    for incarnation, (workers, stop) in enumerate([(2, 3), (0, 2), (1, None)], start=1):
        stay(stopped, seen, incarnation, stop, num_workers=workers)

    assert seen == expected
    assert differences(final_state(straight), final_state(stopped)) == []


def test_without_a_job_it_simply_trains() -> None:
    """To the same values as in a job, and nothing has to be stopped."""
    seen: list[int] = []
    run = train(seen)
    store = MemoryBlobStore()

    assert seen == run_to_end(store, [])
    assert run.values == final_state(store)["values"]
    assert (run.step, run.should_stop) == (8, False)


def test_progress_is_reported_in_optimizer_steps() -> None:
    """The total is worked out from the steps that the batches so far took."""
    session = stay(MemoryBlobStore(), [], 1, None)

    assert session.reports[-1]["steps_done"] == 8
    assert {report["steps_total"] for report in session.reports} == {8}
    assert session.calls[-1] == "end finished=True because=None"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 4}, "seed: expected {'seed': 3} .* found 4"),
        ({"batch_size": 5}, "expected a data set as in the checkpoint, .* found"),
        ({"dataset": NoisySamples(15)}, "'length': 14.* found .*'length': 15"),
    ],
)
def test_another_training_is_refused(changes: dict[str, Any], message: str) -> None:
    """Nothing is harmed: set back, it goes on."""
    store = MemoryBlobStore()
    stay(store, [], 1, 3)
    checkpoint = latest(store).checkpoint_id
    with pytest.raises(StateMismatchError, match=message):
        stay(store, [], 2, None, **changes)

    assert latest(store).checkpoint_id == checkpoint
    stay(store, [], 3, None)
    assert latest(store).finished


def test_a_nan_loss_and_a_loop_out_of_order_are_refused() -> None:
    """The message says where, and what to do."""
    run = Run(model=nn.Linear(1, 1))
    with pytest.raises(NonFiniteError, match="found nan in epoch 0, batch 0"):
        run.log(loss=float("nan"))
    with pytest.raises(RuntimeError, match="once in each round"):
        next(run.batches(NoisySamples(4), batch_size=2))
    with pytest.raises(TypeError, match=r"best: expected something with state_dict\(\)"):
        Run(best=0.5)
    with pytest.raises(ValueError, match="other than"):
        Run(values=nn.Linear(1, 1))


def test_an_epoch_left_early_stays_left() -> None:
    """`break` at the end of a body counts that batch, and the next epoch begins anew."""

    def loop(seen: list[tuple[int, int]]) -> None:
        run = Run(model=nn.Linear(1, 1), checkpoint_in_background=False)
        for epoch in run.epochs(3):
            for number, _ in enumerate(run.batches(NoisySamples(8), batch_size=4)):
                seen.append((epoch, number))
                if epoch == 1:
                    break

    def stays() -> Iterator[list[tuple[int, int]]]:
        store = MemoryBlobStore()
        for incarnation, stop in enumerate([None, 3, 4, None], start=1):
            enter_session(
                FakeSession(
                    MemoryBlobStore() if incarnation == 1 else store,
                    incarnation=incarnation,
                    stop_at_look=stop,
                )
            )
            seen: list[tuple[int, int]] = []
            try:
                loop(seen)
            except Stopped:
                pass
            finally:
                enter_session(None)
            yield seen

    straight, *stopped = stays()

    assert straight == [(0, 0), (0, 1), (1, 0), (2, 0), (2, 1)]
    assert [place for seen in stopped for place in seen] == straight
