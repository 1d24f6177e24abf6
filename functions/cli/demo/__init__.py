"""`smartscheduler demo`: the whole product on the embedded cloud, with a clock that runs fast."""

from functions.cli.demo.command import demo

__all__ = ["demo"]
