"""A progress bar on a terminal; where nobody sees it, it costs nothing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from vm_runtime.trainer_loop import TrainingLoop
from vm_runtime.trainer_settings import TrainingSettings


@contextmanager
def progress_bar(loop: TrainingLoop, settings: TrainingSettings) -> Iterator[Callable[[], None]]:
    """Give what to call after each step: it shows where the training stands.

    The bar appears with the first step and starts where the run stands, not at zero.
    """
    console = Console(stderr=True)
    if not settings.show_progress or loop.group.rank > 0 or not console.is_terminal:
        yield _show_nothing
        return
    columns = (
        TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[scores]}"),
    )
    with Progress(*columns, console=console) as progress:
        yield _Bar(progress, loop, settings.epochs).show


def _show_nothing() -> None:
    pass


class _Bar:
    def __init__(self, progress: Progress, loop: TrainingLoop, epochs: int) -> None:
        self._progress, self._loop, self._epochs = progress, loop, epochs
        self._task = progress.add_task(
            "", total=loop.steps_total, start=False, epoch=1, epochs=epochs, scores=""
        )
        self._shown = -1

    def show(self) -> None:
        loop = self._loop
        step = loop.position.step
        if step == self._shown:
            return
        if self._shown < 0:
            # The time left is worked out from what this run does, not from what it found done.
            self._progress.start_task(self._task)
        self._shown = step
        self._progress.update(
            self._task,
            completed=step,
            epoch=min(loop.position.epoch + 1, self._epochs),
            scores=" ".join(f"{name} {value:.4f}" for name, value in loop.metrics.items()),
        )
