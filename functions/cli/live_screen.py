"""Takes the terminal for a live view where it can; elsewhere what is told are lines."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from functions.cli.strip import look_of


class LiveScreen:
    """What the demo's and local mode's screens have in common."""

    def __init__(self, console: Console, *, live: bool) -> None:
        """Show on `console`; `live` is ignored where it is no terminal."""
        self._console = console
        self._look = look_of(console)
        can = live and console.is_terminal and not console.is_dumb_terminal
        self._live = Live(console=console, auto_refresh=False) if can else None

    def __enter__(self) -> Self:
        """Take the terminal."""
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the terminal back; the last view stays."""
        if self._live:
            self._live.stop()

    def _print(self, text: str) -> None:
        """Print a line that stays, above the view if there is one."""
        self._console.print(Text(self._look.plain(text)), soft_wrap=True)
