"""The documentation builds as a site, with every guide in its navigation and every name found."""

import subprocess
import sys
from pathlib import Path

from guide_blocks import ROOT


def test_the_site_builds_strictly(tmp_path: Path) -> None:
    """No dead link, no guide left out, no name in the reference that does not exist."""
    done = subprocess.run(  # noqa: S603 - our own
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "NO_MKDOCS_2_WARNING": "1", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    reference = (tmp_path / "reference.html").read_text(encoding="utf-8")
    for name in ("IntervalTrainer", "EarlyStopping", "Forecast", "decide", "Receipt"):
        assert f'.{name}"' in reference
