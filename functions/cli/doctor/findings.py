"""What a check finds, and how all of them are run: one's trouble never hides another's."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

_THREADS = 8


class Verdict(StrEnum):
    """How bad it is."""

    GOOD = "good"
    WARNING = "warning"
    """It works, but not as well as it could."""
    BAD = "bad"
    SKIPPED = "skipped"
    """It could not be looked at; the reason is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check says."""

    check: str
    verdict: Verdict
    found: str
    mend: str = ""
    """The command, or the step, that mends it; empty if nothing is to be mended."""


Check: TypeAlias = Callable[[], Finding]


def good(check: str, found: str) -> Finding:
    """Return that all is well."""
    return Finding(check=check, verdict=Verdict.GOOD, found=found)


def warning(check: str, found: str, mend: str) -> Finding:
    """Return what could be better."""
    return Finding(check=check, verdict=Verdict.WARNING, found=found, mend=mend)


def bad(check: str, found: str, mend: str) -> Finding:
    """Return what is wrong."""
    return Finding(check=check, verdict=Verdict.BAD, found=found, mend=mend)


def skipped(check: str, found: str, mend: str = "") -> Finding:
    """Return why it was not looked at."""
    return Finding(check=check, verdict=Verdict.SKIPPED, found=found, mend=mend)


def run_all(checks: Iterable[tuple[str, Check]]) -> Sequence[Finding]:
    """Return what each check finds, in their order; one that fails says so and no more."""
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(_run, checks))


def _run(named: tuple[str, Check]) -> Finding:
    name, check = named
    try:
        return check()
    except Exception as error:  # noqa: BLE001 - a check that breaks is a finding, too
        text = f"could not be looked at: {type(error).__name__}: {error}"
        return bad(name, text.splitlines()[0], "smartscheduler --debug doctor; check the network")
