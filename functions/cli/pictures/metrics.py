"""How the training goes: metrics by step, with its interruptions."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from functions.cli.pictures.canvas import COLOURS, MARK, OTHERS, canvas
from functions.errors import InvalidInputError
from functions.report.documents import JobDocuments
from functions.report.metrics import MetricPoint, is_loss, names_of


def draw_metrics(file: Path, documents: JobDocuments) -> None:
    """Draw the losses above, all else below, and a line where another VM went on.

    Raises:
        InvalidInputError: the job has no metrics yet, or the file cannot be written.
    """
    points = documents.metrics
    names = names_of(points)
    if not names:
        raise InvalidInputError(
            f"--plot: expected metrics of job {documents.job.job_id}, found none. They come with"
            " the first steps."
        )
    groups = [[n for n in names if is_loss(n)], [n for n in names if not is_loss(n)]]
    groups = [group for group in groups if group]
    vms = len({point.incarnation for point in points})
    source = f"jobs/{documents.job.job_id}/metrics.csv, written by {vms} VM(s)"
    with canvas(file, height=0.8 + 2.7 * len(groups), source=source) as figure:
        for axes, group in zip(
            figure.subplots(len(groups), 1, squeeze=False)[:, 0], groups, strict=True
        ):
            _curves(axes, group, points)
            _changes(axes, points)
            axes.set_ylabel("loss" if is_loss(group[0]) else "value")
            axes.set_xlabel("optimizer step")
            axes.grid(alpha=0.25)
            axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
        figure.suptitle(f"Job {documents.job.job_id}: metrics", fontsize=11)


def changes(points: Sequence[MetricPoint]) -> list[tuple[int, int]]:
    """Return the step at which each further VM went on, with its incarnation."""
    return [
        (after.step, after.incarnation)
        for before, after in pairwise(points)
        if after.incarnation != before.incarnation
    ]


def _curves(axes: Any, names: Sequence[str], points: Sequence[MetricPoint]) -> None:  # noqa: ANN401 - of matplotlib
    for name, colour in zip(names, COLOURS * 2, strict=False):
        mine = [point for point in points if point.name == name]
        # A value is written when it changes: the last one holds up to the last step of all.
        steps = [*(point.step for point in mine), points[-1].step]
        values = [*(point.value for point in mine), mine[-1].value]
        is_dense = len(mine) > 100  # noqa: PLR2004 - beyond it dots hide the line
        axes.plot(
            steps,
            values,
            color=colour,
            label=name,
            linewidth=0.9 if is_dense else 1.6,
            marker="" if is_dense else ".",
        )


def _changes(axes: Any, points: Sequence[MetricPoint]) -> None:  # noqa: ANN401 - of matplotlib
    label: str | None = "another VM goes on"
    for step, incarnation in changes(points):
        axes.axvline(step, color=MARK, linewidth=1, linestyle=":", label=label)
        axes.annotate(
            f"VM {incarnation}",
            (step, 1),
            xycoords=("data", "axes fraction"),
            xytext=(2, -2),
            textcoords="offset points",
            va="top",
            fontsize=7,
            color=OTHERS,
        )
        label = None
