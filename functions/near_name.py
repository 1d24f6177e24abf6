"""The name that a person probably meant."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(found: str, known: Iterable[str]) -> str:
    """Return ` (did you mean DE?)`, or nothing if no name of `known` is near."""
    by_lower = {name.lower(): name for name in known}
    close = get_close_matches(found.lower(), by_lower, n=1)
    return f" (did you mean {by_lower[close[0]]}?)" if close else ""
