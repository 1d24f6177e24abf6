"""Settings of a deployment, read from the environment once, in `bootstrap`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, SecretStr, TypeAdapter, ValidationError

from functions.domain.lifecycle.timing import Timing
from functions.errors import InvalidInputError
from vm_runtime.contract.base import document
from vm_runtime.contract.clock import CLOCK_VARIABLE
from vm_runtime.contract.codec import explain

LONGEST_OVERRUN_S = 900.0
"""How long a VM may be up after its interval's end at most, seconds (design 9, promise 4)."""

PREFIX = "SMARTSCHEDULER_"
"""Prefix of all environment variables; the rest is the field's name in capitals."""


_SCHEDULER_JOB = r"^(projects/[^/]+/locations/[^/]+/jobs/[^/]+)?$"

_TEMPLATE = "[a-z][-a-z0-9]*=[^,=? ]+"
_CALLED = ("caller", "service")
"""What a function needs to know its caller; a person's command line is not called."""
_NEEDED_ON_GOOGLE = ("project", "location", "instance_templates", "boundary_job", "forecast_job")
_KEY = "electricity_maps_key"
"""The one secret: the other functions have no right to it and no use for it."""
GOOGLE_CERTS_URL = "https://www.googleapis.com/oauth2/v1/certs"
"""Where Google publishes the keys of its ID tokens."""
_URL = r"^(https://|http://127\.0\.0\.1:)[^@\s?#]+$"


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
    instance_templates: str = Field(default="", pattern=rf"^({_TEMPLATE}(,{_TEMPLATE})*)?$")
    """Instance templates by name, `default=projects/P/global/instanceTemplates/T,gpu=...`; needed
    if `cloud` is `google`. A job that names none takes `default`."""
    boundary_job: str = Field(default="", pattern=_SCHEDULER_JOB)
    """Cloud Scheduler job that wakes all functions; needed if `cloud` is `google`."""
    forecast_job: str = Field(default="", pattern=_SCHEDULER_JOB)
    """Cloud Scheduler job that triggers `forecast`; needed if `cloud` is `google`."""
    caller: str = Field(default="", pattern=r"^([^@\s]+@[^@\s]+)?$")
    """E-mail of the service account that may call the functions; a deployed one needs it."""
    service: str = Field(default="", pattern=r"^([a-z][-a-z0-9]*)?$")
    """The function's own name, for which a caller's token must be; a deployed one needs it."""
    certs_url: str = Field(default=GOOGLE_CERTS_URL, pattern=_URL)
    """Where the public keys of the callers' tokens are."""
    compute_url: str = Field(default="https://compute.googleapis.com", pattern=_URL)
    """Address of Compute Engine's API; another one for Private Service Connect."""
    intensity_source: Literal["electricity_maps", "generation_mix"] = "electricity_maps"
    """Who says how clean the electricity is: `electricity_maps` (all grid zones, flow-traced,
    needs a key) or `generation_mix` (nine grid zones, production-based, needs none)."""
    electricity_maps_key: SecretStr = SecretStr("")
    """Key of Electricity Maps; `forecast` needs it if it is the source. Never shown.

    It has no pattern: a message about a malformed one would show it."""
    electricity_maps_url: str = Field(default="https://api.electricitymaps.com/v4", pattern=_URL)
    """Address of the API of Electricity Maps, with its version."""
    energy_charts_url: str = Field(default="https://api.energy-charts.info", pattern=_URL)
    """Address of the API of Energy-Charts, of which `generation_mix` asks most grid zones."""
    uk_carbon_intensity_url: str = Field(default="https://api.carbonintensity.org.uk", pattern=_URL)
    """Address of the API of NESO, of which `generation_mix` asks GB."""
    threads: int = Field(default=10, ge=1, le=64)
    """Jobs that a function looks at at once: it waits for the network most of the time. Google's
    clients keep ten connections."""
    time_limit_s: float = Field(default=240.0, gt=0)
    """A function begins no further job later than that after its start, seconds; well below its
    time-out. What is left is done at the next call."""
    history: str = ""
    """Embedded cloud: folder with recorded intensity; empty: simulated."""
    seed: int = 0
    """Embedded cloud: seed of the simulated intensity."""
    local_key: SecretStr = SecretStr("")
    """Embedded cloud: what each call must show. Never shown; made anew at each start."""

    @property
    def templates(self) -> dict[str, str]:
        """URLs of the instance templates by name."""
        pairs = (each.partition("=") for each in self.instance_templates.split(",") if each)
        return {name: url for name, _, url in pairs}


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
    if settings.cloud == "google":
        # Cloud Run functions name the entry point so; unset, it is a person who tries.
        target = environment.get("FUNCTION_TARGET", "")
        _check_google(settings, target=target)
        if CLOCK_VARIABLE not in environment:  # A scaled clock's minutes are not a VM's.
            _check_promise(timing)
    return Deployment(settings=settings, timing=timing)


def _check_promise(timing: Timing) -> None:
    """No VM may outlive its interval by more than 15 minutes (design 9, promise 4)."""
    too_long = [
        f"{PREFIX}{name.upper()} {seconds:g}"
        for name, seconds in (
            ("shutdown_grace_s", timing.shutdown_grace_s),
            ("force_stop_after_s", timing.force_stop_after_s),
        )
        if seconds > LONGEST_OVERRUN_S
    ]
    if too_long:
        raise InvalidInputError(
            f"settings: expected at most {LONGEST_OVERRUN_S:g} s, so that no VM outlives its"
            f" interval by more than 15 minutes, found {', '.join(too_long)}. Lower it and"
            " redeploy."
        )


def _check_google(settings: Settings, *, target: str) -> None:
    needs_key = target in {"", "forecast"} and settings.intensity_source == "electricity_maps"
    needed = (*_NEEDED_ON_GOOGLE, *(_CALLED if target else ()), *((_KEY,) if needs_key else ()))
    missing = [PREFIX + name.upper() for name in needed if not getattr(settings, name)]
    if missing:
        raise InvalidInputError(
            f"settings: expected {', '.join(missing)} for Google Cloud, found nothing there."
            " Set all of them and redeploy."
        )
    if not settings.bucket.startswith("gs://"):
        raise InvalidInputError(
            f"settings: expected {PREFIX}BUCKET gs://NAME for Google Cloud, found"
            f" {settings.bucket}. Name the bucket on Cloud Storage."
        )


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
