"""The report's page: sections of lines, charts and tables, in one self-contained HTML text."""

from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from functions.domain.accounting.document import Receipt
from functions.report.documents import JobDocuments
from functions.report.figures import (
    compared_figure,
    heat_figure,
    hours_figure,
    intensity_figure,
    plotly_script,
    progress_figure,
)
from functions.report.receipt_lines import baseline_notes, basis_lines, receipt_lines
from functions.report.receipt_tables import (
    audit_table,
    baselines_table,
    hours_table,
    revisions_table,
    spending_table,
    zones_table,
)
from functions.report.receipt_tables import intervals_table as vms_of_receipt
from functions.report.summary import facts, plan_lines
from functions.report.tables import (
    Table,
    alternatives_table,
    at_text,
    energy_table,
    intensity_table,
    intervals_table,
    plans_table,
    story_table,
    vm_table,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Section:
    title: str
    lines: tuple[str, ...] = ()
    figure: str = ""
    tables: tuple[Table, ...] = ()
    folded: tuple[Table, ...] = ()


def render_report(documents: JobDocuments, *, proof: str = "") -> str:
    """Return the report as one HTML page that needs no network.

    Args:
        documents: all that the bucket says about the job.
        proof: a line that says what the final weights were compared with; may be empty.

    Raises:
        InvalidInputError: plotly is not installed.
    """
    # Autoescape covers every text; only what plotly made itself is marked safe.
    environment = Environment(
        loader=PackageLoader("functions.report", ""), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template("page.html").render(
        title=f"SmartScheduler: job {documents.job.job_id}",
        read_at=at_text(documents.read_at),
        source=documents.intensity_source,
        simulated=documents.is_simulated,
        plotly=_safe(plotly_script()),
        facts=facts(documents),
        proof=proof,
        sections=_sections(documents),
    )


def _safe(html: str) -> Markup:
    return Markup(html)  # noqa: S704 - plotly's own output, which escapes the texts it was given


def _sections(documents: JobDocuments) -> list[_Section]:
    return [
        _Section(
            title="Where and when",
            lines=("Cells: carbon intensity. Squares: where the job ran or will run.",),
            figure=_safe(heat_figure(documents)),
            folded=(intensity_table(documents),),
        ),
        *_receipt(documents),
        _Section(
            title="Progress",
            figure=_safe(progress_figure(documents)),
            tables=(vm_table(documents),),
        ),
        _Section(title="Energy", tables=(energy_table(documents),)),
        _Section(
            title="Recorded and forecast intensity", figure=_safe(intensity_figure(documents))
        ),
        *_plan(documents),
        _Section(title="Events", tables=(story_table(documents),)),
    ]


def _receipt(documents: JobDocuments) -> list[_Section]:
    receipt = documents.receipt
    if receipt is None:
        return [_Section(title="Receipt", lines=("There is none yet: it follows the finish.",))]
    return [
        _Section(
            title="Receipt",
            lines=(
                *receipt_lines(receipt),
                *baseline_notes(receipt.baselines),
                *basis_lines(receipt),
            ),
            figure=_safe(compared_figure(documents) + hours_figure(documents)),
            tables=_receipt_tables(receipt),
            folded=(hours_table(receipt), revisions_table(receipt), audit_table(receipt)),
        )
    ]


def _receipt_tables(receipt: Receipt) -> tuple[Table, ...]:
    own = (spending_table(receipt), vms_of_receipt(receipt), zones_table(receipt))
    return (baselines_table(receipt), *own) if receipt.baselines else own


def _plan(documents: JobDocuments) -> list[_Section]:
    # A finished job's last plan is about a rest, or empty; its first one decided.
    is_over = documents.state is not None and documents.state.phase.is_final
    plan = documents.plans[0] if is_over and documents.plans else documents.plan
    if plan is None:
        return [_Section(title="Plan", lines=("There is none yet.",))]
    which = "first" if is_over else "in force"
    return [
        _Section(
            title=f"Plan ({which} of {len(documents.plans)})",
            lines=plan_lines(plan),
            tables=(intervals_table(plan), alternatives_table(plan)),
            folded=(plans_table(documents.plans),),
        )
    ]
