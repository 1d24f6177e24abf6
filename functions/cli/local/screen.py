"""Where a local training shows itself: a live view on a terminal, lines elsewhere, or JSON."""

import json
import sys
from datetime import datetime
from types import TracebackType
from typing import Any, Protocol, Self

from rich.console import Console

from functions.cli.live import event_line
from functions.cli.live_screen import LiveScreen
from functions.cli.local.output import Output
from functions.cli.local.view import local_view, now_line, plan_line, progress_line, title_line
from functions.domain.accounting.document import Receipt
from functions.report.documents import JobDocuments
from functions.report.story import Event, story
from vm_runtime.contract.codec import encode

_LINE_EACH = 0.1
"""Without a live view, progress is told each tenth of the way."""


class Screen(Protocol):
    """Shows a training as it goes, and its end."""

    def __enter__(self) -> Self:
        """Begin."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End; what was shown stays."""
        ...

    def show(self, documents: JobDocuments) -> None:
        """Show how things are now."""
        ...

    def trouble(self, text: str) -> None:
        """Show something that a person should know."""
        ...


class Terminal(LiveScreen):
    """A live view where the terminal can, else lines."""

    def __init__(self, console: Console, output: Output, *, speed: float, live: bool) -> None:
        """Show on `console`; `live` is ignored where it is no terminal."""
        super().__init__(console, live=live)
        self._output, self._speed = output, speed
        self._told: set[str] = set()  # by text: an event's time may still change
        self._state, self._tenth = "", 0

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Print what is left of the output; give the terminal back."""
        self._print_output()
        super().__exit__(kind, error, traceback)

    def show(self, documents: JobDocuments) -> None:
        """Show the training now."""
        self._print_output()
        if self._live:
            view = local_view(documents, self._look, speed=self._speed)
            self._live.update(view, refresh=True)
            return
        if not self._told:
            self._print(title_line(documents, self._speed))
        for event in story(documents):
            if event.text not in self._told:
                self._told.add(event.text)
                self._print(event_line(event))
        self._tell_change(documents)

    def trouble(self, text: str) -> None:
        """Show a line that stays."""
        self._print(text)

    def _tell_change(self, documents: JobDocuments) -> None:
        at, progress = documents.read_at, documents.progress
        doing = now_line(documents).rpartition("; ")[2].split()[0]
        if doing != self._state:
            self._state = doing
            self._tell(at, f"now {now_line(documents)}; plan: {plan_line(documents)}")
        if progress is None or not progress.steps_total:
            return
        tenth = int(progress.steps_done / progress.steps_total / _LINE_EACH)
        if tenth > self._tenth:
            self._tenth = tenth
            self._tell(at, f"progress {progress_line(documents, self._look)}")

    def _tell(self, at: datetime, text: str) -> None:
        self._print(event_line(Event(at=at, text=text)))

    def _print_output(self) -> None:
        for line in self._output.take():
            self._print(line)


class JsonLines:
    """One JSON object a line, for programs."""

    def __init__(self, output: Output) -> None:
        """Tell nothing yet."""
        self._output = output
        self._told: set[Event] = set()
        self._plan, self._progress = "", (-1, "")

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End."""

    def show(self, documents: JobDocuments) -> None:
        """Tell what is new: events, plans, progress, output."""
        at = documents.read_at
        for line in self._output.take():
            self._tell(at, "output", text=line)
        for event in story(documents):
            if event not in self._told:
                self._told.add(event)
                self._tell(event.at, "story", text=event.text)
        plan, progress = documents.plan, documents.progress
        if plan is not None and plan.plan_id != self._plan:
            self._plan = plan.plan_id
            self._tell(at, "plan", plan=json.loads(encode(plan)))
        if progress is not None and (progress.steps_done, progress.state) != self._progress:
            self._progress = progress.steps_done, progress.state
            self._tell(at, "progress", progress=json.loads(encode(progress)))

    def trouble(self, text: str) -> None:
        """Tell something that a person should know."""
        self._write({"event": "trouble", "text": text})

    def receipt(self, receipt: Receipt) -> None:
        """Tell the receipt."""
        self._write({"event": "receipt", "receipt": json.loads(encode(receipt))})

    def end(self, exit_code: int, phase: str) -> None:
        """Tell how it ended, last."""
        self._write({"event": "end", "exit_code": exit_code, "phase": phase})

    def _tell(self, at: datetime, event: str, **what: Any) -> None:  # noqa: ANN401 - JSON
        self._write({"at": at.isoformat(), "event": event, **what})

    def _write(self, record: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(record) + "\n")
        sys.stdout.flush()
