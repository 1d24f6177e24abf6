"""Every code block of README and the guides runs, one after the other, as its reader would."""

import json
import re
import tomllib
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from guide_blocks import ROOT, Block, blocks, guides
from guide_scene import Scene
from infra_files import names_of, text_of

from functions.cli.jobfile import read_job

SOME_DAY = datetime(2026, 6, 1, tzinfo=UTC)
"""Before the deadlines that the guides name."""

SHOWN = {"text", "mermaid"}
"""Output and pictures: nothing to run."""

MOST_LINES = 10
"""Of one's own code, to be changed for a training that can be stopped."""


def check_json(block: Block, scene: Scene, __: dict[str, Any]) -> None:
    """It is JSON, and a job that can be submitted if it looks like one."""
    if "machine_type" in json.loads(block.text):
        file = scene.folder / "shown.json"
        file.write_text(block.text, encoding="utf-8")
        read_job(file, SOME_DAY)


def check_hcl(block: Block, _: Scene, __: dict[str, Any]) -> None:
    """It sets variables that exist."""
    known = names_of(text_of("variables.tf"), r'(?m)^variable "(\w+)"')
    assert names_of(block.text, r"(?m)^(\w+)\s*=") <= known


def check_toml(block: Block, _: Scene, __: dict[str, Any]) -> None:
    """It can be read."""
    assert tomllib.loads(block.text)


def run_python(block: Block, _: Scene, names: dict[str, Any]) -> None:
    """It runs, with the names of the blocks before it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's own imports are deprecated here and there
        exec(compile(block.text, str(block), "exec"), names)  # noqa: S102  our own guide


def run_diff(block: Block, _: Scene, names: dict[str, Any]) -> None:
    """At most ten lines change, and the code before and after runs."""
    lines = block.text.splitlines()
    for sign in "+-":
        assert sum(line[:1] == sign for line in lines) <= MOST_LINES
        code = "\n".join(line[1:] for line in lines if line[:1] != sign)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # as in `run_python`
            exec(compile(code, f"{block} without {sign}", "exec"), names)  # noqa: S102  our own


def run_sh(block: Block, scene: Scene, _: dict[str, Any]) -> None:
    """Its commands succeed."""
    scene.run(block.text)


RUN: dict[str, Callable[[Block, Scene, dict[str, Any]], None]] = {
    "diff": run_diff,
    "hcl": check_hcl,
    "json": check_json,
    "python": run_python,
    "sh": run_sh,
    "toml": check_toml,
}


@pytest.mark.parametrize("guide", guides(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_block_runs(guide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In their order, in one folder, with one shell and one Python session per guide."""
    found = [block for block in blocks(guide) if block.language not in SHOWN]
    if not found:
        return
    scene = Scene(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SMARTSCHEDULER_BUCKET", scene.bucket)
    names: dict[str, Any] = {"print": lambda *_, **__: None, "__name__": "__main__"}
    for block in found:
        assert block.language in RUN, f"{block}: expected a language among {sorted(RUN)} or {SHOWN}"
        try:
            RUN[block.language](block, scene, names)
        except Exception as error:
            error.add_note(f"in {block}")
            raise


def test_every_link_leads_somewhere() -> None:
    """Links between files of the repository, also to headings."""
    for guide in guides():
        text = guide.read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[\w-]+)?\)", text):
            assert (guide.parent / target).exists(), f"{guide.name}: {target}"
