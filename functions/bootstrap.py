"""The composition root: the only place that builds adapters, once per process, when asked."""

import os
from functools import cache

from functions.adapters.tcn import TcnForecaster
from functions.ports import CallerCheck, IntensitySource, Pace, Ports
from functions.settings import Deployment, Settings, read_deployment
from vm_runtime.contract.clock import SystemClock
from vm_runtime.contract.instance import deployment_label
from vm_runtime.storage import open_store


@cache
def deployment() -> Deployment:
    """Return the settings from this process's environment.

    Raises:
        InvalidInputError: some are missing or malformed; all of them are named.
    """
    return read_deployment(os.environ)


@cache
def ports() -> Ports:
    """Return everything that the handlers may touch.

    Raises:
        InvalidInputError: a setting is missing or malformed.
    """
    settings = deployment().settings
    if settings.cloud == "google":
        return _google(settings)
    from functions.local.ports import connect  # noqa: PLC0415 - not needed on Google Cloud

    return connect(settings, os.environ, forecaster=TcnForecaster(), pace=pace(settings))


@cache
def caller_check() -> CallerCheck:
    """Return who may call this process's function.

    Raises:
        InvalidInputError: a setting is missing or malformed.
    """
    settings = deployment().settings
    if settings.cloud == "google":
        from functions.adapters.google_identity import GoogleCallerCheck  # noqa: PLC0415 - here only

        return GoogleCallerCheck(
            caller=settings.caller, service=settings.service, certs_url=settings.certs_url
        )
    from functions.local.caller import LocalCallerCheck  # noqa: PLC0415 - not needed on Google Cloud

    return LocalCallerCheck(settings.local_key)


def _google(settings: Settings) -> Ports:
    """Return the ports on Google Cloud; no client is loaded or built before it is used."""
    from functions.adapters.cloud_scheduler import CloudSchedulerAlarm  # noqa: PLC0415 - here only
    from functions.adapters.compute_disks import ComputeEngineDisks  # noqa: PLC0415
    from functions.adapters.compute_engine import ComputeEngineFleet  # noqa: PLC0415
    from functions.adapters.pubsub import PubSubPublisher  # noqa: PLC0415

    clock = SystemClock()
    return Ports(
        store=open_store(settings.bucket),
        fleet=ComputeEngineFleet(
            project=settings.project,
            instance_templates=settings.templates,
            deployment=deployment_label(settings.bucket),
            endpoint=settings.compute_url,
        ),
        disks=ComputeEngineDisks(
            project=settings.project,
            deployment=deployment_label(settings.bucket),
            endpoint=settings.compute_url,
        ),
        publisher=PubSubPublisher(project=settings.project, topic=settings.topic),
        alarm=CloudSchedulerAlarm(
            boundary_job=settings.boundary_job, forecast_job=settings.forecast_job, clock=clock
        ),
        intensity=intensity_source(settings),
        forecaster=TcnForecaster(),
        clock=clock,
        pace=pace(settings),
    )


def pace(settings: Settings) -> Pace:
    """Return how many jobs are looked at at once, and for how long."""
    return Pace(threads=settings.threads, time_limit_s=settings.time_limit_s)


def intensity_source(settings: Settings) -> IntensitySource:
    """Return the one source of all grid zones: sources are never mixed."""
    if settings.intensity_source == "generation_mix":
        from functions.adapters.generation_mix import GenerationMix  # noqa: PLC0415 - if wanted

        return GenerationMix(
            energy_charts_url=settings.energy_charts_url, uk_url=settings.uk_carbon_intensity_url
        )
    from functions.adapters.electricity_maps import ElectricityMaps  # noqa: PLC0415 - same

    return ElectricityMaps(
        base_url=settings.electricity_maps_url, key=settings.electricity_maps_key
    )
