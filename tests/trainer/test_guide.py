"""The code in the trainer's guide runs as it stands there."""

import re
import warnings
from pathlib import Path
from typing import Any

import pytest

GUIDE = Path(__file__).parents[2] / "docs/trainer.md"
MOST_LINES = 10


def blocks(language: str) -> list[str]:
    """Return the guide's code blocks in a language."""
    return re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text(), flags=re.DOTALL)


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    """What the Python blocks define, run one after the other as a reader would."""
    found: dict[str, Any] = {"print": lambda *_: None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's own imports are deprecated here and there
        for block in blocks("python"):
            exec(block, found)  # noqa: S102  our own guide
    return found


def test_the_python_blocks_run(names: dict[str, Any]) -> None:
    """One after the other, in one script."""
    assert names["outcome"].finished
    assert names["outcome"].step == 12
    assert len(names["callbacks"]) == 3


def test_the_diff_is_short_and_both_of_its_sides_train(names: dict[str, Any]) -> None:
    """At most ten lines change, and the loop before and after learns."""
    (diff,) = blocks("diff")
    lines = diff.splitlines()
    after = "\n".join(line[1:] for line in lines if line[:1] != "-")
    before = "\n".join(line[1:] for line in lines if line[:1] != "+")

    assert sum(line[:1] == "+" for line in lines) <= MOST_LINES
    assert sum(line[:1] == "-" for line in lines) <= MOST_LINES
    for code in (before, after):
        found = {**names, "DataLoader": names["torch"].utils.data.DataLoader}
        exec(code.replace("num_workers=2", "num_workers=0"), found)  # noqa: S102  our own guide
        assert found["epoch"] == 2
        assert found["scheduler"].last_epoch == 3
    assert found["run"].step == 18
