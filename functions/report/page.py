"""The report's page: sections of lines, charts and tables, in one self-contained HTML text."""

from dataclasses import dataclass, replace

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from functions._version import __version__
from functions.domain.accounting.document import Receipt
from functions.report.documents import JobDocuments
from functions.report.figures import (
    Chart,
    compared_chart,
    hours_chart,
    intensity_chart,
    intervals_chart,
    packed_plotly,
    progress_chart,
)
from functions.report.heat_table import HeatTable, job_heat
from functions.report.key_figures import headline, key_figures
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
from functions.report.summary import plan_lines
from functions.report.tables import (
    Table,
    alternatives_table,
    at_text,
    column_kinds,
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
    heat: HeatTable | None = None
    charts: tuple[Chart, ...] = ()
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
    environment.filters["kinds"] = column_kinds
    state = documents.state
    return environment.get_template("page.html").render(
        title=f"SmartScheduler: job {documents.job.job_id}",
        phase=state.phase.value if state else "not planned yet",
        read_at=at_text(documents.read_at),
        source=documents.intensity_source,
        simulated=documents.is_simulated,
        plotly=packed_plotly(),
        headline=headline(documents),
        facts=key_figures(documents),
        proof=proof,
        sections=_sections(documents),
        version=__version__,
    )


def _drawn(*charts: Chart | None) -> tuple[Chart, ...]:
    """Return the charts that there are; their JSON has no `<` and needs no escape."""
    return tuple(
        replace(chart, json=Markup(chart.json))  # noqa: S704 - see `figures._chart`
        for chart in charts
        if chart is not None
    )


def _sections(documents: JobDocuments) -> list[_Section]:
    return [
        _Section(
            title="Where and when",
            heat=job_heat(documents),
            folded=(intensity_table(documents),),
        ),
        *_receipt(documents),
        _Section(
            title="Progress and loss",
            lines=("Grey: nothing ran. A cross: a VM that died without notice.",)
            if documents.ledger
            else ("No VM has run yet.",),
            charts=_drawn(progress_chart(documents)),
            tables=(vm_table(documents),) if documents.ledger else (),
        ),
        _Section(
            title="Energy and emissions by interval",
            charts=_drawn(intervals_chart(documents)),
            tables=(energy_table(documents),),
        ),
        _Section(
            title="Recorded and foreseen intensity",
            lines=("Dotted, with its span: what the first plan rested on. Solid: what came.",),
            charts=_drawn(intensity_chart(documents)),
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
            charts=_drawn(compared_chart(documents), hours_chart(documents)),
            tables=_receipt_tables(receipt),
            folded=(
                hours_table(receipt),
                zones_table(receipt),
                revisions_table(receipt),
                audit_table(receipt),
            ),
        )
    ]


def _receipt_tables(receipt: Receipt) -> tuple[Table, ...]:
    own = (spending_table(receipt), vms_of_receipt(receipt))
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
