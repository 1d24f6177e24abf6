"""The planner alone, on documents in files; the forecast may come from the bucket."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from forecaster.series import Forecast
from functions.cli.jobfile import read_job
from functions.cli.strip import heat_strip, look_of
from functions.domain.job import work_left_h
from functions.domain.lifecycle.state import JobState
from functions.domain.plan.document import Alternative, Plan, Policy
from functions.domain.plan.planner import make_plan
from functions.domain.plan.prices import DEFAULT_PRICES, PriceTable
from functions.errors import InvalidInputError
from functions.handlers.overview import newest_forecast
from functions.report.documents import JobDocuments
from functions.report.timeline import heat_map
from vm_runtime.contract.codec import decode, encode
from vm_runtime.contract.job import Job
from vm_runtime.contract.progress import Progress
from vm_runtime.storage import open_store

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The options; what is `None` was not given."""

    job_file: Path
    forecast_file: Path | None
    at: str | None
    state_file: Path | None
    progress_file: Path | None
    prices_file: Path | None
    bucket: str | None
    as_json: bool
    plot: Path | None


def show_plan(asked: Asked) -> None:
    """Plan, and print plan and alternatives.

    Raises:
        InvalidInputError: a file or option is not what it should be.
    """
    now = datetime.now(UTC) if asked.at is None else time_of(asked.at, of="--at")
    job = read_job(asked.job_file, now)
    forecast = _forecast(asked, now)
    prices = asked.prices_file
    made = _make(
        job,
        forecast,
        now,
        state=read_document(JobState, asked.state_file) if asked.state_file else None,
        progress=read_document(Progress, asked.progress_file) if asked.progress_file else None,
        prices=read_document(PriceTable, prices) if prices else DEFAULT_PRICES,
    )
    if asked.as_json:
        typer.echo(encode(made))
    else:
        _show(job, forecast, made, now)
    if asked.plot is not None:
        from functions.cli.pictures import draw_way  # noqa: PLC0415 - needs matplotlib

        draw_way(asked.plot, _documents(job, forecast, made, now))


def _forecast(asked: Asked, now: datetime) -> Forecast:
    if asked.forecast_file is not None:
        return read_document(Forecast, asked.forecast_file)
    if asked.bucket is None:
        raise InvalidInputError(
            "--forecast: expected a forecast document, or a --bucket that has one, found neither."
            " `smartscheduler forecast --history DIR --json` makes one from recorded hours."
        )
    found = newest_forecast(open_store(asked.bucket), now)
    if found is None:
        raise InvalidInputError(
            f"--bucket: expected a forecast in {asked.bucket}, found none. It is made at the next"
            " full hour by the deployment's `forecast`."
        )
    return found


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


def time_of(text: str, *, of: str) -> datetime:
    """Return a time with its zone, in UTC.

    Raises:
        InvalidInputError: it is none, or has no zone; the message begins with `of`.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInputError(
            f"{of}: expected a time such as 2026-03-02T06:00Z, found {text!r}. Write it so."
        ) from error
    if time.tzinfo is None:
        raise InvalidInputError(
            f"{of}: expected a time with its zone, found {text!r}. Add Z for UTC, or an offset."
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
    documents = _documents(job, forecast, made, now)
    console.print(heat_strip(heat_map(documents), look_of(console)))
    for each in made.left_out:
        console.print(Text(f"left out: {each.grid_zone}: {each.reason}"))
    for caveat in made.caveats:
        console.print(Text(caveat))
    console.print(
        Text(f"Carbon: {made.forecast_source}. Money: {made.price_source or 'no price'}.")
    )


def _documents(job: Job, forecast: Forecast, made: Plan, now: datetime) -> JobDocuments:
    """Return the job as it would be if this plan were its first."""
    return JobDocuments(read_at=now, job=job, plans=(made,), forecasts=(forecast,), actual={})


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
