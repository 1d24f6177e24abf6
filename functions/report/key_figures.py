"""The few figures that a reader takes away: in words for people, exact for programs. Pure."""

from dataclasses import dataclass

from functions.domain.accounting.receipt import saved_fraction, saved_gco2eq
from functions.domain.plan.document import Policy
from functions.report.documents import JobDocuments
from functions.report.rounding import rounded
from functions.report.summary import facts

_KEYS = {
    "emissions": "emissions_gco2eq",
    "energy": "energy_kwh",
    "of it overhead": "overhead_kwh",
    "cost": "usd",
    "VMs": "vms",
    "moves": "moves",
    "steps done again": "lost_steps",
}
"""Name of a fact, and of the receipt's field that it shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFigure:
    """One figure."""

    name: str
    text: str
    key: str = ""
    """The receipt's field; empty if it shows none."""
    value: float | int | None = None
    """With all digits, as in the receipt's JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """What the job comes to, in a sentence that begins with a figure."""

    figure: str
    rest: str
    is_more: bool


def key_figures(documents: JobDocuments) -> tuple[KeyFigure, ...]:
    """Return the facts of `summary`, with the exact values that the receipt has."""
    found = []
    for name, text in facts(documents):
        if name == "phase":
            continue  # stands in the title
        key = _KEYS.get(name, "") if documents.receipt else ""
        value = getattr(documents.receipt, key) if key else None
        # A line must not end between a number and its percent sign.
        found.append(KeyFigure(name=name, text=text.replace(" %", "\u00a0%"), key=key, value=value))
    return tuple(found)


def headline(documents: JobDocuments) -> Headline | None:
    """Return what was saved against running at once, or what the plan expects to save.

    The baseline, its basis and, while nothing is final, the word `provisional` belong to it.
    """
    receipt, plan = documents.receipt, documents.plan
    if receipt is not None:
        fraction = saved_fraction(receipt, Policy.RUN_NOW_HERE)
        saved = saved_gco2eq(receipt, Policy.RUN_NOW_HERE)
        if fraction is None or saved is None:
            return None
        provisional = ", provisional" if receipt.is_provisional else ""
        kind = "simulated" if documents.is_simulated else "recorded"
        total = receipt.emissions_gco2eq
        rest = (
            f"than running at once in {documents.job.allowed_regions[0]}: {rounded(total)} instead"
            f" of {rounded(total + saved)} gCO2eq ({kind} {receipt.basis.value} intensity,"
            f" overheads counted{provisional})."
        )
        return _headline(fraction, rest)
    if plan is None or not plan.intervals:
        return None
    now = [o.emissions_gco2eq for o in plan.alternatives if o.policy is Policy.RUN_NOW_HERE]
    if not now or now[0] <= 0:
        return None
    rest = (
        f"than running now in {documents.job.allowed_regions[0]} is expected for what is left:"
        f" {rounded(plan.expected_gco2eq)} instead of {rounded(now[0])} gCO2eq (forecast of"
        f" {plan.forecast_origin:%-d %b %H:%M} UTC)."
    )
    return _headline(1 - plan.expected_gco2eq / now[0], rest)


def _headline(fraction: float, rest: str) -> Headline:
    word = "less" if fraction >= 0 else "more"
    return Headline(figure=f"{abs(fraction) * 100:.0f} % {word}", rest=rest, is_more=fraction < 0)
