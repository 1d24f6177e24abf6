"""What a terminal and a log file see of a local training."""

import io
from pathlib import Path
from typing import Literal

import pytest
from rich.console import Console
from sample_job import finished_job, running_job

from functions.cli.local.output import Output
from functions.cli.local.screen import Terminal

WIDTH = 80


@pytest.fixture
def told(tmp_path: Path) -> dict[bool, str]:
    """Show a training, by whether what shows it is a terminal; its script prints in between."""
    shown = {}
    for is_terminal in (True, False):
        file = io.StringIO()
        # Rich keeps a style's codes for the first terminal that it met: one kind in all tests.
        colour: Literal["truecolor"] | None = "truecolor" if is_terminal else None
        console = Console(file=file, width=WIDTH, force_terminal=is_terminal, color_system=colour)
        logs = tmp_path / str(is_terminal)
        logs.mkdir()
        with Terminal(console, Output(logs), speed=600, live=True) as screen:
            screen.show(running_job())
            (logs / "1.log").write_text("epoch 3 of 9\n")
            screen.show(finished_job())
            (logs / "1.log").write_text("epoch 3 of 9\nmodel.pt written\n")
        shown[is_terminal] = file.getvalue()
    return shown


def test_a_terminal_has_a_view_that_is_drawn_anew(told: dict[bool, str]) -> None:
    """Control codes move the cursor back; what the script prints stays above, the last line too."""
    assert "\x1b[1A" in told[True]
    assert "grid" in told[True]
    for line in ("epoch 3 of 9", "model.pt written"):
        assert told[True].count(line) == 1
    assert told[True].index("epoch 3 of 9") < told[True].rindex("progress")


def test_the_cursor_comes_back(told: dict[bool, str]) -> None:
    """A view hides it; at the end it is there again."""
    assert told[True].rindex("\x1b[?25h") > told[True].rindex("\x1b[?25l")


def test_a_log_file_has_lines_without_control_codes(told: dict[bool, str]) -> None:
    """Each event once, title first."""
    assert "\x1b" not in told[False]
    lines = told[False].splitlines()
    assert lines[0].startswith("SmartScheduler local")
    assert sum("job finished" in line for line in lines) == 1
    assert [line for line in lines if line.startswith(("epoch", "model"))] == [
        "epoch 3 of 9",
        "model.pt written",
    ]
