"""The client of the metadata server: what it reads, what it hears, how it fails."""

import logging
import queue
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from fake_metadata_server import FakeMetadataServer
from manual_clock import ManualClock
from waiting import until

from vm_runtime.contract.instance import Attribute
from vm_runtime.metadata import (
    HOST_VARIABLE,
    NOT_OF_THE_GUEST,
    MetadataError,
    MetadataServer,
    parse_time,
)
from vm_runtime.session import StopReason
from vm_runtime.stop import StopFlag
from vm_runtime.stop_sources import watch_stop_sources

VALUES = {
    "instance/name": "ss-a-3",
    "instance/zone": "projects/123/zones/europe-west3-b",
    f"instance/attributes/{Attribute.JOB}": "a",
    f"instance/attributes/{Attribute.INCARNATION}": "3",
    f"instance/attributes/{Attribute.BUCKET}": "gs://bucket",
    f"instance/attributes/{Attribute.INTERVAL_START}": "2026-03-01T12:00:00Z",
    f"instance/attributes/{Attribute.INTERVAL_END}": "2026-03-01T15:00:00+01:00",
    f"instance/attributes/{Attribute.LEASE_TTL_S}": "120.0",
    f"instance/attributes/{Attribute.SHUTDOWN_GRACE_S}": "600",
}


def client(server: FakeMetadataServer, **options: float) -> MetadataServer:
    """Return a client of the fake."""
    return MetadataServer({HOST_VARIABLE: server.host}, **options)


def test_it_reads_who_this_vm_is() -> None:
    """Every attribute arrives in its type, times in UTC, the zone without its path."""
    with FakeMetadataServer(VALUES) as server:
        me = client(server).read_instance()
    assert (me.name, me.compute_zone, me.job_id, me.incarnation) == (
        *("ss-a-3", "europe-west3-b", "a"),
        3,
    )
    assert me.interval_end == datetime(2026, 3, 1, 14, tzinfo=UTC)
    assert (me.bucket_url, me.lease_ttl_s, me.shutdown_grace_s) == ("gs://bucket", 120.0, 600.0)


@pytest.mark.parametrize("attribute", sorted(set(Attribute) - NOT_OF_THE_GUEST))
def test_a_missing_attribute_is_named(attribute: Attribute) -> None:
    """A VM that was not made by us is told which key it lacks."""
    values = {key: value for key, value in VALUES.items() if not key.endswith(attribute)}
    with FakeMetadataServer(values) as server, pytest.raises(MetadataError, match=attribute):
        client(server).read_instance()


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        (Attribute.INCARNATION, "three"),
        (Attribute.LEASE_TTL_S, "soon"),
        (Attribute.LEASE_TTL_S, "0"),
        (Attribute.INTERVAL_START, "2026-03-01T12:00:00"),
        (Attribute.INTERVAL_END, "tomorrow"),
        (Attribute.JOB, "No Job"),
    ],
)
def test_a_wrong_attribute_is_refused(attribute: Attribute, value: str) -> None:
    """A value that is not what it should be is a `ValueError`."""
    values = VALUES | {f"instance/attributes/{attribute}": value}
    with FakeMetadataServer(values) as server, pytest.raises(ValueError, match=r"\S"):
        client(server).read_instance()


def test_a_server_that_stumbles_is_asked_again() -> None:
    """While the VM's network comes up, requests may fail."""
    with FakeMetadataServer(VALUES) as server:
        server.fail_next = 2
        assert client(server).read_instance().name == "ss-a-3"


def test_no_server_is_told_after_the_patience() -> None:
    """Elsewhere than on a VM the error names the way out."""
    lonely = MetadataServer({HOST_VARIABLE: "127.0.0.1:9"}, patience_s=0.0)
    with pytest.raises(MetadataError, match="--job DIR"):
        lonely.read_instance()


def test_a_watch_tells_each_change_once() -> None:
    """The present value comes first, then each change as it happens; a bad value ends nothing."""
    heard: queue.Queue[str] = queue.Queue()

    def on_value(value: str) -> None:
        heard.put(value)
        if value == "bad":
            raise ValueError(value)

    with FakeMetadataServer(VALUES | {"instance/preempted": "FALSE"}) as server:
        watching = client(server, poll_s=0.3)
        thread = watching.watch("instance/preempted", on_value)
        assert heard.get(timeout=5) == "FALSE"
        server.fail_next = 1
        for value in ("bad", "TRUE"):
            server.set("instance/preempted", value)
            assert heard.get(timeout=5) == value
        with pytest.raises(queue.Empty):
            heard.get(timeout=0.7)
        watching.close()
        thread.join(timeout=5)
        assert not thread.is_alive()


def test_a_watched_key_may_come_later() -> None:
    """A key that is not there yet is heard of once it is."""
    heard: queue.Queue[str] = queue.Queue()
    with FakeMetadataServer({}) as server:
        watching = client(server, poll_s=1.0)
        thread = watching.watch("instance/preempted", heard.put)
        with pytest.raises(queue.Empty):
            heard.get(timeout=0.1)
        server.set("instance/preempted", "TRUE")
        assert heard.get(timeout=5) == "TRUE"
        watching.close()
        thread.join(timeout=5)


def test_a_naive_time_is_refused() -> None:
    """A time without an offset could mean anything."""
    with pytest.raises(ValueError, match="offset"):
        parse_time("2026-03-01T12:00:00")


@pytest.mark.parametrize(
    ("preemptible", "is_spot"), [("TRUE", True), ("FALSE", False), ("", False)]
)
def test_it_reads_whether_the_vm_is_spot(preemptible: str, *, is_spot: bool) -> None:
    """A server that does not say is one of a VM that is not."""
    values = VALUES | ({"instance/scheduling/preemptible": preemptible} if preemptible else {})
    with FakeMetadataServer(values) as server:
        assert client(server).read_instance().is_spot is is_spot


@pytest.mark.parametrize("trouble", ["flavor", "large"])
def test_another_server_at_the_address_is_not_believed(trouble: str) -> None:
    """What is no metadata server, or answers without end, is told after the patience."""
    with FakeMetadataServer(VALUES | {"instance/zone": "z" * 70_000}) as server:
        server.flavor = "Google" if trouble == "large" else "nginx"
        with pytest.raises(MetadataError, match="65536 bytes" if trouble == "large" else "another"):
            client(server, patience_s=0.0).read_instance()


def test_a_clock_that_is_off_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Intervals would begin and end at the wrong time: a person should know."""
    with FakeMetadataServer(VALUES) as server:
        client(server).read_instance()
        assert "clock" not in caplog.text
        server.date = "Sun, 01 Mar 2020 12:00:00 GMT"
        client(server).read_instance()
    assert "found it +" in caplog.text


def test_an_outage_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """A server that is gone for a while fills no log, and its return is told."""
    heard: queue.Queue[str] = queue.Queue()
    with FakeMetadataServer(VALUES) as server, caplog.at_level(logging.INFO):
        server.fail_next = 2
        watching = client(server, poll_s=0.2)
        thread = watching.watch("instance/name", heard.put)
        assert heard.get(timeout=5) == "ss-a-3"
        watching.close()
        thread.join(timeout=5)
    assert caplog.text.count("trying again") == 1
    assert "is read again after" in caplog.text


@pytest.fixture
def watched() -> Iterator[tuple[FakeMetadataServer, StopFlag]]:
    """A server whose changes a flag hears of; the interval ends in an hour."""
    quiet = {"instance/preempted": "FALSE", "instance/maintenance-event": "NONE"}
    with FakeMetadataServer(VALUES | quiet) as server:
        clock = ManualClock(datetime(2026, 3, 1, 13, tzinfo=UTC))
        stop = StopFlag(clock, interval_end=datetime(2026, 3, 1, 14, tzinfo=UTC))
        watching = client(server, poll_s=1.0)
        watch_stop_sources(watching, stop, clock)
        until(lambda: server.requests.count("instance/maintenance-event") > 1)
        yield server, stop
        watching.close()


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("instance/preempted", "TRUE", StopReason.PREEMPTED),
        ("instance/maintenance-event", "TERMINATE_ON_HOST_MAINTENANCE", StopReason.MAINTENANCE),
        (f"instance/attributes/{Attribute.INTERVAL_END}", "now", StopReason.REQUESTED),
        (
            f"instance/attributes/{Attribute.INTERVAL_END}",
            "2026-03-01T12:59:59Z",
            StopReason.INTERVAL_END,
        ),
    ],
)
def test_what_the_server_says_ends_the_training(
    watched: tuple[FakeMetadataServer, StopFlag], key: str, value: str, reason: StopReason
) -> None:
    """Preemption, maintenance, a request and an interval cut short become the flag."""
    server, stop = watched
    assert stop.reason() is None
    server.set(key, value)
    assert until(stop.reason) is reason


def test_what_does_not_end_the_vm_ends_no_training(
    watched: tuple[FakeMetadataServer, StopFlag], caplog: pytest.LogCaptureFixture
) -> None:
    """A live migration, an interval that is extended, and nonsense let it go on."""
    server, stop = watched
    server.set("instance/maintenance-event", "MIGRATE_ON_HOST_MAINTENANCE")
    server.set_attribute(Attribute.INTERVAL_END, "soon")
    until(lambda: "ignored" in caplog.text)
    server.set_attribute(Attribute.INTERVAL_END, "2026-03-01T20:00:00Z")
    until(lambda: stop.interval_end == datetime(2026, 3, 1, 20, tzinfo=UTC))
    assert stop.reason() is None
