"""Settings of a deployment, read from the environment once, in `bootstrap`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import Field, TypeAdapter, ValidationError

from functions.domain.lifecycle.timing import Timing
from functions.errors import InvalidInputError
from vm_runtime.contract.base import document
from vm_runtime.contract.codec import explain

PREFIX = "SMARTSCHEDULER_"
"""Prefix of all environment variables; the rest is the field's name in capitals."""


@document
class Settings:
    """Where this deployment lives."""

    bucket: str = Field(pattern=r"^(gs://[a-z0-9][-_.a-z0-9]+|file:///.+)$")
    """URL of the bucket: `gs://NAME`, or `file:///FOLDER` on the embedded cloud."""
    cloud: str = Field(default="google", pattern=r"^(google|http://127\.0\.0\.1:\d+)$")
    """`google`, or the address of the embedded cloud."""
    project: str = ""
    """Google Cloud project; needed if `cloud` is `google`."""
    location: str = ""
    """Region of functions and Cloud Scheduler; needed if `cloud` is `google`."""
    topic: str = "interval-plan"
    """Pub/Sub topic."""
    history: str = ""
    """Embedded cloud: folder with recorded intensity; empty: simulated."""
    seed: int = 0
    """Embedded cloud: seed of the simulated intensity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Everything that the environment says."""

    settings: Settings
    timing: Timing


def read_deployment(environment: Mapping[str, str]) -> Deployment:
    """Return what `environment` says.

    Raises:
        InvalidInputError: variables missing or malformed; all of them are named.
    """
    settings = _read(Settings, environment)
    timing = _read(Timing, environment)
    if settings.cloud == "google" and not (settings.project and settings.location):
        raise InvalidInputError(
            f"settings: expected {PREFIX}PROJECT and {PREFIX}LOCATION for Google Cloud, found"
            f" project {settings.project!r} and location {settings.location!r}. Set both."
        )
    return Deployment(settings=settings, timing=timing)


def _read(kind: Any, environment: Mapping[str, str]) -> Any:  # noqa: ANN401 - one of the two above
    names = kind.__dataclass_fields__
    given = {
        name: environment[PREFIX + name.upper()]
        for name in names
        if PREFIX + name.upper() in environment
    }
    try:
        return TypeAdapter(kind).validate_python(given)
    except ValidationError as error:
        raise InvalidInputError(
            f"settings (environment variables {PREFIX}…): {explain(error)}. Mend and redeploy."
        ) from error
