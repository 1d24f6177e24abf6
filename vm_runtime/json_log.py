"""Log lines as the Cloud Console reads them: one JSON object each, on standard output.

All that a training says goes the same way: records of `logging`, Python's warnings, what the
script prints, and a traceback as one entry. Google's Ops Agent moves `severity`, `message`,
`time` and `logging.googleapis.com/*` to where the Console shows and filters by them; docs/vm.md
lists the events.
"""

import hashlib
import io
import json
import logging
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import Final

LABELS: Final = "logging.googleapis.com/labels"
SOURCE: Final = "logging.googleapis.com/sourceLocation"
TRACE: Final = "logging.googleapis.com/trace"

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""Attributes of every record; what else one has was named by `extra` and belongs into the line."""

_LONGEST = 100_000
"""Characters of a message; Cloud Logging refuses entries above 256 KiB."""
_CUT = "\n... cut, {} characters in all ...\n"

_printed = logging.getLogger("stdout")
_complained = logging.getLogger("stderr")


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON."""

    def __init__(self, labels: Mapping[str, object]) -> None:
        """Take what each line carries as a label; Cloud Logging indexes and filters by these."""
        super().__init__()
        self.labels = {key: str(value) for key, value in labels.items()}
        self._trace = hashlib.md5(repr(labels).encode(), usedforsecurity=False).hexdigest()
        self.step: int | None = None

    def format(self, record: logging.LogRecord) -> str:
        """Return one line; a traceback goes along in `message`, where Error Reporting looks."""
        message = record.getMessage()
        if record.exc_info:
            message = f"{message}\n{self.formatException(record.exc_info)}"
        line: dict[str, object] = {
            "severity": _severity(record.levelno),
            "message": _shortened(message),
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            **self.labels,
        }
        if self.step is not None:
            line["step"] = self.step
        line |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        line["logger"] = record.name
        if self.labels:
            line[LABELS] = self.labels
            line[TRACE] = self._trace  # "show entries of this trace": all of one VM's stay
        if record.levelno >= logging.WARNING:
            where = {"file": record.pathname, "line": str(record.lineno)}
            line[SOURCE] = {**where, "function": record.funcName}
        return json.dumps(line, default=str, ensure_ascii=False)


class _LineWriter(io.TextIOBase):
    """A text stream that logs each line written to it."""

    encoding = "utf-8"
    errors = "replace"

    def __init__(self, logger: logging.Logger, level: int, stream: io.TextIOBase) -> None:
        self._logger, self._level, self._stream = logger, level, stream
        self._parts = threading.local()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        """Programs that the script starts write to the real stream."""
        return self._stream.fileno()

    @property
    def buffer(self) -> object:
        """Bytes, too, go to the real stream."""
        return getattr(self._stream, "buffer", self._stream)

    def write(self, text: str, /) -> int:
        *lines, rest = (getattr(self._parts, "rest", "") + text).split("\n")
        self._parts.rest = rest.rpartition("\r")[2] if len(rest) > _LONGEST else rest
        for line in lines:
            self._log(line)
        return len(text)

    def flush(self) -> None:
        """Log a line that was begun: a progress bar never ends one. Its last state is enough."""
        rest = getattr(self._parts, "rest", "")
        if rest and "\r" not in rest:
            self._parts.rest = ""
            self._log(rest)

    def finish(self) -> None:
        """Log what is left."""
        rest, self._parts.rest = getattr(self._parts, "rest", ""), ""
        self._log(rest)

    def _log(self, line: str) -> None:
        shown = line.rstrip("\r").rpartition("\r")[2].rstrip()
        if not shown:
            return
        if getattr(self._parts, "logging", False):
            # A handler that fails complains on standard error: that must not be logged again.
            self._stream.write(shown + "\n")
            return
        self._parts.logging = True
        try:
            self._logger.log(self._level, "%s", shown)
        finally:
            self._parts.logging = False


_formatter = JsonFormatter({})


def log_as_json(**labels: object) -> None:
    """Log everything from INFO on, and all of Python's warnings, as JSON on standard output.

    Args:
        **labels: what each line carries besides, such as `job`, `vm` and `incarnation`.
    """
    global _formatter  # noqa: PLW0603 - logging itself is global
    _formatter = JsonFormatter(labels)
    handler = logging.StreamHandler(sys.__stdout__)
    handler.setFormatter(_formatter)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_thread


def note_step(step: int) -> None:
    """Let each JSON line from now on carry the number of optimizer steps done."""
    _formatter.step = step


@contextmanager
def prints_as_log() -> Iterator[None]:
    """Log what is printed inside: standard output as INFO, standard error as WARNING.

    Without effect while the log is for people.
    """
    handlers = logging.getLogger().handlers
    if not any(isinstance(handler.formatter, JsonFormatter) for handler in handlers):
        yield
        return
    before = sys.stdout, sys.stderr
    out = _LineWriter(_printed, logging.INFO, before[0])  # type: ignore[arg-type]
    err = _LineWriter(_complained, logging.WARNING, before[1])  # type: ignore[arg-type]
    sys.stdout, sys.stderr = out, err
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        out.finish()
        err.finish()


def log_for_people() -> None:
    """Log everything from INFO on as plain lines on standard error."""
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)-7s %(message)s",
        datefmt="%H:%M:%S",
        force=True,
    )


def _severity(level: int) -> str:
    """Return Cloud Logging's name; a level in between counts as the one below."""
    names = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
    return names[min(max(level // 10, 1), 5) - 1]


def _shortened(message: str) -> str:
    """Return it, without its middle if the Console would refuse it: the ends tell most."""
    if len(message) <= _LONGEST:
        return message
    half = _LONGEST // 2
    return message[:half] + _CUT.format(len(message)) + message[-half:]


def _log_uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    text = "".join(traceback.format_exception(kind, error, trace))
    logging.getLogger("uncaught").critical("%s", text.rstrip())


def _log_thread(info: threading.ExceptHookArgs) -> None:
    text = "".join(
        traceback.format_exception(info.exc_type, info.exc_value, info.exc_traceback)
    ).rstrip()
    name = info.thread.name if info.thread else "a thread"
    logging.getLogger("uncaught").error("%s ended by an error\n%s", name, text)
