"""Laws of reading recorded hours from CSV files."""

import gzip
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from forecaster.history import HistoryFileError, load_folder, read_file
from forecaster.series import Basis

OLDER = (
    "Datetime (UTC),Country,Zone Name,Zone Id,Carbon Intensity gCO₂eq/kWh (direct),"
    "Carbon Intensity gCO₂eq/kWh (LCA),Low Carbon Percentage,Renewable Percentage,"
    "Data Source,Data Estimated,Data Estimation Method"
)
NEWER = (
    "Datetime (UTC),Country,Zone name,Zone id,Carbon intensity gCO₂eq/kWh (direct),"
    "Carbon intensity gCO₂eq/kWh (Life cycle),Carbon-free energy percentage (CFE%),"
    "Renewable energy percentage (RE%),Data source,Data estimated,Data estimation method"
)
PLAIN = "zone,datetime_utc,carbon_intensity,carbon_intensity_direct"


def export_row(time: str, direct: float | str = 300.5, lifecycle: float | str = 390) -> str:
    """Return a row as the exports have it."""
    return f"{time},Italy,North Italy,IT-NO,{direct},{lifecycle},35.12,30.82,entsoe.eu,false,"


def write(folder: Path, name: str, *lines: str) -> Path:
    """Write a file of `lines`."""
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("header", [OLDER, NEWER, NEWER.title(), "\ufeff" + OLDER.upper()])
@pytest.mark.parametrize(("basis", "value"), [(Basis.LIFECYCLE, 390), (Basis.DIRECT, 300.5)])
def test_both_releases_read_alike(tmp_path: Path, header: str, basis: Basis, value: float) -> None:
    """Columns are found by their meaning, whatever release and case."""
    write(tmp_path, "IT-NO_2021_hourly.csv", header, export_row("2021-01-01 00:00:00"))
    history = load_folder(tmp_path, basis=basis)["IT-NO"]
    assert history.start == datetime(2021, 1, 1, tzinfo=UTC)
    assert history.basis is basis
    assert history.gco2eq_per_kwh.tolist() == [value]


def test_years_are_joined_and_gaps_stay_gaps(tmp_path: Path) -> None:
    """Files of one grid zone make one history; absent and empty hours are missing."""
    write(tmp_path, "a_2021_hourly.csv", OLDER, export_row("2021-12-31 22:00:00"))
    write(
        tmp_path,
        "a_2022_hourly.csv",
        NEWER,
        export_row("2022-01-01 00:00:00", lifecycle=""),
        export_row("2022-01-01 01:00:00", lifecycle=5),
    )
    history = load_folder(tmp_path)["IT-NO"]
    np.testing.assert_array_equal(history.gco2eq_per_kwh, [390, np.nan, np.nan, 5])


def test_the_plain_layout_reads_gzipped(tmp_path: Path) -> None:
    """One gzipped file per grid zone with ISO times is read as well."""
    with gzip.open(tmp_path / "DE.csv.gz", "wt") as file:
        file.write(f"{PLAIN}\nDE,2024-01-01T05:00:00Z,411.5,300\n")
    history = load_folder(tmp_path)["DE"]
    assert history.start == datetime(2024, 1, 1, 5, tzinfo=UTC)
    assert history.gco2eq_per_kwh.tolist() == [411.5]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("DE,2024-01-01T00:30:00Z,1,1", "line 2: expected the begin of an hour"),
        ("DE,2024-01-01T00:00:00+02:00,1,1", "line 2: expected a time in UTC"),
        ("DE,01.01.2024,1,1", "line 2: expected a time in UTC, found '01.01.2024'"),
        ("DE,2024-01-01T00:00:00Z,-1,1", "line 2: expected 0 to 2000"),
        ("DE,2024-01-01T00:00:00Z,411500,1", "check the unit"),
        ("DE,2024-01-01T00:00:00Z,inf,1", "line 2: expected 0 to 2000"),
        ("DE,2024-01-01T00:00:00Z,much,1", "line 2: expected gCO2eq/kWh, found 'much'"),
        ("DE,2024-01-01T00:0", "line 2: expected 4 cells, found 2.*truncated"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, row: str, says: str) -> None:
    """Each wrong cell gives an error with file, line, what was expected and found."""
    write(tmp_path, "DE.csv", PLAIN, row)
    with pytest.raises(HistoryFileError, match=f"DE.csv {says}" if "line" in says else says):
        load_folder(tmp_path)


def test_missing_columns_are_all_named(tmp_path: Path) -> None:
    """A file of another kind says which columns it lacks."""
    path = write(tmp_path, "x.csv", "time,price", "1,2")
    with pytest.raises(HistoryFileError, match=r"no column for time \(UTC\), zone id, carbon"):
        read_file(path)


def test_an_hour_twice_is_refused_with_both_places(tmp_path: Path) -> None:
    """The same hour in two files is an error that names both."""
    write(tmp_path, "a.csv", OLDER, export_row("2021-01-01 00:00:00"))
    write(tmp_path, "b.csv", NEWER, export_row("2021-01-01 00:00:00"))
    with pytest.raises(HistoryFileError, match=r"b.csv line 2: .* also in a.csv line 2"):
        load_folder(tmp_path)


def test_a_truncated_gzip_is_refused(tmp_path: Path) -> None:
    """A gzip file that ends too early is an error, not a shorter history."""
    whole = gzip.compress(f"{PLAIN}\nDE,2024-01-01T05:00:00Z,411.5,300\n".encode())
    (tmp_path / "DE.csv.gz").write_bytes(whole[:-12])
    with pytest.raises(HistoryFileError, match=r"DE.csv.gz: expected a whole gzip file"):
        load_folder(tmp_path)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    """A file that is not UTF-8 is named."""
    (tmp_path / "DE.csv").write_bytes(b"zone\xff\xfe,datetime_utc\n")
    with pytest.raises(HistoryFileError, match=r"DE.csv: expected CSV in UTF-8"):
        load_folder(tmp_path)


def test_an_empty_folder_says_what_it_should_hold(tmp_path: Path) -> None:
    """A folder without CSV files is an error, not an empty history."""
    with pytest.raises(HistoryFileError, match=r"hourly\.csv"):
        load_folder(tmp_path)
