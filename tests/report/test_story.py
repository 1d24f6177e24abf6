"""What happened, told from the documents."""

from dataclasses import replace

from sample_job import HOUR, START, finished_job, running_job, sample_plan

from functions.report.documents import JobDocuments
from functions.report.story import lost_steps, route, story


def texts(documents: JobDocuments) -> list[str]:
    """Return the texts of the story."""
    return [event.text for event in story(documents)]


def test_story_tells_start_kill_resume_move_and_end_in_order() -> None:
    """Each turn of a job's life is told once, in the order of time."""
    assert texts(finished_job()) == [
        "job digits submitted",
        "plan: FR → ES, 2 intervals, 86 g expected",
        "ss-digits-1 starts in europe-west9-b (FR) at step 0",
        "ss-digits-1 gone without notice, 30 steps lost",
        "ss-digits-2 resumes in europe-west9-b (FR) at step 100",
        "ss-digits-2 ends at step 240: interval end",
        "ss-digits-3 moves to europe-southwest1-c (ES) at step 240",
        "ss-digits-3 ends at step 480: finished",
        "job finished",
        "receipt written, all hours of the job in, still provisional",
    ]


def test_running_vm_is_not_called_dead() -> None:
    """Only a VM that is seen to be gone, or has a successor, died without notice."""
    documents = running_job()
    assert lost_steps(documents, documents.ledger[1]) == 0
    assert lost_steps(documents, documents.ledger[0]) == 30


def test_plan_that_keeps_the_way_is_no_news() -> None:
    """An hourly plan over what is left of the same way is not told again; a new way is."""
    first = sample_plan()
    rest = replace(
        first,
        plan_id="2025-06-02T0900Z",
        created_at=START + 3 * HOUR,
        intervals=first.intervals[1:],
    )
    other = replace(
        rest,
        plan_id="2025-06-02T1000Z",
        created_at=START + 4 * HOUR,
        intervals=(replace(rest.intervals[0], grid_zone="GB", compute_zone="europe-west2-b"),),
    )
    documents = replace(finished_job(), plans=(first, rest, other))
    told = [text for text in texts(documents) if text.startswith("plan")]
    assert told == [
        "plan: FR → ES, 2 intervals, 86 g expected",
        "plan: GB, 1 interval, 86 g expected",
    ]


def test_route_leaves_out_repetitions() -> None:
    """A pause in one place is no change of the way."""
    first = sample_plan()
    again = replace(first.intervals[0], start=START + 5 * HOUR, end=START + 6 * HOUR)
    plan = replace(first, intervals=(first.intervals[0], again, first.intervals[1]))
    assert route(plan) == ("FR", "ES")


def test_future_is_not_told() -> None:
    """An event after the moment of reading is left out."""
    documents = replace(finished_job(), read_at=START + HOUR / 2)
    assert len(texts(documents)) == 2
