"""Numbers for people: three digits, no exponent, no noise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.report.rounding import part_of, percent, rounded


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0.0, "0"),
        (-3.6e-15, "0"),
        (9.996, "10.0"),
        (0.0075, "0.00750"),
        (123456.0, "123000"),
        (-56.64, "-56.6"),
        (999.6, "1000"),
    ],
)
def test_three_significant_digits(value: float, told: str) -> None:
    """Neither more nor less, also where rounding gains a digit; a float's noise is nothing."""
    assert rounded(value) == told


@given(st.floats(1e-6, 1e9))
def test_what_is_told_is_within_half_of_its_last_digit(value: float) -> None:
    """No number is off by more than half a percent."""
    assert float(rounded(value)) == pytest.approx(value, rel=0.00501)


def test_shares() -> None:
    """Whole percents; a share of nothing is none."""
    assert (percent(-0.746), percent(0.004), percent(7.2)) == ("-75 %", "±0 %", "+720 %")
    assert (part_of(1, 8), part_of(0, 0)) == ("12 %", "0 %")
