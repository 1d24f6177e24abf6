"""`smartscheduler forecaster ...`: the commands of `python -m forecaster`, as they are."""

from forecaster.cli import app as forecaster

__all__ = ["forecaster"]
