"""The guide to configuration has every field of a job and every setting, and no other."""

import re
from dataclasses import fields
from itertools import pairwise

from guide_blocks import ROOT

from functions.domain.lifecycle.timing import Timing
from functions.settings import Settings
from vm_runtime.contract.job import Job

TEXT = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
SCHEMA_VERSION = "schema_version"


def named(heading: str) -> set[str]:
    """Return the names in the first column of the table below a heading."""
    begins = [match.start() for match in re.finditer(r"(?m)^## ", TEXT)]
    sections = [TEXT[begin:end] for begin, end in pairwise([*begins, len(TEXT)])]
    (section,) = [each for each in sections if each.startswith(f"## {heading}\n")]
    cells = re.findall(r"(?m)^\| (`[^|]+) \|", section)
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


def test_every_field_of_a_job_is_named() -> None:
    """What can be written into a job file, and nothing that cannot."""
    assert named("The job file") == {field.name for field in fields(Job)} - {SCHEMA_VERSION}


def test_every_setting_is_named() -> None:
    """By the name that the environment has it under."""
    known = (*fields(Settings), *fields(Timing))
    assert named("The functions") == {field.name.upper() for field in known}
