"""`smartscheduler plan`: the planner alone, on documents in files. Contacts nothing."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from forecaster.series import Forecast
from functions.cli.jobfile import read_job
from functions.cli.options import JsonOption
from functions.cli.strip import heat_strip, look_of
from functions.domain.job import work_left_h
from functions.domain.lifecycle.state import JobState
from functions.domain.plan.document import Alternative, Plan, Policy
from functions.domain.plan.planner import make_plan
from functions.domain.plan.prices import DEFAULT_PRICES, PriceTable
from functions.errors import InvalidInputError
from functions.report.documents import JobDocuments
from functions.report.timeline import heat_map
from vm_runtime.contract.codec import decode, encode
from vm_runtime.contract.job import Job
from vm_runtime.contract.progress import Progress

T = TypeVar("T")


def plan(  # noqa: PLR0913, PLR0917 - options of the command
    job_file: Annotated[Path, typer.Option("--job", metavar="FILE", help="The job as JSON.")],
    forecast_file: Annotated[
        Path, typer.Option("--forecast", metavar="FILE", help="A forecast document.")
    ],
    at: Annotated[
        str, typer.Option("--at", metavar="TIME", help="When it is planned: 2026-03-02T06:00Z.")
    ],
    state_file: Annotated[
        Path | None,
        typer.Option("--state", metavar="FILE", help="The job's state: where it runs, blocks."),
    ] = None,
    progress_file: Annotated[
        Path | None,
        typer.Option("--progress", metavar="FILE", help="Its progress: how much work is left."),
    ] = None,
    prices_file: Annotated[
        Path | None,
        typer.Option("--prices", metavar="FILE", help="Prices in place of the built-in ones."),
    ] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Plan one job under one forecast, and show what else it could do."""
    now = _time(at)
    job = read_job(job_file, now)
    forecast = read_document(Forecast, forecast_file)
    state = read_document(JobState, state_file) if state_file else None
    progress = read_document(Progress, progress_file) if progress_file else None
    made = _make(
        job,
        forecast,
        now,
        state=state,
        progress=progress,
        prices=read_document(PriceTable, prices_file) if prices_file else DEFAULT_PRICES,
    )
    if as_json:
        typer.echo(encode(made))
        return
    _show(job, forecast, made, now)


def read_document(kind: type[T], file: Path) -> T:
    """Return the document in `file`.

    Raises:
        InvalidInputError: it cannot be read.
        DocumentError: it is no such document; every field that is wrong is named.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise InvalidInputError(
            f"{file}: expected a {kind.__name__} document that can be read, found none"
            f" ({error.strerror}). Correct the path."
        ) from error
    return decode(kind, data, name=str(file))


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInputError(
            f"--at: expected a time such as 2026-03-02T06:00Z, found {text!r}. Write it so."
        ) from error
    if time.tzinfo is None:
        raise InvalidInputError(
            f"--at: expected a time with its zone, found {text!r}. Add Z for UTC, or an offset."
        )
    return time.astimezone(UTC)


def _make(  # noqa: PLR0913 - every document that was given
    job: Job,
    forecast: Forecast,
    now: datetime,
    *,
    state: JobState | None,
    progress: Progress | None,
    prices: PriceTable,
) -> Plan:
    for name, document in (("--state", state), ("--progress", progress)):
        if document is not None and document.job_id != job.job_id:
            raise InvalidInputError(
                f"{name}: expected that of job {job.job_id}, found that of {document.job_id}."
                " Give documents of one job."
            )
    if state is not None and state.phase.is_final:
        raise InvalidInputError(
            f"--state: expected phase active, found {state.phase.value}: nothing is left to plan."
        )
    target = state.target if state is not None else None
    runs = target is not None and target.interval_start <= now < target.interval_end
    return make_plan(
        job,
        forecast,
        now=now,
        work_left_h=work_left_h(job, progress),
        running_in=target.compute_zone if target is not None and runs else None,
        running_since=target.interval_start if target is not None and runs else None,
        blocked=tuple(b.place for b in state.blocked if now < b.until) if state else (),
        prices=prices,
    )


def _show(job: Job, forecast: Forecast, made: Plan, now: datetime) -> None:
    console = Console(highlight=False)
    console.print(Text(made.reason))
    if made.impossible:
        console.print(Text(f"Impossible: {made.impossible}.", "bold red"))
    console.print(_interval_table(made))
    console.print(_alternative_table(made))
    documents = JobDocuments(
        read_at=now,
        job=job,
        state=None,
        plans=(made,),
        forecasts=(forecast,),
        actual={},
        intensity_source="",
        progress=None,
        lease=None,
        latest=None,
        manifest=None,
        ledger=(),
        lifetimes=(),
        receipt=None,
    )
    console.print(heat_strip(heat_map(documents), look_of(console)))
    for each in made.left_out:
        console.print(Text(f"left out: {each.grid_zone}: {each.reason}"))
    for caveat in made.caveats:
        console.print(Text(caveat))
    console.print(
        Text(f"Carbon: {made.forecast_source}. Money: {made.price_source or 'no price'}.")
    )


def _interval_table(made: Plan) -> Table:
    table = Table("from (UTC)", "to", "grid", "place", box=None, pad_edge=False)
    for name in ("work h", "gCO2eq", "USD"):
        table.add_column(name, justify="right")
    for each in made.intervals:
        table.add_row(
            f"{each.start:%m-%d %H:%M}",
            f"{each.end:%m-%d %H:%M}",
            each.grid_zone,
            each.compute_zone,
            f"{each.work_h:.2f}",
            f"{each.expected_gco2eq:.1f}",
            _usd(each.expected_usd),
        )
    return table


def _alternative_table(made: Plan) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("way", no_wrap=True)
    for name in ("gCO2eq", "USD", "delay h", "starts", "moves", "left h"):
        table.add_column(name, justify="right")
    table.add_column("places")
    for each in made.alternatives:
        style = "bold" if each.policy is Policy.THIS_PLAN else ""
        table.add_row(*_cells(each), style=style)
    return table


def _cells(each: Alternative) -> tuple[str, ...]:
    places = [zone.rpartition("-")[0] for zone in each.compute_zones]
    late = "" if each.meets_deadline or each.undone_h else " late"
    return (
        each.policy.value,
        f"{each.emissions_gco2eq:.1f}",
        _usd(each.usd),
        f"{each.delay_h:.1f}{late}",
        str(each.starts),
        str(each.moves),
        f"{each.undone_h:.1f}" if each.undone_h else "",
        ", ".join(places[:3]) + (" and further" if places[3:] else ""),
    )


def _usd(usd: float | None) -> str:
    return "?" if usd is None else f"{usd:.2f}"
