"""The metadata server as the VM sees it: what it is, and what the control plane tells it."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
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
_WORST_SKEW_S = 5.0
NOT_OF_THE_GUEST = frozenset({Attribute.DATA_DISK, Attribute.STARTED_AT})
"""The data disk is startup.sh's business, mounted before anything is started; the time of a start
is the control plane's alone."""
_LARGEST = 65_536
"""Bytes of an answer that is read; a value of ours has some tens."""


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
    is_spot: bool = False
    """Whether Compute Engine may take it back with 30 s notice."""


@dataclass(frozen=True, slots=True)
class _Answer:
    value: str | None
    etag: str
    skew_s: float = 0.0
    """How far this machine's clock is ahead of the server's, seconds."""


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
            spot = self._patient(session, "instance/scheduling/preemptible")
            _warn_of_skew(spot.skew_s)
            name = self._required(session, "instance/name")
            needed: list[Attribute] = [key for key in Attribute if key not in NOT_OF_THE_GUEST]
            found: dict[Attribute, str] = {
                key: self._required(session, f"instance/attributes/{key}") for key in needed
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
            is_spot=(spot.value or "").upper() == "TRUE",
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
        outage = _Outage(key)
        with _session() as session:
            while not self._closing.is_set():
                try:
                    answer = self._get(session, key, known.etag)
                    outage.is_over()
                except (requests.RequestException, MetadataError) as error:
                    outage.goes_on(error)
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
        """Return the key's value; with an etag, wait until it is another or time is up.

        Raises:
            MetadataError: something else than a metadata server answered, or it drips.
            RequestException: no answer, or an error.
        """
        query = {"wait_for_change": "true", "timeout_sec": f"{self._poll_s:g}", "last_etag": etag}
        timeout_s = _TIMEOUT_S + (self._poll_s if etag else 0)
        began_at = time.monotonic()
        with session.get(
            f"{self._base}/{key}",
            params=query if etag else None,
            timeout=timeout_s,
            stream=True,
        ) as response:
            if response.status_code == _NOT_FOUND:
                return _Answer(None, "", _skew_s(response))
            response.raise_for_status()
            if response.headers.get("Metadata-Flavor") != "Google":
                raise MetadataError(
                    f"expected a metadata server at {self._base}, found another server: its"
                    " answer has no header Metadata-Flavor: Google"
                )
            data = b""
            for chunk in response.iter_content(4096):
                data += chunk
                # The library's own time-out holds for each read, not for all of them.
                if len(data) > _LARGEST or time.monotonic() - began_at > timeout_s:
                    raise MetadataError(
                        f"expected metadata {key} within {timeout_s:g} s and {_LARGEST} bytes,"
                        f" found {len(data)} bytes after {time.monotonic() - began_at:.0f} s"
                    )
            value = data.decode(errors="replace").strip()
            return _Answer(value, response.headers.get("ETag", ""), _skew_s(response))

    def _required(self, session: requests.Session, key: str) -> str:
        value = self._patient(session, key).value
        if value:
            return value
        raise MetadataError(
            f"expected metadata {key}, found none. The VM was not made by SmartScheduler,"
            " or by another version of it: delete it, the control plane makes a new one."
        )

    def _patient(self, session: requests.Session, key: str) -> _Answer:
        deadline = time.monotonic() + self._patience_s
        while True:
            try:
                return self._get(session, key)
            except (requests.RequestException, MetadataError) as error:
                if time.monotonic() < deadline:
                    time.sleep(_FIRST_BACK_OFF_S)
                    continue
                raise MetadataError(
                    f"expected the metadata server at {self._base}, found: {error}. Run this on"
                    f" a VM that SmartScheduler made, set {HOST_VARIABLE}, or use"
                    " `python -m vm_runtime train.py --job DIR` without a VM."
                ) from error


class _Outage:
    """Says when an outage begins and ends, not each try in between."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._since: float | None = None

    def goes_on(self, error: Exception) -> None:
        if self._since is None:
            self._since = time.monotonic()
            _log.warning(
                "metadata %s not read, trying again; training goes on with what was last heard: %s",
                self._key,
                error,
            )

    def is_over(self) -> None:
        if self._since is not None:
            _log.info(
                "metadata %s is read again after %.0f s",
                self._key,
                time.monotonic() - self._since,
            )
        self._since = None


def _warn_of_skew(skew_s: float) -> None:
    if abs(skew_s) > _WORST_SKEW_S:
        _log.warning(
            "expected this machine's clock within %.0f s of Google's, found it %+.0f s off: leases"
            " bear it up to their margin, but intervals begin and end at the wrong time."
            " See to its time service (chrony).",
            _WORST_SKEW_S,
            skew_s,
        )


def _skew_s(response: requests.Response) -> float:
    """Return this clock's lead, 0 if the server does not tell the time."""
    try:
        theirs = parsedate_to_datetime(response.headers["Date"])
        return (datetime.now(UTC) - theirs).total_seconds()
    except (KeyError, ValueError, TypeError):  # TypeError: a date without an offset
        return 0.0


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
