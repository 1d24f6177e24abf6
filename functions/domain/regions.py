"""Where a job can run: whose electricity each place uses, and which machines it has.

The thirteen regions of Google Cloud, and a machine of one's own on any of their grids.

Knows nothing of forecasts or plans.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from types import MappingProxyType

from functions.errors import InvalidInputError
from functions.near_name import did_you_mean
from vm_runtime.contract.job import LOCAL_MACHINE, Job


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A Google Cloud region; all its compute zones use the same grid."""

    name: str
    """Such as `europe-west3`."""
    grid_zone: str
    """Electricity Maps zone key, such as `DE`."""
    place: str
    """Where it is, for a person."""
    compute_zones: tuple[str, ...]
    """The primary one first, then its fallbacks."""

    @property
    def primary(self) -> str:
        """The compute zone that is used unless it is blocked."""
        return self.compute_zones[0]


def _region(grid_zone: str, primary: str, place: str, letters: str = "abc") -> Region:
    name, _, first = primary.rpartition("-")
    ordered = first + letters.replace(first, "")
    return Region(
        name=name,
        grid_zone=grid_zone,
        place=place,
        compute_zones=tuple(f"{name}-{letter}" for letter in ordered),
    )


_ALL = (
    _region("BR-CS", "southamerica-east1-b", "São Paulo"),
    _region("CA-ON", "northamerica-northeast2-b", "Toronto"),
    _region("CH", "europe-west6-b", "Zürich"),
    _region("DE", "europe-west3-b", "Frankfurt"),
    _region("PL", "europe-central2-b", "Warsaw"),
    _region("BE", "europe-west1-b", "St Ghislain", letters="bcd"),
    _region("IT-NO", "europe-west8-a", "Milan"),
    _region("CA-QC", "northamerica-northeast1-b", "Montréal"),
    _region("ES", "europe-southwest1-c", "Madrid"),
    _region("GB", "europe-west2-b", "London"),
    _region("FI", "europe-north1-b", "Hamina"),
    _region("FR", "europe-west9-b", "Paris"),
    _region("NL", "europe-west4-b", "Eemshaven"),
)

REGIONS: Mapping[str, Region] = MappingProxyType({region.name: region for region in _ALL})
"""All regions by name."""

GRID_ZONES: tuple[str, ...] = tuple(region.grid_zone for region in _ALL)
"""The grid zone of every region."""

_LOCAL = LOCAL_MACHINE.partition("-")[0]
"""Machine family, and begin of the names of regions, of machines of one's own."""


def _local(grid_zone: str) -> Region:
    name = f"{_LOCAL}-{grid_zone.replace('-', '').lower()}1"
    place = f"this machine, {grid_zone}"
    return Region(name=name, grid_zone=grid_zone, place=place, compute_zones=(f"{name}-a",))


LOCAL_REGIONS: Mapping[str, Region] = MappingProxyType(
    {grid_zone: _local(grid_zone) for grid_zone in GRID_ZONES}
)
"""A machine of one's own, by the grid zone whose electricity it uses."""

PLACES: Mapping[str, Region] = MappingProxyType(
    {**REGIONS, **{region.name: region for region in LOCAL_REGIONS.values()}}
)
"""Everything that a job's allowed regions may name, by name."""

EVERYWHERE = frozenset({"e2", "n1", "n2"})
"""Machine families that every compute zone has."""

# Compute zones known to have the family, by SkyPilot's catalogue v8 of 2026. What it is silent
# about counts as absent: a VM that cannot be made costs a deadline, one place less costs little.
_ONLY_IN: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "a2": frozenset({"europe-west4-b"}),
        "a3": frozenset(
            {
                "europe-west9-c",
                "europe-north1-c",
                "northamerica-northeast2-c",
                "europe-west1-b",
                "europe-west2-b",
                "europe-west8-c",
                "europe-west4-b",
            }
        ),
        "a4": frozenset({"europe-north1-b", "europe-west4-b"}),
        "g2": frozenset(
            {
                "northamerica-northeast1-b",
                "northamerica-northeast2-b",
                "europe-west1-b",
                "europe-west2-b",
                "europe-west3-b",
                "europe-west4-b",
                "europe-west6-b",
            }
        ),
    }
)

FAMILIES: tuple[str, ...] = tuple(sorted(EVERYWHERE | _ONLY_IN.keys()))
"""All machine families of which it is known where they are."""


MOST_WORK_H = 87_600.0
"""More work than this in one job is a slip of the keyboard."""


def region_of(compute_zone: str) -> Region:
    """Return the region of `compute_zone`.

    Raises:
        InvalidInputError: it is in none of the thirteen regions.
    """
    region = PLACES.get(compute_zone.rpartition("-")[0])
    if region is None or compute_zone not in region.compute_zones:
        near = (region,) if region else _ALL
        known = [zone for each in near for zone in each.compute_zones]
        raise InvalidInputError(
            f"compute zone: found {compute_zone!r}{did_you_mean(compute_zone, known)};"
            f" expected one of a known region ({', '.join(REGIONS)}). Mend the name."
        )
    return region


def grid_zone_of(compute_zone: str) -> str:
    """Return the grid zone whose electricity `compute_zone` uses.

    Raises:
        InvalidInputError: it is in none of the thirteen regions.
    """
    return region_of(compute_zone).grid_zone


def is_local(region: str) -> bool:
    """Whether the region of this name is a machine of one's own."""
    return region in PLACES and region not in REGIONS


def zones_with_machine(region: Region, machine_type: str) -> tuple[str, ...]:
    """Return the compute zones of `region` that have `machine_type`, the primary one first."""
    family = machine_type.partition("-")[0]
    if is_local(region.name) or family == _LOCAL:
        return region.compute_zones if is_local(region.name) and family == _LOCAL else ()
    if family in EVERYWHERE:
        return region.compute_zones
    having = _ONLY_IN.get(family, frozenset())
    return tuple(zone for zone in region.compute_zones if zone in having)


def check_job(job: Job) -> None:
    """Check what the job document alone cannot know.

    Raises:
        InvalidInputError: all that is wrong, in one message.
    """
    problems = [
        *(_unknown(name) for name in job.allowed_regions if name not in PLACES),
        *_machine_problems(job),
        *_work_problems(job),
        *_limit_problems(job),
    ]
    if problems:
        raise InvalidInputError(f"job {job.job_id}: {'; '.join(problems)}. Mend and submit again.")


def _unknown(name: str) -> str:
    return (
        f"allowed_regions: found unknown {name!r}{did_you_mean(name, REGIONS)},"
        f" expected some of {', '.join(REGIONS)}"
    )


def _machine_problems(job: Job) -> list[str]:
    family = job.machine_type.partition("-")[0]
    if family not in {*FAMILIES, _LOCAL}:
        message = (
            f"machine_type: found {job.machine_type!r} of the unknown family"
            f" {family!r}{did_you_mean(family, FAMILIES)}, expected one of {', '.join(FAMILIES)}"
        )
        return [message]
    allowed = [PLACES[name] for name in job.allowed_regions if name in PLACES]
    if not allowed or any(zones_with_machine(region, job.machine_type) for region in allowed):
        return []
    having = [r.name for r in _ALL if zones_with_machine(r, job.machine_type)]
    message = (
        f"machine_type: {job.machine_type} is in none of the allowed regions"
        f" ({', '.join(r.name for r in allowed)}), expected one of {', '.join(having)} among them"
    )
    return [message]


def _work_problems(job: Job) -> list[str]:
    if job.work_h is not None and job.work_h > MOST_WORK_H:
        return [f"work_h: found {job.work_h:g} h, expected at most {MOST_WORK_H:g} h (ten years)"]
    if job.work_h is None or job.deadline is None or job.deadline <= job.submitted_at:
        return []
    room = job.deadline - job.submitted_at
    start_s = job.start_s
    need = timedelta(hours=job.work_h, seconds=start_s)
    if need <= room:
        return []
    message = (
        f"work_h: {job.work_h:g} h and one start of {start_s:g} s do not fit between"
        f" submitted_at and deadline ({room.total_seconds() / 3600:g} h), expected a deadline at"
        f" least {ceil((need - room).total_seconds() / 60)} min later, or less work"
    )
    return [message]


def _limit_problems(job: Job) -> list[str]:
    if job.deadline is None or job.deadline <= job.submitted_at:
        return []
    room_min = (job.deadline - job.submitted_at).total_seconds() / 60
    if job.min_interval_minutes <= room_min:
        return []
    message = (
        f"min_interval_minutes: found {job.min_interval_minutes} min, expected at most the"
        f" {room_min:g} min between submitted_at and deadline"
    )
    return [message]
