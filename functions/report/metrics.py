"""The curve of a training's metrics as its VMs wrote it (`metrics.csv`), for looking at. Pure."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from functions.errors import InvalidInputError

COLUMNS = ["step", "name", "value", "incarnation", "time"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricPoint:
    """One value of one metric."""

    step: int
    name: str
    value: float
    incarnation: int
    at: datetime


def parse_metrics(text: str, *, name: str) -> tuple[MetricPoint, ...]:
    """Return the points of a metrics file, ascending by step.

    Raises:
        InvalidInputError: it is no such file; the message names the line.
    """
    rows = csv.reader(io.StringIO(text))
    if next(rows, None) != COLUMNS:
        raise InvalidInputError(f"{name}: expected the columns {', '.join(COLUMNS)}, found others.")
    points = []
    for row in rows:
        try:
            step, metric, value, incarnation, at = row
            points.append(
                MetricPoint(
                    step=int(step),
                    name=metric,
                    value=float(value),
                    incarnation=int(incarnation),
                    at=datetime.fromisoformat(at),
                )
            )
        except ValueError as error:
            raise InvalidInputError(
                f"{name} line {rows.line_num}: expected {','.join(COLUMNS)}, found {row}."
            ) from error
    return tuple(points)


def names_of(points: Sequence[MetricPoint]) -> tuple[str, ...]:
    """Return the names of the metrics, losses first."""
    found = dict.fromkeys(point.name for point in points)
    return tuple(sorted(found, key=lambda name: ("loss" not in name, name)))


def is_loss(name: str) -> bool:
    """Whether a metric is a loss, by its name."""
    return "loss" in name.lower()
