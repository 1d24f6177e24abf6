"""Regions and the checks of a job."""

from datetime import timedelta

import pytest
from planning_world import ORIGIN, job_of

from functions.domain.regions import (
    GRID_ZONES,
    LOCAL_REGIONS,
    PLACES,
    REGIONS,
    check_job,
    grid_zone_of,
    region_of,
    zones_with_machine,
)
from functions.errors import InvalidInputError
from vm_runtime.contract.job import LOCAL_MACHINE

PAIRS = {
    "BR-CS": "southamerica-east1-b",
    "CA-ON": "northamerica-northeast2-b",
    "CH": "europe-west6-b",
    "DE": "europe-west3-b",
    "PL": "europe-central2-b",
    "BE": "europe-west1-b",
    "IT-NO": "europe-west8-a",
    "CA-QC": "northamerica-northeast1-b",
    "ES": "europe-southwest1-c",
    "GB": "europe-west2-b",
    "FI": "europe-north1-b",
    "FR": "europe-west9-b",
    "NL": "europe-west4-b",
}


def test_each_grid_zone_has_its_primary_compute_zone() -> None:
    """The thirteen pairs are those of the design."""
    assert {region.grid_zone: region.primary for region in REGIONS.values()} == PAIRS
    assert set(GRID_ZONES) == set(PAIRS)


def test_every_compute_zone_of_a_region_is_on_its_grid() -> None:
    """A fallback in the same region uses the same electricity."""
    assert grid_zone_of("europe-west3-a") == "DE"
    assert region_of("europe-west1-d").compute_zones == (
        "europe-west1-b",
        "europe-west1-c",
        "europe-west1-d",
    )


def test_unknown_compute_zone_is_refused_with_a_guess() -> None:
    """A compute zone that does not exist is an error that names a near one."""
    with pytest.raises(InvalidInputError, match=r"did you mean europe-west1-[bcd]"):
        region_of("europe-west1-a")
    with pytest.raises(InvalidInputError, match="did you mean europe-west3-b"):
        region_of("europe-wst3-b")


def test_gpu_machines_are_only_where_they_are_known_to_be() -> None:
    """What the catalogue is silent about counts as absent."""
    assert zones_with_machine(REGIONS["europe-west3"], "g2-standard-8") == ("europe-west3-b",)
    assert zones_with_machine(REGIONS["europe-central2"], "g2-standard-8") == ()
    assert zones_with_machine(REGIONS["europe-west9"], "a3-highgpu-8g") == ("europe-west9-c",)
    assert sum(bool(zones_with_machine(r, "g2-standard-4")) for r in REGIONS.values()) == 7


def test_ones_own_machine_is_a_place_on_each_grid() -> None:
    """It has no machine of Google's, Google has not it, and thirteen regions stay thirteen."""
    assert {zone: region.grid_zone for zone, region in LOCAL_REGIONS.items()} == {
        zone: zone for zone in GRID_ZONES
    }
    for region in LOCAL_REGIONS.values():
        assert region_of(region.primary) == region == PLACES[region.name]
        assert zones_with_machine(region, LOCAL_MACHINE) == region.compute_zones
        assert zones_with_machine(region, "e2-standard-8") == ()
        check_job(job_of(machine_type=LOCAL_MACHINE, allowed_regions=(region.name,)))
        with pytest.raises(InvalidInputError, match="in none of the allowed regions"):
            check_job(job_of(machine_type="e2-standard-8", allowed_regions=(region.name,)))
    assert all(zones_with_machine(region, LOCAL_MACHINE) == () for region in REGIONS.values())


def test_a_good_job_passes() -> None:
    """Nothing is refused without a reason."""
    check_job(job_of())
    check_job(job_of(deadline=None, work_h=None))


def test_all_that_is_wrong_is_told_at_once() -> None:
    """One message names the unknown region, the family and the hours that do not fit."""
    job = job_of(
        allowed_regions=("europe-wst3", "europe-west9"),
        machine_type="z9-standard-8",
        work_h=5.0,
        deadline=ORIGIN + timedelta(hours=5),
    )
    with pytest.raises(InvalidInputError) as caught:
        check_job(job)
    message = str(caught.value)
    assert "did you mean europe-west3" in message
    assert "'z9'" in message
    assert "at least 3 min later" in message


def test_work_that_just_fits_is_accepted() -> None:
    """Work and one start may fill the time to the deadline exactly."""
    check_job(job_of(work_h=4.95, deadline=ORIGIN + timedelta(hours=5)))


def test_machine_in_no_allowed_region_is_refused() -> None:
    """A machine must be somewhere where the job may run; the message says where it is."""
    with pytest.raises(InvalidInputError, match=r"in none of the allowed regions.*europe-west3"):
        check_job(job_of(machine_type="g2-standard-8", allowed_regions=("europe-west9",)))
    check_job(job_of(machine_type="g2-standard-8"))
