"""The topic `interval-plan`: push delivery over HTTP, at least once, as Pub/Sub does it."""

import base64
import itertools
import json
import threading
import time
import uuid
from datetime import datetime

import requests

from functions.local.backlog import Backlog, Delivery
from functions.local.bus_journal import BusJournal, DeadLetter, Message
from functions.local.caller import authorization
from functions.local.events import EventKind
from functions.local.world import World
from functions.wire import WakeUpKind, decode_wake_up
from vm_runtime.contract.base import Positive, document

TOPIC = "interval-plan"
SUBSCRIPTIONS = ("stop_vm", "move_vm", "start_vm")
_SOURCE = f"//pubsub.googleapis.com/projects/local/topics/{TOPIC}"
_TYPE = "google.cloud.pubsub.topic.v1.messagePublished"
_OK = range(200, 300)


@document
class Retry:
    """How patient the bus is; REAL seconds, since functions take real time."""

    attempts: int = 10
    """So many, then the message is a dead letter."""
    first_s: Positive = 0.1
    """Wait after the first failure; doubles with each further one."""
    longest_s: Positive = 5.0
    """The wait never grows beyond it."""
    timeout_s: Positive = 60.0
    """A function that takes longer is called again, maybe while it still runs."""

    def wait_s(self, attempt: int) -> float:
        """Return how long to wait after failed attempt number `attempt`."""
        return float(min(self.longest_s, self.first_s * 2 ** min(attempt - 1, 30)))


class Bus:
    """Delivers each published message to each subscription until it is acknowledged."""

    def __init__(
        self,
        *,
        journal: BusJournal,
        functions_url: str,
        world: World,
        retry: Retry,
        workers: int = 2,
    ) -> None:
        """Take up the journal's backlog.

        Args:
            journal: what is undelivered.
            functions_url: each subscription posts to `functions_url/NAME`.
            world: time of publication, journal, lost, doubled and late deliveries.
            retry: how patient to be.
            workers: deliveries at the same time per subscription.
        """
        self._journal = journal
        self._url = functions_url
        self._clock = world.clock
        self._log = world.log
        self._faults = world.faults
        self._shown = authorization(world.key)
        self._retry = retry
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._stopping = False
        self._backlogs = {name: Backlog() for name in SUBSCRIPTIONS}
        self._in_flight = 0
        for message, name in journal.backlog(SUBSCRIPTIONS):
            self._enqueue(message, name)
        self._threads = [
            threading.Thread(target=self._work, args=(name,), name=f"bus-{name}-{i}", daemon=True)
            for name in SUBSCRIPTIONS
            for i in range(workers)
        ]

    def start(self) -> None:
        """Start to deliver."""
        for thread in self._threads:
            thread.start()

    def interrupt(self) -> None:
        """Begin nothing more, and take no failure of what is under way for one."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def stop(self) -> None:
        """Stop to deliver; what is undelivered stays in the journal."""
        self.interrupt()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    @property
    def dead_letters(self) -> list[DeadLetter]:
        """Messages given up, oldest first."""
        return list(self._journal.dead)

    @property
    def undelivered(self) -> int:
        """Deliveries that wait or are under way."""
        with self._changed:
            return sum(map(len, self._backlogs.values())) + self._in_flight

    def publish(self, data: bytes) -> str:
        """Take a message and return its id; it is on disk then.

        Raises:
            InvalidInputError: it is not a `WakeUp`.
        """
        wake_up = decode_wake_up(data)
        message = Message(
            id=uuid.uuid4().hex,
            data=base64.b64encode(data).decode(),
            kind=wake_up.kind,
            published_at=self._clock.now(),
        )
        self._journal.published(message)
        about = wake_up.job_id or "all jobs"
        self._log.say(EventKind.MESSAGE_PUBLISHED, about, f"{message.kind} {message.id[:8]}")
        with self._changed:
            for name in SUBSCRIPTIONS:
                if message.kind is WakeUpKind.HEARTBEAT:
                    self._supersede(name)
                self._enqueue(message, name)
            self._changed.notify_all()
        return message.id

    def _supersede(self, name: str) -> None:
        for old in self._backlogs[name].supersede_heartbeats():
            self._journal.settled(old.id, name, "superseded")
            self._log.say(EventKind.MESSAGE_SUPERSEDED, name, f"heartbeat {old.id[:8]}")

    def _enqueue(self, message: Message, name: str) -> None:
        faults = self._faults
        if faults.hits(faults.present.drop):
            self._journal.settled(message.id, name, "dropped")
            self._log.say(EventKind.FAULT, name, f"lost {message.kind} {message.id[:8]}")
            return
        copies = 2 if faults.hits(faults.present.duplicate) else 1
        for _ in range(copies):
            due_s = time.monotonic() + faults.delay_s()
            self._backlogs[name].add(Delivery(due_s, next(self._numbers), message))

    def _work(self, name: str) -> None:
        while delivery := self._next(name):
            refusal = self._post(delivery, name)
            with self._changed:
                self._in_flight -= 1
                if refusal is None:
                    self._journal.settled(delivery.message.id, name, "delivered")
                elif not self._stopping:
                    self._failed(delivery, name, refusal)
                self._changed.notify_all()

    def _next(self, name: str) -> Delivery | None:
        """Wait for the next delivery that is due; `None` when the bus stops."""
        backlog = self._backlogs[name]
        with self._changed:
            while not self._stopping:
                if delivery := backlog.take(time.monotonic()):
                    self._in_flight += 1
                    return delivery
                self._changed.wait(backlog.wait_s(time.monotonic()))
            return None

    def _post(self, delivery: Delivery, name: str) -> str | None:
        """Deliver; returns `None` when acknowledged, else what went wrong."""
        message = delivery.message
        headers, body = cloud_event(message, name, attempt=delivery.attempt, now=self._clock.now())
        begin_s = time.monotonic()
        try:
            with requests.Session() as session:
                session.trust_env = False
                answer = session.post(
                    f"{self._url}/{name}",
                    data=body,
                    headers=headers | self._shown,
                    timeout=self._retry.timeout_s,
                )
        except requests.RequestException as error:
            return f"{type(error).__name__}: {error}"
        if answer.status_code not in _OK:
            return f"HTTP {answer.status_code}: {answer.text.strip()[:300]}"
        took_s = time.monotonic() - begin_s
        text = f"{message.kind} {message.id[:8]} in {took_s:.2f} s, attempt {delivery.attempt}"
        self._log.say(EventKind.MESSAGE_DELIVERED, name, text)
        return None

    def _failed(self, delivery: Delivery, name: str, reason: str) -> None:
        message, attempt = delivery.message, delivery.attempt
        text = f"{message.kind} {message.id[:8]}, attempt {attempt}: {reason}"
        self._log.say(EventKind.FUNCTION_ERROR, name, text)
        if attempt >= self._retry.attempts:
            self._journal.buried(
                DeadLetter(
                    message=message,
                    subscription=name,
                    attempts=attempt,
                    reason=reason,
                    at=self._clock.now(),
                )
            )
            self._log.say(EventKind.DEAD_LETTER, name, f"{message.kind} {message.id[:8]}: {reason}")
            return
        due_s = time.monotonic() + self._retry.wait_s(attempt)
        self._backlogs[name].add(Delivery(due_s, next(self._numbers), message, attempt + 1))


def cloud_event(
    message: Message, subscription: str, *, attempt: int, now: datetime
) -> tuple[dict[str, str], bytes]:
    """Return headers and body of a delivery: a binary CloudEvent, as Eventarc posts it."""
    headers = {
        "Content-Type": "application/json",
        "ce-id": message.id,
        "ce-source": _SOURCE,
        "ce-specversion": "1.0",
        "ce-time": now.isoformat(),
        "ce-type": _TYPE,
    }
    body = {
        "message": {
            "data": message.data,
            "attributes": {"kind": str(message.kind)},
            "messageId": message.id,
            "publishTime": message.published_at.isoformat(),
        },
        "subscription": f"projects/local/subscriptions/{subscription}",
        "deliveryAttempt": attempt,
    }
    return headers, json.dumps(body).encode()
