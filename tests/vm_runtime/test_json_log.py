"""The log of a VM: one JSON object per line, whoever speaks."""

import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator

import pytest

from vm_runtime.json_log import (
    LABELS,
    SOURCE,
    TRACE,
    log_as_json,
    log_for_people,
    note_step,
    prints_as_log,
)

Lines = list[dict[str, object]]


class Console:
    """Standard output of the process."""

    def __init__(self) -> None:
        """Hold what is written."""
        self.stream = io.StringIO()

    def lines(self) -> Lines:
        """Return all lines; each must be JSON."""
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    def last(self) -> dict[str, object]:
        """Return the last line."""
        return self.lines()[-1]


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch) -> Iterator[Console]:
    """Log as JSON; all that is global is as before afterwards."""
    root = logging.getLogger()
    before = root.handlers[:], root.level, sys.excepthook, threading.excepthook
    console = Console()
    monkeypatch.setattr(sys, "__stdout__", console.stream)
    log_as_json(job_id="a", vm="ss-a-3", incarnation=3)
    yield console
    logging.captureWarnings(capture=False)
    root.handlers[:], sys.excepthook, threading.excepthook = before[0], before[2], before[3]
    root.setLevel(before[1])


def test_a_line_has_what_the_console_looks_for(console: Console) -> None:
    """Severity, message, time, job, VM, incarnation, step and event, also as labels."""
    note_step(41)
    logging.getLogger("x").info("lease %s", "taken", extra={"event": "lease_taken"})
    line = console.last()
    assert (line["severity"], line["message"], line["step"]) == ("INFO", "lease taken", 41)
    assert (line["job_id"], line["incarnation"], line["event"]) == ("a", "3", "lease_taken")
    assert line[LABELS] == {"job_id": "a", "vm": "ss-a-3", "incarnation": "3"}
    assert len(str(line[TRACE])) == 32
    assert str(line["time"]).endswith("+00:00")
    assert SOURCE not in line


def test_a_warning_says_where_it_comes_from(console: Console) -> None:
    """A person finds the place in the code."""
    logging.getLogger("x").warning("slow")
    place = console.last()[SOURCE]
    assert isinstance(place, dict)
    assert place["function"] == "test_a_warning_says_where_it_comes_from"


@pytest.mark.parametrize(
    ("level", "name"),
    [(5, "DEBUG"), (25, "INFO"), (30, "WARNING"), (45, "ERROR"), (99, "CRITICAL")],
)
def test_every_level_has_a_severity(console: Console, level: int, name: str) -> None:
    """Levels of a library's own count as the one below."""
    logging.getLogger().setLevel(1)
    logging.getLogger("x").log(level, "m")
    assert console.last()["severity"] == name


def test_a_traceback_is_one_line(console: Console) -> None:
    """Error Reporting groups by the traceback in the message."""
    try:
        {}["weights"]
    except KeyError:
        logging.getLogger("x").exception("no such layer")
    message = str(console.last()["message"])
    assert message.startswith("no such layer\nTraceback")
    assert message.endswith("KeyError: 'weights'")
    assert len(console.lines()) == 1


def test_uncaught_errors_and_warnings_are_lines(console: Console) -> None:
    """What would go to standard error in Python's own form, does not."""
    error = ValueError("lost")
    sys.excepthook(ValueError, error, None)
    assert (console.last()["severity"], console.last()["logger"]) == ("CRITICAL", "uncaught")

    def fail() -> None:
        raise RuntimeError("in a thread")

    thread = threading.Thread(target=fail, name="feeder")
    thread.start()
    thread.join()
    assert console.last()["severity"] == "ERROR"
    assert "feeder ended by an error" in str(console.last()["message"])
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("deprecated", stacklevel=1)
    assert "deprecated" in str(console.last()["message"])


def test_prints_are_lines(console: Console) -> None:
    """Each line is one entry, also if it was printed in pieces; standard error warns."""
    with prints_as_log():
        print("epoch", end=" ")  # noqa: T201 - as a script does
        print("1\nepoch 2")  # noqa: T201
        print("trouble", file=sys.stderr)  # noqa: T201
        print("no end of line", end="")  # noqa: T201
    assert [(line["severity"], line["message"]) for line in console.lines()] == [
        ("INFO", "epoch 1"),
        ("INFO", "epoch 2"),
        ("WARNING", "trouble"),
        ("INFO", "no end of line"),
    ]


def test_a_progress_bar_leaves_its_last_state_only(console: Console) -> None:
    """A bar that redraws itself a thousand times is one entry."""
    with prints_as_log():
        for done in range(1000):
            sys.stderr.write(f"\r{done}/999")
            sys.stderr.flush()
        sys.stderr.write("\n")
    assert [line["message"] for line in console.lines()] == ["999/999"]


def test_threads_do_not_mix_their_lines(console: Console) -> None:
    """A line begun by one thread is not ended by another."""
    begun = threading.Barrier(2)

    def speak(word: str) -> None:
        sys.stdout.write(word)
        begun.wait(5)
        sys.stdout.write(word + "\n")

    with prints_as_log():
        threads = [threading.Thread(target=speak, args=(word,)) for word in "ab"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert {line["message"] for line in console.lines()} == {"aa", "bb"}


def test_a_handler_that_fails_does_not_log_for_ever(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logging's own complaint on standard error is not logged again."""
    real = io.StringIO()
    monkeypatch.setattr(sys, "stderr", real)
    with prints_as_log():
        console.stream.close()
        print("into the void")  # noqa: T201
    assert "ValueError: I/O operation on closed file" in real.getvalue()


def test_an_endless_message_keeps_its_ends(console: Console) -> None:
    """Cloud Logging refuses an entry above 256 KiB."""
    logging.getLogger("x").info("%s", "a" + "-" * 10**6 + "z")
    message = str(console.last()["message"])
    assert len(message) < 110_000
    assert (message[0], message[-1]) == ("a", "z")
    assert "1000002 characters in all" in message


def test_what_is_no_json_becomes_text(console: Console) -> None:
    """A value of any class may be named by `extra`; other scripts stay readable."""
    logging.getLogger("x").info("Größe ✓", extra={"shape": {1, 2}})
    assert console.last()["shape"] == "{1, 2}"
    assert "Größe ✓" in console.stream.getvalue()


def test_for_people_prints_stay_prints(
    console: Console, capsys: pytest.CaptureFixture[str]
) -> None:
    """On one's own machine the terminal shows what the script prints."""
    log_for_people()
    with prints_as_log():
        print("hello")  # noqa: T201
    assert capsys.readouterr().out == "hello\n"
    assert console.lines() == []
