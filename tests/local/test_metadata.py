"""The metadata server of a VM."""

import threading
import time
from collections.abc import Iterator

import pytest
import requests

from functions.local.metadata import PREFIX, Metadata, application
from functions.local.serving import HttpServer

FLAVOR = {"Metadata-Flavor": "Google"}
VALUES = {
    "instance/name": "ss-digits-1",
    "instance/preempted": "FALSE",
    "instance/attributes/ss-job": "digits",
    "instance/attributes/ss-incarnation": "1",
}


@pytest.fixture
def metadata() -> Iterator[Metadata]:
    """Values of a VM."""
    metadata = Metadata(VALUES)
    yield metadata
    metadata.close()


@pytest.fixture
def url(metadata: Metadata) -> Iterator[str]:
    """Where they are served."""
    server = HttpServer(application(metadata), name="metadata")
    server.start()
    yield server.url + PREFIX
    server.stop()


def get(url: str, **query: str) -> requests.Response:
    """Ask as Google's clients do."""
    return requests.get(url, headers=FLAVOR, params=query, timeout=5.0)


def test_value_is_plain_text(url: str) -> None:
    """A value comes as plain text with the flavor header and an etag."""
    answer = get(url + "instance/attributes/ss-job")
    assert (answer.text, answer.headers["Metadata-Flavor"]) == ("digits", "Google")
    assert answer.headers["ETag"]


def test_request_without_the_header_is_refused(url: str) -> None:
    """Without Metadata-Flavor nothing is told, as a browser must not read it."""
    assert requests.get(url + "instance/name", timeout=5.0).status_code == 403


def test_unknown_key_is_not_found(url: str) -> None:
    """A key that does not exist is a 404."""
    assert get(url + "instance/attributes/nothing").status_code == 404


def test_attributes_at_once(url: str) -> None:
    """All attributes come as JSON, or as a list of names."""
    whole = get(url + "instance/attributes/", recursive="true")
    assert whole.json() == {"ss-job": "digits", "ss-incarnation": "1"}
    assert get(url + "instance/attributes/").text.split() == ["ss-job", "ss-incarnation"]


def test_wait_ends_with_a_change(url: str, metadata: Metadata) -> None:
    """A request that waits is answered when the value changes, with the new one."""
    timer = threading.Timer(0.1, metadata.set, ("instance/preempted", "TRUE"))
    timer.start()
    begin_s = time.monotonic()
    answer = get(url + "instance/preempted", wait_for_change="true", timeout_sec="5")
    timer.join()
    assert answer.text == "TRUE"
    assert 0.05 < time.monotonic() - begin_s < 3


def test_wait_ends_at_time_out(url: str) -> None:
    """A request that waits in vain is answered with the old value."""
    answer = get(url + "instance/preempted", wait_for_change="true", timeout_sec="0.1")
    assert answer.text == "FALSE"


def test_change_of_another_key_does_not_end_a_wait(url: str, metadata: Metadata) -> None:
    """Only a change of what is waited for counts."""
    timer = threading.Timer(0.05, metadata.set, ("instance/attributes/ss-job", "other"))
    timer.start()
    begin_s = time.monotonic()
    get(url + "instance/preempted", wait_for_change="true", timeout_sec="0.3")
    timer.join()
    assert time.monotonic() - begin_s >= 0.29


def test_change_before_the_wait_is_not_missed(url: str, metadata: Metadata) -> None:
    """With the etag of what is known, a change that has already happened answers at once."""
    known = get(url + "instance/preempted").headers["ETag"]
    metadata.set("instance/preempted", "TRUE")
    query = {"wait_for_change": "true", "timeout_sec": "5", "last_etag": known}
    begin_s = time.monotonic()
    assert get(url + "instance/preempted", **query).text == "TRUE"
    assert time.monotonic() - begin_s < 2
