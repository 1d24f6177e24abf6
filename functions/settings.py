"""Settings of a deployment, read from the environment once, in `bootstrap`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import Field, TypeAdapter, ValidationError

from functions.errors import InvalidInputError
from vm_runtime.contract.base import document
from vm_runtime.contract.codec import explain

PREFIX = "SMARTSCHEDULER_"
"""Prefix of all environment variables; the rest is the field's name in capitals."""


@document
class Timing:
    """How patient the control plane is; seconds on the deployment's clock."""

    boot_lead_s: float = Field(default=180.0, ge=0)
    """A VM is made so long before its interval starts (design 5: a start takes 3 minutes)."""
    lease_ttl_s: float = Field(default=120.0, gt=0)
    """Time to live of the lease; renewed each quarter of it."""
    shutdown_grace_s: float = Field(default=600.0, gt=0)
    """The guest's own timer powers it off so long after its interval's end (promise 4)."""
    force_stop_after_s: float = Field(default=300.0, gt=0)
    """A VM still up so long after its interval's end is stopped by force."""
    silence_s: float = Field(default=900.0, gt=0)
    """A VM that neither reports nor holds the lease for so long is stopped by force."""
    block_s: float = Field(default=1800.0, gt=0)
    """A place without capacity is not tried again for so long."""
    operation_timeout_s: float = Field(default=600.0, gt=0)
    """An operation that is not done after it is given up; what it makes later is removed."""
    retry_after_s: float = Field(default=60.0, gt=0)
    """Wait after the first fruitless VM; doubles with each further one."""
    max_fruitless_vms: int = Field(default=8, ge=1)
    """So many VMs in a row without a new checkpoint, and the job is given up."""


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
