"""Intensity of the embedded cloud: never from the future, never invented without saying so."""

import csv
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from functions.errors import IntensityUnavailableError, InvalidInputError
from functions.local.intensity import LocalIntensity
from functions.local.recorded import pack, read_record

NOW = datetime(2024, 3, 5, 13, 25, tzinfo=UTC)
HOUR = timedelta(hours=1)


def write(folder: Path, hours: dict[datetime, float]) -> None:
    """Write a record of DE."""
    with (folder / "DE.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["zone", "datetime_utc", "carbon_intensity"])
        writer.writerows(
            ["DE", hour.strftime("%Y-%m-%dT%H:%M:%SZ"), value] for hour, value in hours.items()
        )


def test_recorded_hours_end_before_the_present_one(tmp_path: Path) -> None:
    """Of a record only the 168 hours before the present hour are told, with their values."""
    begin = NOW.replace(minute=0) - 200 * HOUR
    write(tmp_path, {begin + i * HOUR: 100.0 + i for i in range(300)})
    found = LocalIntensity(history=str(tmp_path), seed=0).recent_hours("DE", NOW)
    assert len(found) == 168
    assert found[-1].start == NOW.replace(minute=0) - HOUR
    assert [hour.gco2eq_per_kwh for hour in found] == [100.0 + i for i in range(32, 200)]


def test_missing_hours_are_absent(tmp_path: Path) -> None:
    """An hour without a value is not told at all, least of all as 0."""
    last = NOW.replace(minute=0) - HOUR
    write(tmp_path, {last - 5 * HOUR: 50.0, last: 60.0})
    found = LocalIntensity(history=str(tmp_path), seed=0).recent_hours("DE", NOW)
    assert [hour.start for hour in found] == [last - 5 * HOUR, last]


def test_time_or_zone_without_data_is_unavailable(tmp_path: Path) -> None:
    """Where the record has nothing the source says so, instead of guessing."""
    write(tmp_path, {NOW.replace(minute=0) - HOUR: 50.0})
    source = LocalIntensity(history=str(tmp_path), seed=0)
    with pytest.raises(IntensityUnavailableError, match="FR"):
        source.recent_hours("FR", NOW)
    with pytest.raises(IntensityUnavailableError, match="2026"):
        source.recent_hours("DE", NOW.replace(year=2026))
    with pytest.raises(IntensityUnavailableError, match="XX"):
        LocalIntensity(history="", seed=0).recent_hours("XX", NOW)


def test_unreadable_folder_is_for_a_person(tmp_path: Path) -> None:
    """A folder without records cannot be mended by trying again."""
    with pytest.raises(InvalidInputError, match="CSV"):
        LocalIntensity(history=str(tmp_path), seed=0).recent_hours("DE", NOW)


def test_simulated_hours_are_the_same_whenever_asked() -> None:
    """An hour has one value per seed, however late it is asked for, over New Year too."""
    new_year = datetime(2025, 1, 1, 5, tzinfo=UTC)
    source = LocalIntensity(history="", seed=3)
    earlier = {h.start: h.gco2eq_per_kwh for h in source.recent_hours("DE", new_year)}
    later = {h.start: h.gco2eq_per_kwh for h in source.recent_hours("DE", new_year + 99 * HOUR)}
    common = earlier.keys() & later.keys()
    assert len(earlier) == len(later) == 168
    assert len(common) == 69
    assert all(earlier[start] == later[start] for start in common)
    other = LocalIntensity(history="", seed=4).recent_hours("DE", new_year)
    assert [hour.gco2eq_per_kwh for hour in other] != list(earlier.values())


def test_name_says_where_the_numbers_come_from(tmp_path: Path) -> None:
    """Simulated numbers say `simulated` and the seed; recorded ones name their publisher."""
    assert LocalIntensity(history="", seed=3).name == "simulated (seed 3), life-cycle average"
    own, bought = tmp_path / "own", tmp_path / "bought"
    for folder in (own, bought):
        folder.mkdir()
        write(folder, {NOW.replace(minute=0) - HOUR: 50.0})
    assert "folder own" in LocalIntensity(history=str(own), seed=0).name
    (bought / "ATTRIBUTION.txt").write_text("Electricity Maps, electricitymaps.com\nODbL\n")
    name = LocalIntensity(history=str(bought), seed=0).name
    assert name == "recorded, Electricity Maps, electricitymaps.com, life-cycle average"


def test_packed_record_tells_the_same(tmp_path: Path) -> None:
    """A packed record tells the same hours under the same name, and is packed anew if older."""
    folder, packed = tmp_path / "records", tmp_path / "history.npz"
    folder.mkdir()
    last = NOW.replace(minute=0) - HOUR
    write(folder, {last - 5 * HOUR: 50.5, last: 60.25})
    (folder / "README.md").write_text("Attribute Electricity Maps, electricitymaps.com.")
    pack(folder, packed)
    plain = LocalIntensity(history=str(folder), seed=0)
    source = LocalIntensity(history=str(packed), seed=0)
    assert source.recent_hours("DE", NOW) == plain.recent_hours("DE", NOW)
    assert source.name == plain.name
    assert "Electricity Maps" in source.name
    stamp = packed.stat().st_mtime_ns
    pack(folder, packed)
    assert packed.stat().st_mtime_ns == stamp
    write(folder, {last: 70.0})
    os.utime(folder / "DE.csv", (stamp / 1e9 + 1, stamp / 1e9 + 1))
    pack(folder, packed)
    assert read_record(packed).histories["DE"].gco2eq_per_kwh.tolist() == [70.0]
