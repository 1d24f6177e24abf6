"""Log lines as the Cloud Console reads them: one JSON object each, on standard output."""

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime


class _JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON."""

    def __init__(self, fields: Mapping[str, object]) -> None:
        super().__init__()
        self._fields = dict(fields)

    def format(self, record: logging.LogRecord) -> str:
        """Return `severity`, `message`, `time` and the fixed fields; a traceback goes along."""
        message = record.getMessage()
        if record.exc_info:
            message = f"{message}\n{self.formatException(record.exc_info)}"
        line = {
            "severity": record.levelname,
            "message": message,
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "logger": record.name,
            **self._fields,
        }
        return json.dumps(line, default=str)


def log_as_json(**fields: object) -> None:
    """Log everything from INFO on as JSON lines on standard output.

    Args:
        **fields: what each line carries besides, such as `job_id`.
    """
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_JsonFormatter(fields))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


def log_for_people() -> None:
    """Log everything from INFO on as plain lines on standard error."""
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)-7s %(message)s",
        datefmt="%H:%M:%S",
        force=True,
    )
