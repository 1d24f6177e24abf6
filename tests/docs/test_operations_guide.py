"""What the guide for operators says of the log is what the code writes."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
EVENT = re.compile(r'"event"\]?(?::| =) "([a-z_]+)"')
GUIDE = (REPOSITORY / "docs/operations.md").read_text()


def sources() -> Iterator[Path]:
    """Yield the code of the four functions: what people run at a terminal is told otherwise."""
    for path in sorted((REPOSITORY / "functions").rglob("*.py")):
        if path.relative_to(REPOSITORY).parts[1] not in {"cli", "local", "report"}:
            yield path


def test_each_event_is_explained_and_each_explanation_has_its_event() -> None:
    """Whoever finds a line in the log finds in the guide what it means and what to do."""
    found = {name for source in sources() for name in EVENT.findall(source.read_text())}
    table = GUIDE.split("| event | from |")[1]
    explained = re.findall(r"^\| `([a-z_]+)` \|", table, re.MULTILINE)
    assert len(explained) == len(set(explained))
    assert set(explained) == found


@pytest.mark.parametrize("source", list(sources()), ids=lambda path: path.stem)
def test_each_line_of_the_log_has_an_event(source: Path) -> None:
    """A line without one cannot be looked up: `extra` is given at every call."""
    calls = [
        node
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "_LOG"
    ]
    bare = [call.lineno for call in calls if not any(key.arg == "extra" for key in call.keywords)]
    assert bare == []
