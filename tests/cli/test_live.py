"""The live view: pure rendering, on any terminal."""

import io
from dataclasses import replace
from typing import Literal

import pytest
from rich.console import Console
from sample_job import finished_job, running_job

from functions.cli.live import event_line, live_view, plan_line, vm_line
from functions.cli.strip import Look, look_of
from functions.domain.lifecycle.state import JobState
from functions.report.documents import JobDocuments
from functions.report.story import story


def shown(
    documents: JobDocuments,
    *,
    look: Look | None = None,
    colour: Literal["truecolor"] | None = None,
    encoding: str = "utf-8",
) -> str:
    """Return the view as a terminal would get it."""
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=file, width=80, color_system=colour, force_terminal=colour is not None)
    look = look or look_of(console)
    view = live_view(documents, story(documents), look, speed=900, note="compared with: 12 s")
    console.print(view)
    file.flush()
    return file.buffer.getvalue().decode(encoding)


@pytest.mark.parametrize("documents", [running_job(), finished_job()], ids=["running", "finished"])
def test_view_fits_80_columns(documents: JobDocuments) -> None:
    """No line is longer than 80 columns, and the legend is whole."""
    lines = shown(documents).splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.endswith("gCO2eq/kWh") for line in lines)


def test_view_without_colours_has_no_control_characters() -> None:
    """A terminal without colours gets plain text in which the path can still be seen."""
    text = shown(running_job())
    assert "\x1b" not in text
    rows = {line[:2]: line for line in text.splitlines() if line[:3] in {"FR ", "ES "}}
    assert rows["FR"].count("■") == 2
    assert rows["FR"].count("●") == 1
    assert rows["ES"].count("□") == 4


def test_view_with_colours_paints_cells() -> None:
    """A terminal with colours gets a background for each cell."""
    assert "\x1b[" in shown(running_job(), colour="truecolor")
    assert "48;2;" in shown(running_job(), colour="truecolor")


def test_ascii_terminal_gets_ascii() -> None:
    """A terminal that is not UTF-8 gets marks that it can show."""
    text = shown(running_job(), encoding="ascii")
    assert text.isascii()
    assert "x ran" in text


def test_view_tells_clock_vm_plan_steps_and_events() -> None:
    """All that a person asks for is in the view."""
    text = shown(running_job())
    for part in (
        "2025-06-02 09:12 UTC",
        "simulated carbon data",
        "ss-digits-2 in europe-west9-b (FR): training",
        "FR → ES; run now, here 310 g; this plan 86 g",
        "190 of 480",
        "30 steps lost",
        "compared with: 12 s",
    ):
        assert part in text


def test_job_without_plan_or_vm_can_be_shown() -> None:
    """A job that was just submitted has a view, too."""
    young = replace(
        running_job(), state=None, plans=(), forecasts=(), progress=None, ledger=(), lifetimes=()
    )
    assert "none yet" in shown(young)


def test_pause_is_told_with_its_end() -> None:
    """Between intervals the view says when and where the job goes on."""
    documents = running_job()
    paused = replace(
        documents,
        read_at=documents.read_at.replace(hour=11),
        state=JobState(job_id="digits", plan_id="2025-06-02T0600Z", seq=1),
    )
    assert vm_line(paused) == "none: paused until 13:00 UTC, then ES"


def test_empty_plan_is_told() -> None:
    """A plan without intervals means that nothing is left to do."""
    plan = replace(running_job().plans[0], intervals=())
    assert plan_line(plan) == "nothing left to do"


def test_event_line_has_day_and_time() -> None:
    """An event is told with its day: a job may run over several."""
    assert event_line(story(running_job())[0]) == "02 06:00  job digits submitted"


def test_unknown_cell_has_a_question_mark() -> None:
    """A cell without data does not look clean."""
    unknown = replace(running_job(), forecasts=(), actual={})
    text = shown(unknown, look=Look(colour=False))
    row = next(line for line in text.splitlines() if line.startswith("DE"))
    assert row.count("?") == 12
