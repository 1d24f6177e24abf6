"""What script or command print, as it comes: read from the files of their stays."""

import json
from pathlib import Path

_LONGEST_BYTES = 1 << 20
"""Read at once at most; the rest comes with the next look."""

_RUNTIME = "vm_runtime"
_QUIET = frozenset({"DEBUG", "INFO"})


class Output:
    """Follows the files in a folder that grow."""

    def __init__(self, folder: Path) -> None:
        """Begin after what is there already: an earlier run has shown it."""
        self._folder = folder
        self._read = {path: path.stat().st_size for path in self._files()}
        self._rest: dict[Path, bytes] = {}

    def take(self) -> list[str]:
        """Return the lines that were written since."""
        lines = []
        for path in self._files():
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                data = file.read(_LONGEST_BYTES)
            self._read[path] = self._read.get(path, 0) + len(data)
            *whole, rest = (self._rest.get(path, b"") + data).split(b"\n")
            self._rest[path] = rest
            lines += [text for line in whole if (text := _text(line)) is not None]
        return lines

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("*.log")) if self._folder.is_dir() else []


def _text(line: bytes) -> str | None:
    """Return the line, the message of one that is JSON; `None` for the runtime's own small talk."""
    text = line.decode(errors="replace").rstrip("\r")
    if text.startswith("{"):
        try:
            record = json.loads(text)
        except ValueError:
            return text
        if isinstance(record, dict) and "severity" in record and "message" in record:
            is_small_talk = str(record.get("logger", "")).startswith(_RUNTIME)
            if is_small_talk and record["severity"] in _QUIET:
                return None
            return str(record["message"])
    return text
