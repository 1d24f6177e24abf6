"""`smartscheduler simulate`: jobs replayed over recorded hours before a cent is spent."""

from functions.cli.simulate.command import simulate

__all__ = ["simulate"]
