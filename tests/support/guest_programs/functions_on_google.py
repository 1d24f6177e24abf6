"""`functions/main.py`, but for a clock that runs fast and a Cloud Scheduler on loopback.

Those two have no environment variable; all else is pointed at its stand-in by one.
"""

import os
from dataclasses import replace
from functools import cache

import grpc
from google.cloud import scheduler_v1
from google.cloud.scheduler_v1.services.cloud_scheduler.transports import (
    CloudSchedulerGrpcTransport,
)

from functions import bootstrap
from functions.adapters.cloud_scheduler import CloudSchedulerAlarm
from functions.main import forecast, move_vm, start_vm, stop_vm
from functions.ports import Ports
from vm_runtime.contract.clock import clock_from

__all__ = ["forecast", "move_vm", "start_vm", "stop_vm"]

_as_deployed = bootstrap.ports


@cache
def _ports() -> Ports:
    settings = bootstrap.deployment().settings
    clock = clock_from(os.environ)
    alarm = CloudSchedulerAlarm(
        boundary_job=settings.boundary_job,
        forecast_job=settings.forecast_job,
        clock=clock,
        make_client=_scheduler_client,
    )
    return replace(_as_deployed(), alarm=alarm, clock=clock)


def _scheduler_client() -> scheduler_v1.CloudSchedulerClient:
    channel = grpc.insecure_channel(os.environ["TESTS_SCHEDULER"])
    return scheduler_v1.CloudSchedulerClient(transport=CloudSchedulerGrpcTransport(channel=channel))


bootstrap.ports = _ports
