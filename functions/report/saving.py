"""What a job saved against the other ways to do it."""

from functions.domain.accounting.document import Receipt
from functions.domain.accounting.parts import Baseline
from functions.domain.accounting.receipt import saved_fraction, saved_gco2eq
from functions.report.rounding import percent, rounded

UNKNOWN = "not known yet"


def saving_text(receipt: Receipt, baseline: Baseline) -> str:
    """Return grams and percent saved against a baseline, such as `120 g less (-31 %)`."""
    saved = saved_gco2eq(receipt, baseline.policy)
    if saved is None:
        return UNKNOWN
    word = "less" if saved >= 0 else "more"
    fraction = saved_fraction(receipt, baseline.policy)
    text = f"{rounded(abs(saved))} g {word}"
    return text if fraction is None else f"{text} ({percent(-fraction)})"
