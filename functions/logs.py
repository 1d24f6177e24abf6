"""Log lines as JSON on stdout, in the words of Cloud Logging."""

import json
import logging
import sys

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """One JSON object per record: `severity`, `message`, and whatever `extra` named."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        line: dict[str, object] = {"severity": record.levelname, "message": record.getMessage()}
        line |= {key: _plain(value) for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info:
            line["message"] = f"{line['message']}\n{self.formatException(record.exc_info)}"
        return json.dumps(line, ensure_ascii=False)


def _plain(value: object) -> object:
    """Numbers stay numbers, so that log-based metrics can be made of them."""
    return value if isinstance(value, bool | int | float) else str(value)


def set_up() -> None:
    """Send the records of this package to stdout; safe to call again.

    The Functions Framework configures the root logger first, at WARNING: INFO would vanish.
    """
    logger = logging.getLogger("functions")
    if logger.handlers:
        return
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines())
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
