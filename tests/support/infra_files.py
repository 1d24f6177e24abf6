"""The files of the deployment, as the tests read them."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"


def text_of(name: str) -> str:
    """Return a file of `infra/`."""
    return (INFRA / name).read_text(encoding="utf-8")


def names_of(text: str, pattern: str) -> set[str]:
    """Return all first groups of `pattern` in `text`."""
    return set(re.findall(pattern, text))
