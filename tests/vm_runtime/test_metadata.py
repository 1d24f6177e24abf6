"""The client of the metadata server: what it reads, what it hears, how it fails."""

import queue
from datetime import UTC, datetime

import pytest
from fake_metadata_server import FakeMetadataServer

from vm_runtime.contract.instance import Attribute
from vm_runtime.metadata import HOST_VARIABLE, MetadataError, MetadataServer, parse_time

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


@pytest.mark.parametrize("attribute", list(Attribute))
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
