"""Numbers for people: three significant digits, for nobody knows more. JSON has them all."""

from math import floor, log10

_DIGITS = 3
_NOTHING = 1e-9
"""Below it is what floats leave of a difference."""


def rounded(value: float) -> str:
    """Return the value to three significant digits, without an exponent."""
    if abs(value) < _NOTHING:
        return "0"
    decimals = _DIGITS - 1 - floor(log10(abs(value)))
    value = round(value, decimals)
    # Rounding up may have gained a digit: 9.996 is 10.0, not 10.00.
    decimals = _DIGITS - 1 - floor(log10(abs(value)))
    return f"{value:.{max(decimals, 0)}f}"


def percent(share: float) -> str:
    """Return a share as whole percents with its sign, `±0 %` where that says nothing."""
    whole = round(100 * share)
    return f"{whole:+d} %" if whole else "±0 %"


def part_of(part: float, whole: float) -> str:
    """Return what percentage `part` is of `whole`, such as `12 %`."""
    return f"{100 * part / whole:.0f} %" if whole else "0 %"
