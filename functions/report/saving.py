"""What a job saved against the other ways to do it."""

from functions.domain.accounting.document import Baseline, Receipt


def saving_text(receipt: Receipt, baseline: Baseline) -> str:
    """Return grams and percent saved against `baseline`, such as `120 g less (-31 %)`."""
    saved = baseline.emissions_gco2eq - receipt.emissions_gco2eq
    word = "less" if saved >= 0 else "more"
    if baseline.emissions_gco2eq == 0:
        return f"{abs(saved):.1f} g {word}"
    percent = -100 * saved / baseline.emissions_gco2eq
    return f"{abs(saved):.1f} g {word} ({percent:+.1f} %)"
