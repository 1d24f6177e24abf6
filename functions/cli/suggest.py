"""Names that a person typed, checked against those that there are."""

from collections.abc import Sequence

from functions.domain.regions import GRID_ZONES, REGIONS
from functions.errors import InvalidInputError
from functions.near_name import did_you_mean


def known_zones(zones: Sequence[str]) -> tuple[str, ...]:
    """Return the grid zones asked for, all if none are, in the spelling of Electricity Maps.

    A region's name stands for its grid zone.

    Raises:
        InvalidInputError: one is unknown; a near one is named.
    """
    by_name = {zone.lower(): zone for zone in GRID_ZONES}
    by_name |= {name: region.grid_zone for name, region in REGIONS.items()}
    for zone in zones:
        if zone.lower() not in by_name:
            guess = did_you_mean(zone, (*GRID_ZONES, *REGIONS))
            raise InvalidInputError(
                f"grid zone: found unknown {zone!r}{guess}, expected some of"
                f" {', '.join(GRID_ZONES)}."
            )
    return tuple(dict.fromkeys(by_name[zone.lower()] for zone in zones)) or GRID_ZONES
