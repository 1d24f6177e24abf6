"""The grid of zones x hours that both the live view and the report show."""

from dataclasses import replace

from sample_job import HOUR, START, finished_job, intensity, running_job

from functions.report.documents import JobDocuments
from functions.report.timeline import LONGEST_H, SHORTEST_H, Mark, heat_map


def marks(documents: JobDocuments, grid_zone: str) -> dict[int, Mark]:
    """Return hour of the job and mark of every marked cell in one row."""
    row = next(row for row in heat_map(documents).rows if row.grid_zone == grid_zone)
    return {i: cell.mark for i, cell in enumerate(row.cells) if cell.mark}


def test_recorded_hours_win_over_the_forecast() -> None:
    """A cell shows what was recorded where that is known, else the forecast's median."""
    row = heat_map(running_job()).rows[0]
    assert row.cells[3].actual
    assert row.cells[3].gco2eq_per_kwh == intensity("DE", 3) * 0.97
    assert not row.cells[4].actual
    assert row.cells[4].gco2eq_per_kwh == intensity("DE", 4)


def test_path_is_marked_by_what_ran_runs_and_is_planned() -> None:
    """Past cells follow the ledger, the present one the plan in force, later ones the plan."""
    assert marks(running_job(), "FR") == {1: Mark.DONE, 2: Mark.DONE, 3: Mark.NOW}
    assert marks(running_job(), "ES") == dict.fromkeys((7, 8, 9, 10), Mark.PLANNED)


def test_nothing_is_planned_once_the_job_is_over() -> None:
    """A finished job has no cell ahead, whatever its last plan says."""
    documents = replace(finished_job(), read_at=START + 8 * HOUR)
    assert Mark.PLANNED not in marks(documents, "ES").values()


def test_unknown_cells_are_not_clean() -> None:
    """A cell that was neither recorded nor forecast has no value."""
    documents = replace(running_job(), forecasts=(), actual={})
    cells = [cell for row in heat_map(documents).rows for cell in row.cells]
    assert {cell.gco2eq_per_kwh for cell in cells} == {None}
    assert heat_map(documents).span == (0.0, 1.0)


def test_long_job_shows_its_last_hours() -> None:
    """More hours than fit lose the oldest ones, never the present."""
    late = replace(running_job(), read_at=START + 90 * HOUR)
    heat = heat_map(late)
    assert len(heat.hours) == LONGEST_H
    assert heat.hours[-1] + HOUR == late.read_at


def test_job_that_is_long_over_still_shows_its_hours() -> None:
    """What is looked at a year later are the hours in which the job lived."""
    late = replace(finished_job(), read_at=START + 9000 * HOUR)
    heat = heat_map(late)
    assert heat.start == START
    assert len(heat.hours) == SHORTEST_H
