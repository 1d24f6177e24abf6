"""What the Functions Framework loads: the four entry points, nothing else."""

import functions_framework
from cloudevents.http import CloudEvent
from flask import Request
from flask.typing import ResponseReturnValue

from functions import entry
from functions.domain.lifecycle.actions import Owner

entry.bound_requests()


@functions_framework.http
def forecast(request: Request) -> ResponseReturnValue:
    """Forecast, plan every job and publish the plans. Triggered by Cloud Scheduler."""
    return entry.run_tick(request)


@functions_framework.cloud_event
def stop_vm(event: CloudEvent) -> None:
    """Stop, remove and close what has to end. Subscribed to `interval-plan`."""
    entry.run_step(Owner.STOP_VM, event)


@functions_framework.cloud_event
def move_vm(event: CloudEvent) -> None:
    """Make a successor, hand over, remove the source. Subscribed to `interval-plan`."""
    entry.run_step(Owner.MOVE_VM, event)


@functions_framework.cloud_event
def start_vm(event: CloudEvent) -> None:
    """Make a VM where none runs, or let one run longer. Subscribed to `interval-plan`."""
    entry.run_step(Owner.START_VM, event)
