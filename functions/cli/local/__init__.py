"""`smartscheduler local`: clean hours on this very machine, by the same planner and handlers."""

from functions.cli.local.command import LocalCommand, local

__all__ = ["LocalCommand", "local"]
