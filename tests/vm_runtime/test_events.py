"""The events of a VM's log and their table for people."""

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
EVENT = re.compile(
    r'"event": "([a-z_]+)"|_log\("[A-Z]+", "([a-z_]+)"'
    r"|^\s+(?:\(\(.*\)\) \|\| )?log [A-Z]+ ([a-z_]+) ",
    re.MULTILINE,
)


def test_each_event_is_explained_and_each_explanation_has_its_event() -> None:
    """Who finds a line in the log finds in docs/vm.md what it means and what to do."""
    folder = REPOSITORY / "vm_runtime"
    sources = [*folder.rglob("*.py"), folder / "startup.sh"]
    found = {
        next(filter(None, match.groups()))
        for source in sources
        for match in EVENT.finditer(source.read_text())
    }
    table = (REPOSITORY / "docs/vm.md").read_text().split("| event | from |")[1]
    first_cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    explained = set(re.findall(r"`([a-z_]+)`", " ".join(first_cells)))
    assert explained == found
