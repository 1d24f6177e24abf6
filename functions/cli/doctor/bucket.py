"""Checks of the bucket: whether it answers, and whether its forecasts are new."""

from datetime import UTC, datetime
from urllib.parse import unquote, urlsplit

from forecaster.series import HOUR
from functions.cli.doctor.findings import Finding, bad, good, warning
from functions.handlers.overview import newest_forecast
from vm_runtime.contract import object_names
from vm_runtime.storage import open_store
from vm_runtime.storage.port import StorageDeniedError, StorageError

_LOGIN = "gcloud auth application-default login"
_STALE_H = 3


def check_bucket(url: str) -> Finding:
    """Whether the bucket can be read."""
    try:
        count = len(open_store(url).list(object_names.OPEN_JOBS))
    except StorageDeniedError as error:
        return bad("bucket", str(error), f"{_LOGIN}; or ask for roles/storage.objectUser on {url}")
    except StorageError as error:
        return bad("bucket", str(error), f"check the name; gcloud storage buckets describe {url}")
    if url.startswith("file://"):
        from pathlib import Path  # noqa: PLC0415 - for a folder only

        folder = Path(unquote(urlsplit(url).path))
        if not folder.is_dir():
            return bad("bucket", f"{url}: there is no such folder", f"mkdir -p {folder}")
    return good("bucket", f"{url} answers; {count} open job(s)")


def check_forecast(url: str) -> Finding:
    """Whether the deployment has made a forecast lately."""
    now = datetime.now(UTC)
    try:
        found = newest_forecast(open_store(url), now)
    except StorageError as error:
        return bad("forecast", str(error), "see the finding on the bucket")
    if found is None:
        return warning(
            "forecast",
            "none in the bucket yet",
            "wait for the full hour, or: gcloud scheduler jobs run smartscheduler-forecast"
            " --location=LOCATION",
        )
    age_h = (now - found.origin) / HOUR
    told = f"made for {found.origin:%Y-%m-%d %H:%M} UTC, {len(found.zones)} grid zones"
    if age_h > _STALE_H:
        return bad(
            "forecast",
            f"{told}: {age_h:.0f} h old",
            "gcloud functions logs read smartscheduler-forecast --region=LOCATION --limit=50",
        )
    return good("forecast", told)
