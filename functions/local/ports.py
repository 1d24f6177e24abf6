"""Everything that the handlers may touch, on the embedded cloud."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from functions.errors import InvalidInputError
from functions.local.alarm import LocalAlarm
from functions.local.disk_fleet import LocalDisks
from functions.local.fleet import LocalFleet
from functions.local.intensity import LocalIntensity
from functions.local.publisher import LocalPublisher
from functions.ports import Forecaster, Pace, Ports
from functions.settings import Settings
from vm_runtime.contract.clock import clock_from
from vm_runtime.storage.files import FileBlobStore


def connect(
    settings: Settings, environment: Mapping[str, str], *, forecaster: Forecaster, pace: Pace
) -> Ports:
    """Return the ports of the embedded cloud that `settings` and `environment` name.

    Raises:
        InvalidInputError: the bucket is not a folder, or the clock's variable is malformed.
    """
    bucket = urlsplit(settings.bucket)
    if bucket.scheme != "file":
        raise InvalidInputError(
            f"bucket: expected file:///FOLDER on the embedded cloud, found {settings.bucket}."
            " Use the bucket that the embedded cloud names."
        )
    try:
        clock = clock_from(environment)
    except ValueError as error:
        raise InvalidInputError(str(error)) from error
    return Ports(
        store=FileBlobStore(Path(unquote(bucket.path))),
        fleet=LocalFleet(settings.cloud, settings.local_key),
        disks=LocalDisks(settings.cloud, settings.local_key),
        publisher=LocalPublisher(settings.cloud, settings.local_key),
        alarm=LocalAlarm(settings.cloud, settings.local_key),
        intensity=LocalIntensity(history=settings.history, seed=settings.seed),
        forecaster=forecaster,
        clock=clock,
        pace=pace,
    )
