"""Checks of the deployment on Google Cloud, over its REST APIs: reads only, each by itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Protocol
from urllib.parse import quote

from functions.cli.doctor.findings import Check, Finding, bad, good, skipped, warning
from functions.domain.regions import REGIONS

PREFIX = "smartscheduler"
"""Begin of all names, as infra/variables.tf has it by default."""

APIS = (
    "cloudfunctions",
    "cloudscheduler",
    "compute",
    "logging",
    "pubsub",
    "run",
    "secretmanager",
    "storage",
)
"""Of those in infra/services.tf, what a running deployment cannot do without."""

MOST_SKEW_S = 10.0
"""Leases last for a minute or more; signed requests bear five minutes."""
_FEWEST_CPUS = 8
_TIMEOUT_S = 10.0
_OK, _DENIED, _MISSING, _UNAUTHORISED = 200, 403, 404, 401
_CLOCK_URL = "https://storage.googleapis.com/"
_LOGIN = "gcloud auth application-default login"


class Answer(Protocol):
    """What `requests` returns, as far as it is used here."""

    status_code: int
    headers: Mapping[str, str]

    def json(self) -> Any:  # noqa: ANN401 - JSON of any form
        """Return the body."""
        ...


Get = Callable[[str], Answer]
"""Gets a URL with the person's credentials."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What is looked at."""

    project: str
    location: str | None
    get: Get

    def checks(self) -> list[tuple[str, Check]]:
        """Return all checks by their name."""
        return [
            ("APIs", self.apis),
            ("quota", self.quota),
            ("topic", self.topic),
            ("functions", self.functions),
            ("schedules", self.schedules),
            ("templates", self.templates),
            ("key", self.key),
        ]

    def apis(self) -> Finding:
        """Whether the APIs are enabled."""
        root = f"https://serviceusage.googleapis.com/v1/projects/{self.project}/services"
        begin = f"names=projects/{self.project}/services/"
        answer = self.get(
            f"{root}:batchGet?" + "&".join(f"{begin}{a}.googleapis.com" for a in APIS)
        )
        if (refused := self._refused("APIs", answer, "serviceusage.services.list")) is not None:
            return refused
        services = answer.json().get("services", [])
        on = {s["name"].rpartition("/")[2] for s in services if s.get("state") == "ENABLED"}
        off = [f"{api}.googleapis.com" for api in APIS if f"{api}.googleapis.com" not in on]
        if off:
            mend = f"gcloud services enable {' '.join(off)} --project={self.project}"
            return bad("APIs", f"not enabled: {', '.join(off)}", mend)
        return good("APIs", f"{len(APIS)} enabled")

    def quota(self) -> Finding:
        """Whether each region has room for one more VM."""
        answer = self.get(
            f"https://compute.googleapis.com/compute/v1/projects/{self.project}/regions"
        )
        if (refused := self._refused("quota", answer, "compute.regions.list")) is not None:
            return refused
        left = {
            item["name"]: quota["limit"] - quota["usage"]
            for item in answer.json().get("items", [])
            for quota in item.get("quotas", [])
            if item["name"] in REGIONS and quota["metric"] == "CPUS"
        }
        full = [name for name, cpus in left.items() if cpus < _FEWEST_CPUS]
        if full:
            return warning(
                "quota",
                f"fewer than {_FEWEST_CPUS} CPUs left in {', '.join(sorted(full))}",
                f"https://console.cloud.google.com/iam-admin/quotas?project={self.project}",
            )
        told = (
            f"{len(left)} regions, at least {min(left.values(), default=0):.0f} CPUs left in each"
        )
        return good("quota", told)

    def topic(self) -> Finding:
        """Whether the topic is there."""
        name = f"projects/{self.project}/topics/{PREFIX}-interval-plan"
        answer = self.get(f"https://pubsub.googleapis.com/v1/{name}")
        refused = self._refused("topic", answer, "pubsub.topics.get", deployed=True)
        return refused or good("topic", f"{PREFIX}-interval-plan is there")

    def functions(self) -> Finding:
        """Whether all four functions are deployed and active."""
        where = f"projects/{self.project}/locations/{self.location or '-'}"
        answer = self.get(f"https://cloudfunctions.googleapis.com/v2/{where}/functions")
        if (
            refused := self._refused("functions", answer, "cloudfunctions.functions.list")
        ) is not None:
            return refused
        states = {
            each["name"].rpartition("/")[2]: each.get("state", "")
            for each in answer.json().get("functions", [])
        }
        wanted = [f"{PREFIX}-{name}" for name in ("forecast", "move-vm", "start-vm", "stop-vm")]
        wrong = [
            f"{n} {states.get(n, 'missing').lower()}" for n in wanted if states.get(n) != "ACTIVE"
        ]
        if wrong:
            return bad("functions", ", ".join(wrong), "cd infra && terraform apply")
        return good("functions", f"{len(wanted)} active")

    def schedules(self) -> Finding:
        """Whether tick and heartbeat are on."""
        if self.location is None:
            return skipped("schedules", "no location", "smartscheduler doctor --location REGION")
        where = f"projects/{self.project}/locations/{self.location}"
        answer = self.get(f"https://cloudscheduler.googleapis.com/v1/{where}/jobs")
        if (refused := self._refused("schedules", answer, "cloudscheduler.jobs.list")) is not None:
            return refused
        states = {
            each["name"].rpartition("/")[2]: each.get("state", "")
            for each in answer.json().get("jobs", [])
        }
        wanted = [f"{PREFIX}-forecast", f"{PREFIX}-heartbeat"]
        missing = [name for name in wanted if name not in states]
        if missing:
            return bad("schedules", f"missing: {', '.join(missing)}", "cd infra && terraform apply")
        off = [name for name in wanted if states[name] != "ENABLED"]
        if off:
            mend = f"gcloud scheduler jobs resume {off[0]} --location={self.location}"
            return bad("schedules", f"paused: {', '.join(off)}", mend)
        return good("schedules", "tick and heartbeat are on")

    def templates(self) -> Finding:
        """Whether there is an instance template to make VMs from."""
        root = f"https://compute.googleapis.com/compute/v1/projects/{self.project}"
        answer = self.get(f"{root}/global/instanceTemplates")
        right = "compute.instanceTemplates.list"
        if (refused := self._refused("templates", answer, right)) is not None:
            return refused
        found = [each["name"] for each in answer.json().get("items", [])]
        mine = [name for name in found if name.startswith(f"{PREFIX}-")]
        if not mine:
            return bad("templates", f"none of {PREFIX}", "cd infra && terraform apply")
        return good("templates", ", ".join(sorted(mine)))

    def key(self) -> Finding:
        """Whether the deployment has a key of Electricity Maps."""
        name = f"projects/{self.project}/secrets/{PREFIX}-electricity-maps-key"
        root = f"https://secretmanager.googleapis.com/v1/{name}"
        answer = self.get(f"{root}/versions?filter={quote('state:ENABLED')}")
        right = "secretmanager.versions.list"
        if (refused := self._refused("key", answer, right, deployed=True)) is not None:
            return refused
        if not answer.json().get("versions"):
            return warning(
                "key",
                "the secret has no version: only sources without a key work, for nine grid zones",
                f'printf %s "$KEY" | gcloud secrets versions add {name.rpartition("/")[2]}'
                f" --data-file=- --project={self.project}",
            )
        return good("key", "the secret has a version")

    def _refused(
        self, check: str, answer: Answer, right: str, *, deployed: bool = False
    ) -> Finding | None:
        """Return what to do about an answer that is none, `None` if it is one."""
        if answer.status_code == _OK:
            return None
        if answer.status_code == _UNAUTHORISED:
            return bad(check, "Google does not know the credentials", _LOGIN)
        if answer.status_code == _DENIED:
            return bad(
                check,
                f"not allowed to look ({right}), or the API is off",
                f"gcloud projects add-iam-policy-binding {self.project} --member=user:YOU"
                " --role=roles/viewer",
            )
        if answer.status_code == _MISSING:
            mend = "cd infra && terraform apply" if deployed else "check --project and --location"
            return bad(check, "not there", mend)
        return bad(
            check, f"HTTP {answer.status_code}", "try again; https://status.cloud.google.com"
        )


def check_clock(get: Get, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Finding:
    """Compare this machine's clock with the Date header of Cloud Storage."""
    before = now()
    answer = get(_CLOCK_URL)
    middle = before + (now() - before) / 2
    text = answer.headers.get("Date", "")
    if not text:
        return warning("clock", "Cloud Storage sent no Date", "try again")
    skew_s = (middle - parsedate_to_datetime(text)).total_seconds()
    if abs(skew_s) > MOST_SKEW_S:
        word = "fast" if skew_s > 0 else "slow"
        return bad(
            "clock",
            f"{abs(skew_s):.0f} s {word} against Cloud Storage",
            "sudo timedatectl set-ntp true",
        )
    return good("clock", f"within {MOST_SKEW_S:.0f} s of Cloud Storage")


def check_credentials(make: Callable[[], object]) -> Finding:
    """Whether there are credentials that Google takes; `make` refreshes them, or raises."""
    try:
        make()
    except Exception as error:  # noqa: BLE001 - google.auth has a dozen
        return bad("credentials", str(error).splitlines()[0], _LOGIN)
    return good("credentials", "Application Default Credentials work")
