"""Life-cycle emission factors by kind of generation. Pure; a number without source is not here.

| source | what |
|---|---|
| IPCC | AR5 WG3 (2014), Annex III, table A.III.2, medians of life-cycle emissions |
| WNA | World Nuclear Association (2011), Comparison of Lifecycle Greenhouse Gas Emissions of Various Electricity Generation Sources, means |
| own | no figure can be known: chosen so that what is unknown is never clean |
"""  # noqa: E501 - a table

from enum import StrEnum


class Kind(StrEnum):
    """A kind of generation, by its life-cycle factor."""

    BIOMASS = "biomass"
    COAL = "hard coal"
    COAL_GAS = "gas from coal"
    GAS = "gas"
    GEOTHERMAL = "geothermal"
    HYDRO = "hydro"
    LIGNITE = "lignite"
    MARINE = "marine"
    NUCLEAR = "nuclear"
    OIL = "oil"
    OTHER_RENEWABLE = "other renewable"
    PEAT = "peat"
    SOLAR = "solar"
    UNKNOWN = "unknown"
    WASTE = "waste"
    WIND_OFFSHORE = "wind offshore"
    WIND_ONSHORE = "wind onshore"


GCO2EQ_PER_KWH: dict[Kind, float] = {
    Kind.BIOMASS: 230,  # IPCC, dedicated
    Kind.COAL: 820,  # IPCC, pulverised
    Kind.COAL_GAS: 820,  # own: as the coal it is made of
    Kind.GAS: 490,  # IPCC, combined cycle
    Kind.GEOTHERMAL: 38,  # IPCC
    Kind.HYDRO: 24,  # IPCC
    Kind.LIGNITE: 1054,  # WNA; the IPCC has one figure for all coal
    Kind.MARINE: 17,  # IPCC, ocean
    Kind.NUCLEAR: 12,  # IPCC
    Kind.OIL: 733,  # WNA
    Kind.OTHER_RENEWABLE: 230,  # own: as biomass, the dirtiest of them
    Kind.PEAT: 1054,  # own: as lignite, burnt in like plants
    Kind.SOLAR: 48,  # IPCC, photovoltaic, utility scale
    Kind.UNKNOWN: 700,  # own: thermal, between gas and coal
    Kind.WASTE: 700,  # own: same
    Kind.WIND_OFFSHORE: 12,  # IPCC
    Kind.WIND_ONSHORE: 11,  # IPCC
}
"""Life cycle, average."""


def intensity(generation: dict[Kind, float]) -> float | None:
    """Return the average intensity of a mix, gCO2eq/kWh; `None` if nothing is generated.

    Args:
        generation: By kind, any unit of power or energy; below 0 (a plant's own use) counts as 0.
    """
    above = {kind: max(amount, 0.0) for kind, amount in generation.items()}
    total = sum(above.values())
    if not total:
        return None
    return sum(GCO2EQ_PER_KWH[kind] * amount for kind, amount in above.items()) / total
