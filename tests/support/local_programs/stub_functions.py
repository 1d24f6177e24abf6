"""Functions that note each call in a file of the bucket and fail when told so there."""

import json
import os
import time
from pathlib import Path
from typing import Any

import functions_framework
from cloudevents.http import CloudEvent
from flask import Request


def _bucket() -> Path:
    return Path(os.environ["SMARTSCHEDULER_BUCKET"].removeprefix("file://"))


def _note(name: str, call: dict[str, Any]) -> None:
    bucket = _bucket()
    line = json.dumps({"function": name, "pid": os.getpid(), "real_s": time.time()} | call)
    with (bucket / "calls.jsonl").open("a") as file:
        file.write(line + "\n")
    slow = bucket / f"slow-{name}"
    if slow.exists():
        time.sleep(float(slow.read_text()))
    if (bucket / f"fail-{name}").exists():
        raise RuntimeError("told to fail")


@functions_framework.http
def forecast(request: Request) -> str:
    """Note the scheduler's headers."""
    _note("forecast", {"headers": dict(request.headers)})
    return "ok"


def _event(name: str, event: CloudEvent) -> None:
    _note(name, {"id": event["id"], "source": event["source"], "body": event.data})


@functions_framework.cloud_event
def stop_vm(event: CloudEvent) -> None:
    """Note it."""
    _event("stop_vm", event)


@functions_framework.cloud_event
def move_vm(event: CloudEvent) -> None:
    """Note it."""
    _event("move_vm", event)


@functions_framework.cloud_event
def start_vm(event: CloudEvent) -> None:
    """Note it."""
    _event("start_vm", event)
