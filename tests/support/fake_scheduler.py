"""A Cloud Scheduler service in this process that speaks Google's messages."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import grpc
from google.cloud import scheduler_v1
from google.cloud.scheduler_v1.services.cloud_scheduler.transports import (
    CloudSchedulerGrpcTransport,
)
from grpc_services import Faults, serving

State = scheduler_v1.Job.State


class FakeScheduler:
    """Some jobs; a masked update, resuming and running as the service documents them."""

    def __init__(self, *names: str) -> None:
        """Begin with these jobs, enabled."""
        self.faults = Faults()
        self.calls: list[str] = []
        self.jobs = {
            name: scheduler_v1.Job(
                name=name, schedule="0 * * * *", time_zone="Europe/Berlin", state=State.ENABLED
            )
            for name in names
        }

    def update(self, request: scheduler_v1.UpdateJobRequest) -> scheduler_v1.Job:
        """Change what the mask names, and nothing else; a paused job stays paused."""
        self.calls.append("update")
        job = self.jobs[request.job.name]
        for path in request.update_mask.paths:
            setattr(job, path, getattr(request.job, path))
        return job

    def resume(self, request: scheduler_v1.ResumeJobRequest) -> scheduler_v1.Job:
        """Enable again."""
        self.calls.append("resume")
        self.jobs[request.name].state = State.ENABLED
        return self.jobs[request.name]

    def run(self, request: scheduler_v1.RunJobRequest) -> scheduler_v1.Job:
        """Note that it was run."""
        self.calls.append(f"run {request.name}")
        return self.jobs[request.name]

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serve on loopback and yield `host:port`."""
        job = scheduler_v1.Job
        methods = {
            "UpdateJob": (scheduler_v1.UpdateJobRequest, job, self.update),
            "ResumeJob": (scheduler_v1.ResumeJobRequest, job, self.resume),
            "RunJob": (scheduler_v1.RunJobRequest, job, self.run),
        }
        service = "google.cloud.scheduler.v1.CloudScheduler"
        with serving(service, methods, self.faults) as address:
            yield address

    @contextmanager
    def running(self) -> Iterator[Callable[[], scheduler_v1.CloudSchedulerClient]]:
        """Serve on loopback and yield what makes a client of it."""
        with self.serving() as address, grpc.insecure_channel(address) as channel:
            yield lambda: scheduler_v1.CloudSchedulerClient(
                transport=CloudSchedulerGrpcTransport(channel=channel)
            )
