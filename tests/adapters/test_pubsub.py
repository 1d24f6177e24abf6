"""The publisher, against a Pub/Sub service in this process that speaks Google's messages."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import grpc
import pytest
from fake_pubsub import FakePubSub
from google.auth.exceptions import DefaultCredentialsError
from grpc_services import Fault

from functions.adapters import google_calls
from functions.adapters.pubsub import PubSubPublisher
from functions.errors import InvalidInputError, PermissionDeniedError, UnavailableError
from functions.wire import WakeUp, WakeUpKind, decode_wake_up

TOPIC = "projects/green/topics/interval-plan"
AGAIN = WakeUp(
    kind=WakeUpKind.AGAIN, sent_at=datetime(2026, 1, 5, 8, tzinfo=UTC), job_id="digits", seq=3
)
HEARTBEAT = WakeUp(kind=WakeUpKind.HEARTBEAT, sent_at=AGAIN.sent_at)


@pytest.fixture
def pubsub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePubSub]:
    """A service that the client finds as it finds Google's emulator."""
    fake = FakePubSub()
    with fake.running() as address:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", address)
        yield fake


def publisher(patience_s: float = 5.0) -> PubSubPublisher:
    """Return a publisher as production builds it, but for its patience."""
    return PubSubPublisher(project="green", topic="interval-plan", patience_s=patience_s)


def test_a_message_is_on_the_topic_when_publish_returns(pubsub: FakePubSub) -> None:
    """Nothing is left to a background thread: the CPU may be frozen after the answer."""
    pubsub.faults.delay_s = 0.1  # were it not waited for, it would not be there yet

    publisher().publish(AGAIN)

    assert [decode_wake_up(message.data) for message in pubsub.messages] == [AGAIN]
    assert pubsub.requests[0].topic == TOPIC


def test_messages_are_not_gathered(pubsub: FakePubSub) -> None:
    """One request each, also when several come at once: a batch would wait for company."""
    one = publisher()
    one.publish(HEARTBEAT)
    together = threading.Barrier(4)

    def publish() -> None:
        together.wait()
        one.publish(AGAIN)

    threads = [threading.Thread(target=publish) for _ in range(together.parties)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(request.messages) for request in pubsub.requests] == [1] * 5


def test_attributes_say_kind_and_job(pubsub: FakePubSub) -> None:
    """A subscription could filter by them; a message about all jobs names none."""
    one = publisher()
    one.publish(AGAIN)
    one.publish(HEARTBEAT)
    found = [dict(message.attributes) for message in pubsub.messages]
    assert found == [{"kind": "again", "job_id": "digits"}, {"kind": "heartbeat"}]
    assert all(message.data for message in pubsub.messages)


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.INTERNAL,
    ],
)
def test_trouble_that_passes_is_repeated(pubsub: FakePubSub, code: grpc.StatusCode) -> None:
    """A try that failed is followed by one that does not, unseen by the caller."""
    pubsub.faults.queue = [Fault(code)]
    publisher().publish(AGAIN)
    assert len(pubsub.messages) == 1


def test_a_lost_answer_doubles_the_message_and_no_more(pubsub: FakePubSub) -> None:
    """At least once: the handlers take the same message twice."""
    pubsub.faults.queue = [Fault(grpc.StatusCode.UNAVAILABLE, lands=True)]
    publisher().publish(AGAIN)
    assert len(pubsub.messages) == 2


def test_patience_is_bounded(pubsub: FakePubSub) -> None:
    """A service that stays away is an `UnavailableError` soon, which says what was found."""
    pubsub.faults.always = grpc.StatusCode.UNAVAILABLE
    begin = time.monotonic()
    with pytest.raises(UnavailableError, match=r"interval-plan.*the service said UNAVAILABLE"):
        publisher(patience_s=0.5).publish(AGAIN)
    assert time.monotonic() - begin < 4


def test_a_service_that_does_not_answer_is_unavailable(
    pubsub: FakePubSub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each attempt has its own end."""
    monkeypatch.setattr(google_calls, "ATTEMPT_S", 0.2)
    pubsub.faults.delay_s = 1.0
    with pytest.raises(UnavailableError):
        publisher(patience_s=0.3).publish(AGAIN)


def test_nobody_at_the_address_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection is an error of ours, too."""
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:9")
    with pytest.raises(UnavailableError):
        publisher(patience_s=0.3).publish(AGAIN)


@pytest.mark.parametrize(
    ("code", "error", "advice"),
    [
        (grpc.StatusCode.PERMISSION_DENIED, PermissionDeniedError, "roles/pubsub.publisher"),
        (grpc.StatusCode.UNAUTHENTICATED, PermissionDeniedError, "roles/pubsub.publisher"),
        (grpc.StatusCode.NOT_FOUND, InvalidInputError, "SMARTSCHEDULER_TOPIC"),
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidInputError, "SMARTSCHEDULER_TOPIC"),
    ],
)
def test_trouble_that_stays_is_told_at_once_with_what_to_do(
    pubsub: FakePubSub, code: grpc.StatusCode, error: type[Exception], advice: str
) -> None:
    """One request, and the message names topic, cause and remedy."""
    pubsub.faults.queue = [Fault(code)]  # a second try would succeed
    with pytest.raises(error, match=rf"{TOPIC}.*the service said {code.name}.*{advice}"):
        publisher().publish(AGAIN)
    assert pubsub.messages == []


def test_missing_credentials_are_a_missing_right() -> None:
    """The client cannot be made: the same clear error as a refusal."""

    def no_client() -> None:
        raise DefaultCredentialsError("no credentials")

    one = PubSubPublisher(project="green", topic="t", make_client=no_client)  # type: ignore[arg-type]
    with pytest.raises(
        PermissionDeniedError,
        match=r"roles/pubsub\.publisher.*no credentials.*application-default login",
    ):
        one.publish(AGAIN)


def test_nothing_is_done_before_the_first_message() -> None:
    """Building ports must cost nothing: three of four functions rarely publish."""
    made = threading.Event()
    PubSubPublisher(project="green", topic="t", make_client=made.set)  # type: ignore[arg-type]
    assert not made.is_set()
