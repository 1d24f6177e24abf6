"""What a machine costs by region: a table with source and date, which a user may replace."""

from collections import Counter
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from types import MappingProxyType
from typing import Literal

from pydantic import Field

from vm_runtime.contract.base import NonNegative, document
from vm_runtime.contract.job import Region

_LINEAR = ("e2-standard-", "n2-standard-")
"""Families priced by vCPU and GB alone, with 4 GB a vCPU: twice the size is twice the price."""


@document
class Price:
    """Price of one machine type in one region."""

    region: Region
    machine_type: str
    usd_per_h: NonNegative
    """US dollars an hour."""


@document
class PriceTable:
    """Prices of machines and of what they load over the network."""

    source: str
    """Who published them."""
    day: date
    """When."""
    prices: tuple[Price, ...] = Field(min_length=1)
    """One for each region and machine type that is known."""
    transfer_usd_per_gb: NonNegative = 0.0
    """For each GB that a VM loads at a start or move."""
    schema_version: Literal[1] = 1
    """Version of this document."""

    def __post_init__(self) -> None:
        """Refuse a price that is there twice."""
        counts = Counter((each.region, each.machine_type) for each in self.prices)
        twice = [key for key, count in counts.items() if count > 1]
        if twice:
            raise ValueError(f"prices: expected each region and machine once, found twice {twice}")


@lru_cache(maxsize=16)
def usd_per_h(table: PriceTable, machine_type: str) -> Mapping[str, float]:
    """Return the price of an hour of `machine_type` by region; a region without one is absent.

    An E2 or N2 standard machine that is not listed is priced by its size from one that is.
    """
    listed: dict[str, dict[str, float]] = {}
    for each in table.prices:
        listed.setdefault(each.region, {})[each.machine_type] = each.usd_per_h
    found = {region: _price(machines, machine_type) for region, machines in listed.items()}
    return MappingProxyType({region: usd for region, usd in found.items() if usd is not None})


def _price(listed: Mapping[str, float], machine_type: str) -> float | None:
    if machine_type in listed:
        return listed[machine_type]
    family = next((name for name in _LINEAR if machine_type.startswith(name)), None)
    size = machine_type.rpartition("-")[2]
    if family is None or not size.isdigit():
        return None
    for name, usd in listed.items():
        known = name.rpartition("-")[2]
        if name.startswith(family) and known.isdigit():
            return usd * int(size) / int(known)
    return None


_MACHINES = ("e2-standard-8", "n2-standard-8", "g2-standard-8")
_ON_DEMAND: dict[str, tuple[float | None, ...]] = {
    "southamerica-east1": (0.426, 0.617, None),
    "northamerica-northeast1": (0.295, 0.428, 0.940),
    "northamerica-northeast2": (0.295, 0.428, 0.940),
    "europe-north1": (0.295, 0.428, None),
    "europe-central2": (0.324, 0.470, None),
    "europe-southwest1": (0.316, 0.458, None),
    "europe-west1": (0.295, 0.427, 0.940),
    "europe-west2": (0.345, 0.501, 0.972),
    "europe-west3": (0.345, 0.501, 1.006),
    "europe-west4": (0.295, 0.428, 0.897),
    "europe-west6": (0.351, 0.509, 1.168),
    "europe-west8": (0.311, 0.451, None),
    "europe-west9": (0.311, 0.451, None),
}

DEFAULT_PRICES = PriceTable(
    source="Google Cloud Billing Catalog, on demand, through Cyclenerd's price list",
    day=date(2026, 7, 30),
    prices=tuple(
        Price(region=region, machine_type=machine, usd_per_h=usd)
        for region, row in _ON_DEMAND.items()
        for machine, usd in zip(_MACHINES, row, strict=True)
        if usd is not None
    ),
)
"""On-demand prices without sustained-use or committed discounts, US dollars."""
