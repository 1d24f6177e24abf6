"""The report: one page, complete, escaped, without network."""

import re
from dataclasses import replace
from typing import Any

import pytest
from sample_job import WEIGHTS, finished_job, running_job, sample_receipt

from functions.domain.accounting.parts import Baseline
from functions.domain.plan.document import Policy
from functions.report.saving import saving_text

pytest.importorskip("plotly", reason="the report needs the extra `demo`")

from functions.report.figures import packed_plotly
from functions.report.page import render_report

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


def own_part(page: str) -> str:
    """Return the page without plotly's own code, which is no text of ours."""
    return page.replace(packed_plotly(), "")


@pytest.fixture(scope="module")
def page() -> str:
    """Return the finished job's page."""
    return render_report(finished_job(), proof=f"equal weights {WEIGHTS}")


def test_page_is_the_same_for_the_same_documents(page: str) -> None:
    """Rendering is a function of the documents alone."""
    assert render_report(finished_job(), proof=f"equal weights {WEIGHTS}") == page


def test_page_loads_nothing(page: str) -> None:
    """No attribute or rule points outside the page, and the page forbids it as well."""
    own = own_part(page)
    assert not re.findall(r"src=|href=[^#]{2}|url\(|@import", own)
    assert "default-src 'none'" in own
    assert page.count(packed_plotly()) == 1


def test_page_has_every_part(page: str) -> None:
    """A reader finds path, receipt, progress, energy, intensity, plan and events."""
    titles = re.findall(r"<h2>(.*?)</h2>", page)
    assert titles == [
        "Where and when",
        "Receipt",
        "Progress and loss",
        "Energy and emissions by interval",
        "Recorded and foreseen intensity",
        "Plan (first of 1)",
        "Events",
    ]
    own = own_part(page)
    for text in (
        "<dt>against run now, here</dt><dd>197 g less (-74\u00a0%)</dd>",
        "<dt>cost</dt>",
        "Audit: kWh x g/kWh",
        WEIGHTS,
        "gone without notice",
        "Left out: PL",
        "run now, here",
        "(estimated)",
    ):
        assert text in own


def test_page_says_that_simulated_data_are_simulated(page: str) -> None:
    """Simulated carbon is named as such; recorded carbon is not."""
    assert "Simulated carbon data" in page
    recorded = "Electricity Maps, lifecycle"
    documents = finished_job()
    documents = replace(
        documents,
        intensity_source=recorded,
        plans=tuple(replace(plan, forecast_source=recorded) for plan in documents.plans),
        receipt=replace(sample_receipt(), source=recorded),
    )
    own = own_part(render_report(documents))
    assert "Simulated carbon" not in own
    assert "simulated lifecycle" not in own


def test_texts_of_others_are_escaped() -> None:
    """No text of a document becomes markup or script."""
    documents = finished_job()
    plan = replace(documents.plans[0], reason=HOSTILE, forecast_source=HOSTILE)
    entry = replace(documents.ledger[-1], ended_because=HOSTILE, vm=HOSTILE)
    own = own_part(
        render_report(
            replace(
                documents,
                plans=(plan,),
                ledger=(*documents.ledger[:-1], entry),
                intensity_source=HOSTILE,
            ),
            proof=HOSTILE,
        )
    )
    assert "<script>alert" not in own
    assert "<img" not in own
    assert "&lt;/script&gt;" in own


@pytest.mark.parametrize(
    "missing",
    [
        {"plans": (), "forecasts": (), "state": None},
        {"ledger": (), "lifetimes": (), "progress": None, "latest": None},
        {"actual": {}, "intensity_source": ""},
    ],
    ids=["plan", "vm", "carbon"],
)
def test_page_of_a_young_job_says_what_is_not_there_yet(missing: dict[str, Any]) -> None:
    """A document that does not exist yet leaves its part empty and harms no other."""
    own = own_part(render_report(replace(running_job(), **missing)))
    assert "There is none yet: it follows the finish." in own
    assert "Where and when" in own


@pytest.mark.parametrize(
    ("grams", "told"),
    [(200.0, "50.0 g less (-25 %)"), (100.0, "50.0 g more (+50 %)"), (0.0, "150 g more")],
)
def test_saving_is_told_with_its_sign(grams: float, told: str) -> None:
    """Less is a saving, more is not hidden, and nothing is divided by zero."""
    made = sample_receipt()
    other = Baseline(
        policy=Policy.RUN_NOW_HERE,
        compute_zones=("europe-west3-b",),
        finish_at=made.finished_at,
        emissions_gco2eq=grams,
    )
    receipt = replace(made, emissions_gco2eq=150.0, baselines=(other,))
    assert saving_text(receipt, other) == told
