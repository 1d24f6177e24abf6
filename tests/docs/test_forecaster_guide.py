"""The guide to the forecaster names commands, options and settings that exist."""

import re
import shlex
from pathlib import Path

import pytest
import typer.main

import forecaster
import functions.cli
from forecaster.cli import app
from functions.adapters.generation_mix import COVERED
from functions.settings import PREFIX, Settings

GUIDE = Path(forecaster.__file__).parents[1] / "docs" / "forecaster.md"
TEXT = GUIDE.read_text(encoding="utf-8")
COMMAND = re.compile(r"^`?python -m forecaster ((?:.*\\\n)*[^`\n]*)", re.MULTILINE)
COMMANDS = [" ".join(found.replace("\\\n", " ").split()) for found in COMMAND.findall(TEXT)]


@pytest.mark.parametrize("line", [line for line in COMMANDS if line != "..."])
def test_each_command_can_be_given(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name, options and values are understood, where the folders are there."""
    for folder in ("history", "live", "model"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path)
    name, *arguments = shlex.split(line)
    group = typer.main.get_group(app)
    context = group.commands[name].make_context(name, arguments)
    assert context.params


def test_no_command_is_forgotten() -> None:
    """Each of them is in the guide."""
    assert {line.split()[0] for line in COMMANDS} >= set(typer.main.get_group(app).commands)


def test_options_in_the_text_exist() -> None:
    """Also those that no example uses."""
    commands = {
        **typer.main.get_group(app).commands,
        **typer.main.get_group(functions.cli.app).commands,
    }
    known = {
        option
        for command in commands.values()
        for parameter in command.params
        for option in parameter.opts
    }
    assert set(re.findall(r"`(--[a-z-]+)", TEXT)) <= known


def test_settings_in_the_text_exist() -> None:
    """And the keyless source covers what the table says."""
    names = set(re.findall(rf"{PREFIX}([A-Z_]+)", TEXT))
    assert {name.lower() for name in names} <= set(Settings.__dataclass_fields__)
    assert f"| `generation_mix` | {', '.join(sorted(COVERED))} | none" in TEXT
