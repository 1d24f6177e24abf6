"""Laws of importing yearly exports."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from export_files import NEWER, OLDER, export, export_row

from forecaster.history import HistoryFileError, load_folder
from forecaster.importing import NOTE, import_files
from forecaster.series import Basis
from forecaster.zone_file import ATTRIBUTION


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("header", [OLDER, NEWER])
def test_what_is_imported_reads_as_the_exports_do(tmp_path: Path, header: str) -> None:
    """One file per grid zone holds the hours of all years, on both bases."""
    files = [export(tmp_path, year, 60, header=header) for year in (2021, 2022)]
    note = import_files(files, tmp_path / "history")
    for basis in (Basis.LIFECYCLE, Basis.DIRECT):
        direct = load_folder(tmp_path, basis=basis)["IT-NO"]
        imported = load_folder(tmp_path / "history", basis=basis)["IT-NO"]
        assert imported.start == direct.start
        np.testing.assert_array_equal(imported.gco2eq_per_kwh, direct.gco2eq_per_kwh)
    assert [each.name for each in note.files] == [path.name for path in files]
    assert [each.hours for each in note.files] == [60, 60]
    assert set(contents(tmp_path / "history")) == {"IT-NO.csv.gz", NOTE, ATTRIBUTION}
    assert "ODbL" in (tmp_path / "history" / ATTRIBUTION).read_text()


def test_importing_again_changes_nothing(tmp_path: Path) -> None:
    """Not a byte, whatever the order, and it is said."""
    files = [export(tmp_path, year, 60) for year in (2021, 2022)]
    import_files(files, tmp_path / "history")
    before = contents(tmp_path / "history")
    said: list[str] = []
    import_files(files[::-1], tmp_path / "history", on_file=lambda _path, what: said.append(what))
    assert contents(tmp_path / "history") == before
    assert before["IT-NO.csv.gz"][4:8] == bytes(4), "the time of writing is in the gzip header"
    assert said == ["imported before, nothing to do"] * 2


def test_a_longer_export_of_the_same_year_adds_its_hours(tmp_path: Path) -> None:
    """The year goes on: what is there already stays, what is new comes."""
    out = tmp_path / "history"
    import_files([export(tmp_path, 2024, 60)], out)
    note = import_files([export(tmp_path, 2024, 100)], out)
    assert len(load_folder(out)["IT-NO"].gco2eq_per_kwh) == 100
    assert len({each.sha256 for each in note.files}) == 2


def test_a_file_of_other_hands_is_not_written_over(tmp_path: Path) -> None:
    """A folder may hold hours that were gathered in another way."""
    theirs = tmp_path / "history" / "IT-NO.csv.gz"
    theirs.parent.mkdir()
    rows = "".join(f"IT-NO,2020-01-01T{hour:02}:00:00Z,{300 + hour}\n" for hour in range(9))
    theirs.write_bytes(gzip.compress(f"zone,datetime_utc,carbon_intensity\n{rows}".encode()))
    before = contents(theirs.parent)
    with pytest.raises(HistoryFileError, match="Choose another folder"):
        import_files([export(tmp_path, 2024, 60)], theirs.parent)
    assert contents(theirs.parent) == before


def test_a_revised_hour_is_taken_only_knowingly(tmp_path: Path) -> None:
    """A silent change of what a model was trained on would be the worst."""
    out = tmp_path / "history"
    import_files([export(tmp_path, 2024, 60)], out)
    before = contents(out)
    revised = export(tmp_path, 2024, 60, level=310)
    with pytest.raises(HistoryFileError, match=r"line 2: expected '300,.*revised.*--replace"):
        import_files([revised], out)
    assert contents(out) == before
    import_files([revised], out, replace=True)
    assert load_folder(out)["IT-NO"].gco2eq_per_kwh[0] == 310


def test_another_release_is_refused(tmp_path: Path) -> None:
    """Nothing is written if one of the files cannot be joined to the others."""
    out = tmp_path / "history"
    import_files([export(tmp_path, 2021, 60, header=OLDER)], out)
    before = contents(out)
    with pytest.raises(HistoryFileError, match=r"2022.*expected the release of IT-NO_2021"):
        import_files([export(tmp_path, 2023, 60, header=OLDER), export(tmp_path, 2022, 60)], out)
    assert contents(out) == before


def test_a_doubled_hour_is_refused(tmp_path: Path) -> None:
    """As in a folder that is read directly."""
    path = export(tmp_path, 2021, 3)
    path.write_text(path.read_text() + export_row("2021-01-01 01:00:00") + "\n")
    with pytest.raises(HistoryFileError, match="line 5: expected each hour once"):
        import_files([path], tmp_path / "history")
    assert not (tmp_path / "history").exists()


def test_the_plain_layout_needs_no_import(tmp_path: Path) -> None:
    """And what made it is not known."""
    path = tmp_path / "DE.csv"
    path.write_text("zone,datetime_utc,carbon_intensity\nDE,2024-01-01T00:00:00Z,300\n")
    with pytest.raises(HistoryFileError, match="expected a yearly export"):
        import_files([path], tmp_path / "history")


@pytest.mark.parametrize("text", ["", "{}{", '{"schema_version": 2}'])
def test_a_note_of_another_form_is_refused(tmp_path: Path, text: str) -> None:
    """The folder is somebody else's, or of a later version."""
    (tmp_path / NOTE).write_text(text)
    with pytest.raises(HistoryFileError, match="schema version 1"):
        import_files([export(tmp_path / "exports", 2021, 3)], tmp_path)


def test_the_note_names_sha256_and_release(tmp_path: Path) -> None:
    """So that anyone can tell what a model was trained on."""
    out = tmp_path / "history"
    import_files([export(tmp_path, 2021, 60, header=OLDER)], out)
    (file,) = json.loads((out / NOTE).read_text())["files"]
    assert len(file["sha256"]) == 64
    assert file["release"].startswith("older export")
    assert (file["first_utc"], file["last_utc"]) == ("2021-01-01T00:00:00Z", "2021-01-03T11:00:00Z")
