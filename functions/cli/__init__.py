"""The console command `smartscheduler`. One file per command; heavy imports wait for their use."""

from functions.cli.app import app

__all__ = ["app"]
