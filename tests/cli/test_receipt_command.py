"""`smartscheduler receipt` as a person reads it, and as a program checks it."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from receipt_strategies import receipts
from rich.cells import cell_len
from rich.console import Console
from sample_job import SOURCE, finished_job, put_job, running_job, sample_receipt
from typer.testing import CliRunner, Result

from forecaster.series import IntensityDay
from functions.cli import app
from functions.cli.receipt import print_receipt
from functions.domain.accounting.document import Receipt
from functions.domain.accounting.parts import MissingHour
from functions.domain.lifecycle.state import Phase
from functions.domain.plan.document import Policy
from functions.handlers.documents import Documents
from functions.report.receipt_tables import audit_table
from vm_runtime.contract import object_names
from vm_runtime.storage import open_store


@pytest.fixture
def bucket(tmp_path: Path) -> str:
    """Return the URL of a bucket with one finished job."""
    url = (tmp_path / "bucket").as_uri()
    put_job(open_store(url), finished_job())
    return url


def run(*arguments: object) -> Result:
    """Return the outcome of one call."""
    return CliRunner().invoke(app, ["receipt", *(str(argument) for argument in arguments)])


def shown(receipt: Receipt) -> str:
    """Return what a terminal of 80 columns shows."""
    out = io.StringIO()
    print_receipt(Console(file=out, width=80, highlight=False), receipt)
    return out.getvalue()


def test_every_figure_names_baseline_basis_and_source() -> None:
    """Grams, ways compared with, accounting basis, source, estimates, and what is not counted."""
    text = " ".join(shown(sample_receipt()).split())
    for part in (
        "Emitted 69.2 gCO2eq from 0.945 kWh (modelled, not measured); 12 % of the energy was",
        "run now, here 266 197 g less (-74 %)",
        "best fixed region",
        "oracle",
        "done again",
        "average lifecycle intensity",
        f"Source: {SOURCE}",
        "FR 0 of 5 h, ES 1 of 5 h",
        "declared power 150 W x time",
        "No share of cooling, network, storage",
    ):
        assert part in text, part


def test_it_is_readable_in_80_columns() -> None:
    """No line is longer, and no number is cut."""
    text = shown(sample_receipt())
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "…" not in text


@settings(max_examples=20)
@given(receipts())
def test_any_receipt_can_be_shown(receipt: Receipt) -> None:
    """Whatever is missing, negative, huge or 0: it is told, within 80 columns."""
    lines = shown(receipt).split("\n")
    assert max(cell_len(line) for line in lines) <= 80
    assert audit_table(receipt).rows


def test_what_is_not_final_says_so_and_why() -> None:
    """Before the deadline the oracle is open; with an hour missing nothing is claimed."""
    assert "PROVISIONAL. The job's own hours are all in; still open: oracle." in shown(
        sample_receipt()
    )
    whole = sample_receipt()
    row = replace(whole.rows[0], gco2eq_per_kwh=None)
    missing = (MissingHour(grid_zone=row.grid_zone, start=row.hour),)
    text = shown(replace(whole, rows=(row, *whole.rows[1:]), missing=missing))
    text = " ".join(text.split())
    assert "PROVISIONAL: 1 h with 0.00500 kWh are in no sum of emissions" in text
    assert "FR 2025-06-02 06:00-07:00" in text
    assert "g less" not in text


def test_json_is_the_document(bucket: str) -> None:
    """Programs read all digits."""
    document = json.loads(run("digits", "--bucket", bucket, "--json").stdout)
    assert document["emissions_gco2eq"] == sample_receipt().emissions_gco2eq
    assert len(document["rows"]) == len(sample_receipt().rows)


def test_the_csv_adds_up_to_every_total(bucket: str, tmp_path: Path) -> None:
    """Independently of us: a reader of the rows alone arrives at the same totals."""
    file = tmp_path / "rows.csv"
    told = run("digits", "--bucket", bucket, "--json", "--csv", file)
    document = json.loads(told.stdout)
    with file.open(newline="") as opened:
        rows = list(csv.DictReader(opened))

    energy = sum(float(row["energy_kwh"]) for row in rows)
    grams = sum(float(row["energy_kwh"]) * float(row["gco2eq_per_kwh"]) for row in rows)
    overhead = sum(float(row["energy_kwh"]) for row in rows if row["spent_on"] != "training")
    assert energy == pytest.approx(document["energy_kwh"], rel=1e-12)
    assert grams == pytest.approx(document["emissions_gco2eq"], rel=1e-12)
    assert overhead == pytest.approx(document["overhead_kwh"], rel=1e-12)
    assert sum(float(row["emissions_gco2eq"]) for row in rows) == pytest.approx(grams)
    for interval in document["intervals"]:
        mine = [row for row in rows if int(row["vm"]) == interval["incarnation"]]
        assert sum(float(r["emissions_gco2eq"]) for r in mine) == pytest.approx(
            interval["emissions_gco2eq"]
        )


def test_the_printed_audit_adds_up_but_for_the_last_digit(bucket: str) -> None:
    """With a pocket calculator: the column's sum is the printed sum."""
    text = run("digits", "--bucket", bucket, "--audit").stdout
    lines = text[text.index("Audit:") :].splitlines()[2:]
    numbers = [float(line.split()[-1]) for line in lines if line.strip()]
    assert sum(numbers[:-1]) == pytest.approx(numbers[-1], abs=1e-4 * len(numbers))


def test_refresh_takes_what_is_published_by_now(bucket: str) -> None:
    """Final values replace estimates: the receipt changes, and says by how much."""
    documents = Documents(open_store(bucket))
    name = object_names.intensity("ES", sample_receipt().rows[-1].hour.date())
    found = documents.find(IntensityDay, name)
    assert found is not None
    hours = tuple(
        replace(hour, gco2eq_per_kwh=hour.gco2eq_per_kwh + 100, estimated=False)
        if hour.estimated
        else hour
        for hour in found.document.hours
    )
    documents.write(name, replace(found.document, hours=hours), if_generation=found.generation)

    first = run("digits", "--bucket", bucket)
    second = run("digits", "--bucket", bucket, "--refresh")

    assert "Revised" not in first.stdout
    told = " ".join(second.stdout.split())
    # 0.045978 kWh in the hour from 16:00, 100 g/kWh more.
    assert "Revised 1 time since 2025-06-02 18:00 UTC" in told
    assert "+4.60 g by values that replaced earlier ones" in told
    receipt = documents.get(Receipt, object_names.receipt("digits"))
    assert receipt.emissions_gco2eq == pytest.approx(sample_receipt().emissions_gco2eq + 4.5978)
    assert receipt.regret is None, "half of the hours until the deadline are not published"
    assert receipt.baseline(Policy.ORACLE) is not None


def test_a_receipt_that_is_not_there_says_when_it_comes(tmp_path: Path) -> None:
    """A missing receipt is an expected error, with --refresh as well."""
    url = (tmp_path / "bucket").as_uri()
    put_job(open_store(url), running_job())
    done = run("digits", "--bucket", url)
    assert done.exit_code == 2
    assert "expected a receipt" in done.stderr
    again = run("digits", "--bucket", url, "--refresh")
    assert again.exit_code == 2
    assert "expected one that is over" in again.stderr


def test_a_file_that_cannot_be_written_is_an_error_that_helps(bucket: str, tmp_path: Path) -> None:
    """The place is named."""
    done = run("digits", "--bucket", bucket, "--csv", tmp_path / "no" / "rows.csv")
    assert done.exit_code == 2
    assert "expected a place to write the rows to" in done.stderr


def test_a_failed_job_claims_nothing() -> None:
    """It says that the grams bought no result, and compares with nothing."""
    failed = replace(
        sample_receipt(), outcome=Phase.FAILED, baselines=(), regret=None, weights_sha256=""
    )
    text = " ".join(shown(failed).split())
    assert "Failed 2025-06-02 16:30 UTC." in text
    assert "It bought no result." in text
    assert "less" not in text
