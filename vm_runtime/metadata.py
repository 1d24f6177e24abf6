"""The metadata server as the VM sees it: what it is, and what the control plane tells it."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import requests

from vm_runtime.contract.base import Count, JobId, NonNegative, Positive, Utc, document
from vm_runtime.contract.instance import Attribute

T = TypeVar("T")

_log = logging.getLogger(__name__)

HOST_VARIABLE = "GCE_METADATA_HOST"
"""Environment variable with another address than the usual, as Google's own clients read it."""

_DEFAULT_HOST = "metadata.google.internal"
_HEADERS = {"Metadata-Flavor": "Google"}
_TIMEOUT_S = 5.0
_FIRST_BACK_OFF_S = 0.2
_LAST_BACK_OFF_S = 30.0
_NOT_FOUND = 404


class MetadataError(Exception):
    """The metadata server did not answer, or something that a VM of ours needs is not there."""


@document
class InstanceMetadata:
    """Who this VM is and what it has to do."""

    name: str
    """The VM's name."""
    compute_zone: str
    """Where it runs, such as `europe-west3-b`."""
    job_id: JobId
    """The job."""
    incarnation: Count
    """The VM's incarnation."""
    bucket_url: str
    """`gs://NAME` or `file:///PATH`."""
    interval_start: Utc
    """Not to train before it."""
    interval_end: Utc
    """To stop then; it may change."""
    lease_ttl_s: Positive
    """Time to live of the lease, seconds on the deployment's clock."""
    shutdown_grace_s: NonNegative
    """Time from the interval's end to power-off, seconds on the deployment's clock."""


@dataclass(frozen=True, slots=True)
class _Answer:
    value: str | None
    etag: str


class MetadataServer:
    """A client of the metadata server."""

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        patience_s: float = 30.0,
        poll_s: float = 60.0,
    ) -> None:
        """Take the address from `environment`, the usual one if it names none.

        Args:
            environment: may hold `HOST_VARIABLE`.
            patience_s: how long to try while the VM's network comes up, real seconds.
            poll_s: how long one request waits for a change, real seconds.
        """
        self._base = f"http://{environment.get(HOST_VARIABLE, _DEFAULT_HOST)}/computeMetadata/v1"
        self._patience_s = patience_s
        self._poll_s = poll_s
        self._closing = threading.Event()

    def close(self) -> None:
        """End all watches once their present requests are answered."""
        self._closing.set()

    def read_instance(self) -> InstanceMetadata:
        """Return who this VM is.

        Raises:
            MetadataError: no answer, or a key that is missing.
            ValueError: a key that does not hold what it should; all of them are named.
        """
        with _session() as session:
            zone = self._required(session, "instance/zone")
            name = self._required(session, "instance/name")
            found = {
                key: self._required(session, f"instance/attributes/{key}") for key in Attribute
            }
        start, end = found[Attribute.INTERVAL_START], found[Attribute.INTERVAL_END]
        return InstanceMetadata(
            name=name,
            compute_zone=zone.rpartition("/")[2],
            job_id=found[Attribute.JOB],
            incarnation=_number(found, Attribute.INCARNATION, int),
            bucket_url=found[Attribute.BUCKET],
            interval_start=parse_time(start),
            interval_end=parse_time(end),
            lease_ttl_s=_number(found, Attribute.LEASE_TTL_S, float),
            shutdown_grace_s=_number(found, Attribute.SHUTDOWN_GRACE_S, float),
        )

    def watch(self, key: str, on_value: Callable[[str], None]) -> threading.Thread:
        """Call `on_value` with the key's value, now and at each change, in a daemon thread.

        Args:
            key: such as `instance/preempted`.
            on_value: called in that thread; a `ValueError` is logged and the watch goes on.
        """
        thread = threading.Thread(
            target=self._watch, args=(key, on_value), name=f"watch {key}", daemon=True
        )
        thread.start()
        return thread

    def _watch(self, key: str, on_value: Callable[[str], None]) -> None:
        known = _Answer(None, "")
        back_off_s = _FIRST_BACK_OFF_S
        with _session() as session:
            while not self._closing.is_set():
                try:
                    answer = self._get(session, key, known.etag)
                except requests.RequestException as error:
                    _log.warning("metadata %s not read, trying again: %s", key, error)
                    answer = None
                if answer is None or answer.value is None:
                    self._closing.wait(back_off_s)
                    back_off_s = min(2 * back_off_s, _LAST_BACK_OFF_S)
                    continue
                back_off_s = _FIRST_BACK_OFF_S
                if answer.value != known.value:
                    _tell(key, answer.value, on_value)
                elif not answer.etag:
                    self._closing.wait(back_off_s)  # a server without etags must not make us spin
                known = answer

    def _get(self, session: requests.Session, key: str, etag: str = "") -> _Answer:
        """Return the key's value; with an etag, wait until it is another or time is up."""
        query = {"wait_for_change": "true", "timeout_sec": f"{self._poll_s:g}", "last_etag": etag}
        response = session.get(
            f"{self._base}/{key}",
            params=query if etag else None,
            timeout=_TIMEOUT_S + (self._poll_s if etag else 0),
        )
        if response.status_code == _NOT_FOUND:
            return _Answer(None, "")
        response.raise_for_status()
        return _Answer(response.text.strip(), response.headers.get("ETag", ""))

    def _required(self, session: requests.Session, key: str) -> str:
        deadline = time.monotonic() + self._patience_s
        while True:
            try:
                value = self._get(session, key).value
            except requests.RequestException as error:
                if time.monotonic() < deadline:
                    time.sleep(_FIRST_BACK_OFF_S)
                    continue
                raise MetadataError(
                    f"expected the metadata server at {self._base}, found: {error}. Run this on"
                    f" a VM that SmartScheduler made, set {HOST_VARIABLE}, or use"
                    " `python -m vm_runtime train.py --job DIR` without a VM."
                ) from error
            if value:
                return value
            raise MetadataError(
                f"expected metadata {key}, found none. The VM was not made by SmartScheduler,"
                " or by another version of it: delete it, the control plane makes a new one."
            )


def parse_time(text: str) -> datetime:
    """Return the time in an attribute: ISO 8601 with an offset.

    Raises:
        ValueError: not ISO 8601, or without an offset.
    """
    time_ = datetime.fromisoformat(text)
    if time_.tzinfo is None:
        raise ValueError(f"expected a time with an offset, such as ...T12:00:00Z, found {text!r}")
    return time_.astimezone(UTC)


def _session() -> requests.Session:
    session = requests.Session()
    session.headers.update(_HEADERS)
    session.trust_env = False  # the metadata server is never behind a proxy
    return session


def _number(found: Mapping[Attribute, str], key: Attribute, kind: Callable[[str], T]) -> T:
    try:
        return kind(found[key])
    except ValueError as error:
        raise ValueError(f"metadata {key}: expected a number, found {found[key]!r}") from error


def _tell(key: str, value: str, on_value: Callable[[str], None]) -> None:
    try:
        on_value(value)
    except ValueError as error:
        _log.error("metadata %s ignored: %s", key, error)
