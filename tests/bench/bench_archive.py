"""The archive of the functions: its size, and what importing it costs a cold start."""

import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from figure import Figure

from functions.archive import staged, write

TIMES = 5
LOAD = "import time; b = time.perf_counter(); import main; print(time.perf_counter() - b)"


def archive_figures() -> list[Figure]:
    """Size, and the import of `main` in a fresh process, the least of five."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "archive.zip"
        write(staged(), target)
        source = Path(folder) / "source"
        with zipfile.ZipFile(target) as archive:
            archive.extractall(source)
        spans = [_import_s(source) for _ in range(TIMES)]
        size = target.stat().st_size
    pins = len(
        re.findall(r"^[\w.-]+==", Path("functions/requirements.txt").read_text(), re.MULTILINE)
    )
    return [
        Figure(what="archive of the functions", ours=f"{size / 1e6:.2f} MB, {pins} pinned"),
        Figure(what="archive, import main, fresh process", ours=f"{min(spans):.2f} s"),
    ]


def _import_s(source: Path) -> float:
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", LOAD], cwd=source, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


FIGURES = (archive_figures,)
