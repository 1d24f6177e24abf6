"""Laws of reading recorded hours from CSV files."""

import gzip
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from export_files import NEWER, OLDER, export_row
from hypothesis import given, settings
from hypothesis import strategies as st

from forecaster.history import HistoryFileError, load_folder
from forecaster.recording import Release, read_file
from forecaster.series import HOUR, Basis

PLAIN = "zone,datetime_utc,carbon_intensity,carbon_intensity_direct"


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
        OLDER,
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
        ("DE,2024-01-01T00:00:00Z,411500,1", "looks like mg/kWh or g/MWh; divide by 1000"),
        ("DE,2024-01-01T00:00:00Z,inf,1", "line 2: expected 0 to 2000"),
        ("DE,2024-01-01T00:00:00Z,much,1", "line 2: expected gCO2eq/kWh, found 'much'"),
        ("DE,2024-01-01T00:0", "line 2: expected 4 cells, found 2.*truncated"),
        ("DE,2024-01,1,1", "line 2: expected a time in UTC, found '2024-01'"),
        (",2024-01-01T00:00:00Z,1,1", "line 2: expected a grid zone"),
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


def hours_file(folder: Path, values: list[float | str], *, header: str = PLAIN) -> Path:
    """Write hours of DE with these values, the last column empty if it has a fourth."""
    more = "," * (header.count(",") - 2)
    start = datetime(2024, 1, 1, tzinfo=UTC)
    rows = [f"DE,{(start + i * HOUR).isoformat()},{value}{more}" for i, value in enumerate(values)]
    return write(folder, "DE.csv", header, *rows)


def waves(scale: float) -> list[float | str]:
    """Return three days around 400 g, in another unit."""
    return [(400 + 30 * (hour % 24)) * scale for hour in range(72)]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (waves(1000), "looks like mg/kWh or g/MWh; divide by 1000"),
        (waves(0.001), "looks like kg/kWh or t/MWh; multiply by 1000"),
        ([300.0] * 72, "values of DE that change, found 300 in all 72 hours"),
        ([0.0] * 72, "values of DE that change"),
        ([*waves(1), 2500.0], "line 74: expected 0 to 2000 gCO2eq/kWh, found 2500"),
    ],
)
def test_values_that_cannot_be_right_as_a_whole_are_refused(
    tmp_path: Path, values: list[float | str], says: str
) -> None:
    """Another unit or a placeholder is told from a recording by its values alone."""
    with pytest.raises(HistoryFileError, match=says):
        read_file(hours_file(tmp_path, values))


def test_a_short_or_patchy_file_may_be_constant(tmp_path: Path) -> None:
    """With few values, being equal says nothing."""
    path = hours_file(tmp_path, [*[300.0] * 40, *[""] * 60])
    assert np.isfinite(read_file(path).gco2eq_per_kwh).sum() == 40


@pytest.mark.parametrize(
    ("column", "is_right"),
    [
        ("carbon_intensity", True),
        ("carbon intensity gCO₂eq/kWh", True),
        ("Carbon Intensity (gCO2/kWh)", True),
        ("carbon intensity kgCO2eq/MWh", True),
        ("carbon intensity mgCO2eq/kWh", False),
        ("carbon intensity tCO2eq/MWh", False),
        ("carbon intensity kg CO2/kWh", False),
        ("carbon intensity lbCO2/MWh", False),
        ("carbon intensity gCO2eq/MWh", False),
    ],
)
def test_a_unit_in_the_header_is_believed(tmp_path: Path, column: str, *, is_right: bool) -> None:
    """A column that says another unit is refused, whatever its values."""
    path = hours_file(tmp_path, [300.0, 310.0], header=f"zone,datetime_utc,{column}")
    if is_right:
        assert read_file(path).gco2eq_per_kwh.tolist() == [300, 310]
    else:
        with pytest.raises(HistoryFileError, match=r"expected gCO2eq/kWh, found a column in"):
            read_file(path)


def test_a_file_that_ends_within_a_value_is_refused(tmp_path: Path) -> None:
    """Of 411.5, a cut may have left 41: only the missing end of the line tells."""
    path = hours_file(tmp_path, [411.5, 411.5], header="zone,datetime_utc,carbon_intensity")
    path.write_text(path.read_text()[:-4])
    with pytest.raises(HistoryFileError, match=r"line 3: .*found the end of the file"):
        read_file(path)


def test_a_blank_line_at_the_end_does_no_harm(tmp_path: Path) -> None:
    """Editors leave one."""
    path = hours_file(tmp_path, [300.0])
    path.write_text(path.read_text() + "\n\n")
    assert len(read_file(path).lines) == 1


def test_quoted_cells_and_windows_lines_read_alike(tmp_path: Path) -> None:
    """As spreadsheets write them: the same hours, and the same line in a message."""
    plain = hours_file(tmp_path, [411.5, "", 300.0])
    expected = read_file(plain)
    text = plain.read_text()
    for changed in (text.replace("DE,", '"DE",'), text.replace("\n", "\r\n")):
        plain.write_bytes(changed.encode())
        found = read_file(plain)
        np.testing.assert_array_equal(found.gco2eq_per_kwh, expected.gco2eq_per_kwh)
        np.testing.assert_array_equal(found.epoch_hours, expected.epoch_hours)
        assert found.lines.tolist() == [2, 3, 4]
        plain.write_bytes(changed.replace("300.0", "much").encode())
        with pytest.raises(HistoryFileError, match=r"line 4: .*much"):
            read_file(plain)


def test_a_doubled_column_is_refused(tmp_path: Path) -> None:
    """Which of the two is meant cannot be guessed."""
    header = "zone,datetime_utc,carbon_intensity,carbon intensity (LCA)"
    with pytest.raises(HistoryFileError, match=r"found several for carbon intensity \(lifecycle"):
        read_file(hours_file(tmp_path, [300.0], header=header))


def test_releases_are_not_mixed_unless_one_insists(tmp_path: Path) -> None:
    """Their levels differ: a step in the series is taken only knowingly."""
    write(tmp_path, "a_2021_hourly.csv", OLDER, export_row("2021-12-31 23:00:00"))
    write(tmp_path, "a_2022_hourly.csv", NEWER, export_row("2022-01-01 00:00:00"))
    with pytest.raises(HistoryFileError, match=r"a_2021.*older.*a_2022.*newer.*accept"):
        load_folder(tmp_path)
    joined = load_folder(tmp_path, accept_mixed_releases=True)["IT-NO"]
    assert joined.gco2eq_per_kwh.tolist() == [390, 390]
    assert read_file(tmp_path / "a_2022_hourly.csv").release is Release.NEWER


def test_an_export_of_two_grid_zones_is_refused(tmp_path: Path) -> None:
    """An export has one; a second one is a slip of concatenation."""
    other = export_row("2021-01-01 00:00:00").replace("IT-NO", "DE")
    path = write(tmp_path, "a.csv", OLDER, export_row("2021-01-01 00:00:00"), other)
    with pytest.raises(HistoryFileError, match=r"line 3: expected the grid zone IT-NO .* found DE"):
        read_file(path)


def test_two_sources_in_one_file_are_refused(tmp_path: Path) -> None:
    """Sources differ in level."""
    rows = ["DE,2024-01-01T00:00:00Z,300,a", "DE,2024-01-01T01:00:00Z,300,b"]
    path = write(tmp_path, "DE.csv", "zone,datetime_utc,carbon_intensity,source_id", *rows)
    with pytest.raises(HistoryFileError, match="one source_id for each grid zone, found a, b"):
        read_file(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """An operating system's error becomes one of ours."""
    with pytest.raises(HistoryFileError, match=r"nowhere.csv: expected a file"):
        read_file(tmp_path / "nowhere.csv")


@pytest.mark.parametrize("text", ["", "\n", PLAIN, f"{PLAIN}\n", f"{PLAIN}\n\n\n"])
def test_a_file_without_hours_is_refused(tmp_path: Path, text: str) -> None:
    """Empty, or nothing but a header."""
    path = tmp_path / "DE.csv"
    path.write_text(text)
    with pytest.raises(HistoryFileError, match=r"DE.csv: expected (a column|hours below)"):
        read_file(path)


@settings(max_examples=40, deadline=None)
@given(
    values=st.lists(st.one_of(st.none(), st.floats(0, 1999, width=32)), min_size=1, max_size=30),
    blanks=st.lists(st.integers(0, 30), max_size=4),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_the_fast_way_reads_what_the_library_reads(
    values: list[float | None], blanks: list[int], end: str
) -> None:
    """With gaps, blank lines and either end of line; a quote makes the library read the file."""
    start = datetime(2024, 1, 1, tzinfo=UTC)
    rows = [
        f"DE,{start + i * HOUR:%Y-%m-%dT%H:%M:%SZ},{'' if value is None else value},1"
        for i, value in enumerate(values)
    ]
    for at in blanks:
        rows.insert(min(at, len(rows)), "")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "DE.csv"
        path.write_bytes(end.join([PLAIN, *rows, ""]).encode())
        fast = read_file(path)
        quoted = [row.replace("DE,", '"DE",') for row in rows]
        path.write_bytes(end.join([PLAIN, *quoted, ""]).encode())
        slow = read_file(path)
    for name in ("lines", "grid_zones", "epoch_hours", "gco2eq_per_kwh"):
        np.testing.assert_array_equal(getattr(fast, name), getattr(slow, name))
    expected = [np.nan if value is None else value for value in values]
    np.testing.assert_array_equal(fast.gco2eq_per_kwh, np.array(expected, dtype=np.float64))
