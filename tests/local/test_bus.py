"""The bus: at least once, in spite of everything, and never for ever."""

import base64
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from local_world import START, make_world, said
from waiting import until
from werkzeug import Request, Response

from functions.errors import InvalidInputError
from functions.local.bus import SUBSCRIPTIONS, Bus, Retry
from functions.local.bus_journal import BusJournal
from functions.local.events import EventKind
from functions.local.faults import Faults
from functions.local.serving import HttpServer
from functions.local.world import World
from functions.wire import WakeUp, WakeUpKind, decode_wake_up, encode_wake_up

FAST = Retry(attempts=3, first_s=0.01, longest_s=0.02, timeout_s=0.3)


@dataclass
class Receiver:
    """Functions that note what they get, and answer as told."""

    answer: Callable[[str], int] = lambda _: 200
    """Status by subscription."""
    got: list[tuple[str, dict[str, str], dict[str, Any]]] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    """Answers wait for it."""

    def serve(self) -> HttpServer:
        """Return the server."""
        self.gate.set()

        @Request.application
        def application(request: Request) -> Response:
            name = request.path.strip("/")
            self.got.append((name, dict(request.headers), json.loads(request.get_data())))
            self.gate.wait(5.0)
            return Response("told so", self.answer(name))

        return HttpServer(application, name="receiver")

    def ids(self, subscription: str) -> list[str]:
        """Return the ids that a subscription got, in order."""
        return [headers["Ce-Id"] for name, headers, _ in self.got if name == subscription]


@dataclass
class Site:
    """A bus, its receiver and what is around them."""

    folder: Path
    receiver: Receiver = field(default_factory=Receiver)
    buses: list[Bus] = field(default_factory=list)
    server: HttpServer | None = None

    def bus(self, world: World, *, retry: Retry = FAST) -> Bus:
        """Return a bus, not started, on the one journal."""
        if self.server is None:
            self.server = self.receiver.serve()
            self.server.start()
        bus = Bus(
            journal=BusJournal(self.folder / "bus.jsonl"),
            functions_url=self.server.url,
            world=world,
            retry=retry,
        )
        self.buses.append(bus)
        return bus


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A place for buses."""
    site = Site(tmp_path)
    yield site
    site.receiver.gate.set()
    for bus in site.buses:
        bus.stop()
    if site.server:
        site.server.stop()


def message(kind: WakeUpKind = WakeUpKind.AGAIN, job_id: str | None = "digits") -> bytes:
    """Return a message's data."""
    return encode_wake_up(WakeUp(kind=kind, sent_at=START, job_id=job_id))


def test_message_reaches_each_subscription_once(site: Site, tmp_path: Path) -> None:
    """Without faults each subscription gets each message exactly once, as a CloudEvent."""
    bus = site.bus(make_world(tmp_path))
    bus.start()
    message_id = bus.publish(message())
    until(lambda: bus.undelivered == 0)
    assert [site.receiver.ids(name) for name in SUBSCRIPTIONS] == [[message_id]] * 3
    _, headers, body = site.receiver.got[0]
    assert headers["Ce-Type"] == "google.cloud.pubsub.topic.v1.messagePublished"
    assert headers["Ce-Source"] == "//pubsub.googleapis.com/projects/local/topics/interval-plan"
    assert headers["Ce-Specversion"] == "1.0"
    assert decode_wake_up(base64.b64decode(body["message"]["data"])).job_id == "digits"
    assert body["message"]["messageId"] == message_id


def test_refused_delivery_comes_again(site: Site, tmp_path: Path) -> None:
    """A function that fails gets the message again, the others do not."""
    refusals = iter([500, 503])
    site.receiver.answer = lambda name: next(refusals, 200) if name == "move_vm" else 200
    bus = site.bus(make_world(tmp_path))
    bus.start()
    message_id = bus.publish(message())
    until(lambda: bus.undelivered == 0)
    assert [len(site.receiver.ids(name)) for name in SUBSCRIPTIONS] == [1, 3, 1]
    assert set(site.receiver.ids("move_vm")) == {message_id}
    assert bus.dead_letters == []


def test_endless_refusal_is_a_dead_letter(site: Site, tmp_path: Path) -> None:
    """After the last attempt the message is given up, kept and said, with its reason."""
    site.receiver.answer = lambda name: 500 if name == "stop_vm" else 200
    world = make_world(tmp_path)
    bus = site.bus(world)
    bus.start()
    message_id = bus.publish(message())
    until(lambda: bus.undelivered == 0)
    (letter,) = bus.dead_letters
    assert (letter.message.id, letter.subscription, letter.attempts) == (message_id, "stop_vm", 3)
    assert "HTTP 500: told so" in letter.reason
    assert len(said(world, EventKind.DEAD_LETTER)) == 1
    assert BusJournal(tmp_path / "bus.jsonl").dead == [letter]


def test_time_out_is_a_failure(site: Site, tmp_path: Path) -> None:
    """A function that does not answer in time gets the message again."""
    bus = site.bus(make_world(tmp_path), retry=Retry(attempts=2, first_s=0.01, timeout_s=0.1))
    site.receiver.gate.clear()
    bus.start()
    bus.publish(message())
    until(lambda: len(site.receiver.ids("start_vm")) == 2)
    site.receiver.gate.set()
    until(lambda: bus.undelivered == 0)


def test_waits_double_up_to_the_longest() -> None:
    """The wait grows by two with each attempt and never beyond the longest."""
    retry = Retry(first_s=0.1, longest_s=1.0)
    waits = [retry.wait_s(attempt) for attempt in (1, 2, 3, 4, 5, 1000)]
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_undelivered_survives_a_restart(site: Site, tmp_path: Path) -> None:
    """What a subscription had not acknowledged when the bus ended is delivered by the next."""
    site.receiver.answer = lambda name: 500 if name == "start_vm" else 200
    first = site.bus(make_world(tmp_path), retry=Retry(first_s=60.0, longest_s=60.0))
    first.start()
    message_id = first.publish(message())
    until(lambda: first.undelivered == 1)
    first.stop()
    site.receiver.answer = lambda _: 200
    site.receiver.got.clear()
    second = site.bus(make_world(tmp_path))
    second.start()
    until(lambda: second.undelivered == 0)
    assert [(name, headers["Ce-Id"]) for name, headers, _ in site.receiver.got] == [
        ("start_vm", message_id)
    ]
    assert site.bus(make_world(tmp_path)).undelivered == 0


def test_torn_journal_is_read(site: Site, tmp_path: Path) -> None:
    """A last line that a crash has torn costs that line only."""
    bus = site.bus(make_world(tmp_path))
    bus.publish(message())
    with (tmp_path / "bus.jsonl").open("a") as file:
        file.write('{"published": {"id": "to')
    again = site.bus(make_world(tmp_path))
    assert again.undelivered == 3
    again.publish(message())
    assert site.bus(make_world(tmp_path)).undelivered == 6


def test_newer_heartbeat_replaces_those_that_wait(site: Site, tmp_path: Path) -> None:
    """Of many undelivered heartbeats only the newest is delivered; other messages all are."""
    world = make_world(tmp_path)
    bus = site.bus(world)
    for _ in range(3):
        last = bus.publish(message(WakeUpKind.HEARTBEAT, None))
        bus.publish(message())
    bus.start()
    until(lambda: bus.undelivered == 0)
    ids = site.receiver.ids("stop_vm")
    assert len(ids) == 4
    assert last in ids
    assert len(said(world, EventKind.MESSAGE_SUPERSEDED)) == 2 * len(SUBSCRIPTIONS)
    assert site.bus(make_world(tmp_path)).undelivered == 0


def test_fault_duplicates(site: Site, tmp_path: Path) -> None:
    """On request each message is delivered twice, under one id."""
    bus = site.bus(make_world(tmp_path, Faults(duplicate=1.0)))
    bus.start()
    message_id = bus.publish(message())
    until(lambda: bus.undelivered == 0)
    assert site.receiver.ids("move_vm") == [message_id] * 2


def test_fault_drops(site: Site, tmp_path: Path) -> None:
    """On request messages are lost for good, and that is said."""
    world = make_world(tmp_path, Faults(drop=1.0))
    bus = site.bus(world)
    bus.start()
    bus.publish(message())
    assert bus.undelivered == 0
    assert len(said(world, EventKind.FAULT)) == 3
    assert site.bus(make_world(tmp_path)).undelivered == 0


def test_fault_shuffles(site: Site, tmp_path: Path) -> None:
    """On request deliveries are late at random: all arrive, not in their order."""
    bus = site.bus(make_world(tmp_path, Faults(delay_s=0.3)))
    bus.start()
    published = [bus.publish(message()) for _ in range(12)]
    until(lambda: bus.undelivered == 0)
    got = site.receiver.ids("stop_vm")
    assert sorted(got) == sorted(published)
    assert got != published


def test_nonsense_is_not_taken(site: Site, tmp_path: Path) -> None:
    """What is no WakeUp is refused at the topic."""
    bus = site.bus(make_world(tmp_path))
    with pytest.raises(InvalidInputError, match="message"):
        bus.publish(b'{"kind": "gossip"}')
    assert bus.undelivered == 0


def test_failure_while_stopping_is_no_attempt(site: Site, tmp_path: Path) -> None:
    """A delivery cut off by the power failure is neither settled nor a dead letter."""
    bus = site.bus(make_world(tmp_path), retry=Retry(attempts=1, timeout_s=5.0))
    site.receiver.gate.clear()
    site.receiver.answer = lambda _: 500
    bus.start()
    bus.publish(message())
    until(lambda: len(site.receiver.got) == 3)
    bus.interrupt()
    site.receiver.gate.set()
    bus.stop()
    assert bus.dead_letters == []
    assert site.bus(make_world(tmp_path)).undelivered == 3
