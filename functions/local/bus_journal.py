"""The bus on disk: an append-only file, so that undelivered messages survive a restart."""

import base64
import json
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from functions.wire import WakeUpKind
from vm_runtime.contract.base import Count, Utc, document


@document
class Message:
    """A message as published."""

    id: str
    """Assigned by the bus."""
    data: str
    """Base 64."""
    kind: WakeUpKind
    """Read from the data once."""
    published_at: Utc
    """Simulated time."""

    @property
    def payload(self) -> bytes:
        """What was published."""
        return base64.b64decode(self.data)


@document
class DeadLetter:
    """A message that a subscription gave up."""

    message: Message
    subscription: str
    attempts: Count
    reason: str
    """What the last attempt met."""
    at: Utc
    """Simulated time."""


# Not the codec: these lines live and die with one folder and carry no version.
_MESSAGE = TypeAdapter(Message)
_LETTER = TypeAdapter(DeadLetter)


class BusJournal:
    """Lines `published`, `settled` and `dead`; a torn last line is what a crash leaves."""

    def __init__(self, file: Path) -> None:
        """Read what `file` has, and shorten it to what is still needed."""
        self._file = file
        self._lock = threading.Lock()
        self._published: dict[str, Message] = {}
        self._settled: dict[str, set[str]] = {}
        self.dead: list[DeadLetter] = []
        for line in _lines(file):
            self._take(line)

    def backlog(self, subscriptions: Iterable[str]) -> list[tuple[Message, str]]:
        """Return what is undelivered, oldest first, and drop the rest from the file."""
        names = list(subscriptions)
        found = [
            (message, name)
            for message in self._published.values()
            for name in names
            if name not in self._settled.get(message.id, ())
        ]
        self._shorten({message.id for message, _ in found})
        return found

    def published(self, message: Message) -> None:
        """Note a message, before the publisher is told that the topic has it."""
        self._append({"published": _MESSAGE.dump_python(message, mode="json")})

    def settled(self, message_id: str, subscription: str, outcome: str) -> None:
        """Note that a subscription is done with a message."""
        self._append({"settled": message_id, "subscription": subscription, "outcome": outcome})

    def buried(self, letter: DeadLetter) -> None:
        """Note a dead letter, which also settles the message."""
        self.dead.append(letter)
        self._append({"dead": _LETTER.dump_python(letter, mode="json")})

    def _append(self, *lines: dict[str, Any]) -> None:
        text = "".join(json.dumps(line) + "\n" for line in lines)
        with self._lock, self._file.open("a", encoding="utf-8") as file:
            file.write(text)

    def _take(self, line: dict[str, Any]) -> None:
        if "published" in line:
            message = _MESSAGE.validate_python(line["published"])
            self._published[message.id] = message
        elif "settled" in line:
            self._settled.setdefault(line["settled"], set()).add(line["subscription"])
        else:
            letter = _LETTER.validate_python(line["dead"])
            self._settled.setdefault(letter.message.id, set()).add(letter.subscription)
            self.dead.append(letter)

    def _shorten(self, needed: set[str]) -> None:
        lines: list[dict[str, Any]] = [
            {"published": _MESSAGE.dump_python(message, mode="json")}
            for message in self._published.values()
            if message.id in needed
        ]
        lines += [
            {"settled": message_id, "subscription": name, "outcome": "before"}
            for message_id, names in self._settled.items()
            if message_id in needed
            for name in sorted(names)
        ]
        lines += [{"dead": _LETTER.dump_python(letter, mode="json")} for letter in self.dead]
        part = self._file.with_suffix(".part")
        part.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        part.replace(self._file)


def _lines(file: Path) -> list[dict[str, Any]]:
    if not file.exists():
        return []
    text = file.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    return [json.loads(line) for line in whole.splitlines()]
