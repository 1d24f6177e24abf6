"""Where the demo shows itself: a live view on a terminal, lines elsewhere."""

from collections.abc import Sequence

from rich.console import Console

from functions.cli.live import event_line, live_view, plan_line, title
from functions.cli.live_screen import LiveScreen
from functions.domain.regions import grid_zone_of
from functions.report.documents import JobDocuments
from functions.report.story import Event
from functions.report.summary import steps_text

_LINE_EACH_STEPS = 0.1
"""Without a live view, progress is told each tenth of the way."""


class Screen(LiveScreen):
    """Shows the job as it goes."""

    def __init__(self, console: Console, *, live: bool, speed: float, note: str) -> None:
        """Show on `console`; `live` is ignored where it is no terminal."""
        super().__init__(console, live=live)
        self._speed = speed
        self._note = note
        self._told: set[Event] = set()
        self._tenth = 0

    def show(self, documents: JobDocuments, events: Sequence[Event]) -> None:
        """Show the job now; `events` ascending."""
        if self._live:
            view = live_view(documents, events, self._look, speed=self._speed, note=self._note)
            self._live.update(view, refresh=True)
            return
        if not self._told:
            self._print(title(documents, self._speed))
        # By membership, not by count: an event may become known late.
        for event in events:
            if event not in self._told:
                self._told.add(event)
                self._print(event_line(event))
        self._tell_progress(documents)

    def _tell_progress(self, documents: JobDocuments) -> None:
        progress = documents.progress
        if progress is None or not progress.steps_total or not documents.ledger:
            return
        tenth = int(progress.steps_done / progress.steps_total / _LINE_EACH_STEPS)
        if tenth > self._tenth:
            self._tenth = tenth
            zone = grid_zone_of(documents.ledger[-1].compute_zone)
            steps = steps_text(progress.steps_done, progress.steps_total)
            plan = plan_line(documents.plan)
            text = f"steps {steps} in {zone}; plan {plan}"
            self._print(event_line(Event(at=documents.read_at, text=text)))
