"""The receipt's tables; `audit_table` is what every total in it can be added up from."""

from functions.domain.accounting.document import Receipt
from functions.domain.accounting.parts import ReceiptRow, SpentOn
from functions.report.rounding import part_of, rounded
from functions.report.saving import UNKNOWN, saving_text
from functions.report.tables import Table, at_text, way_text


def baselines_table(receipt: Receipt) -> Table:
    """Return the other ways to do the same work, on the same recorded carbon."""
    return Table(
        caption="The same work another way, where the job was allowed, on the same actual carbon",
        head=("way", "gCO2eq", "this job", "USD", "done, UTC", "where"),
        rows=tuple(
            (
                other.policy.value,
                UNKNOWN if other.emissions_gco2eq is None else rounded(other.emissions_gco2eq),
                saving_text(receipt, other),
                "-" if other.usd is None else f"{other.usd:.2f}",
                "-" if other.finish_at is None else f"{other.finish_at:%m-%d %H:%M}",
                way_text(other.compute_zones) or "-",
            )
            for other in receipt.baselines
        ),
    )


def spending_table(receipt: Receipt) -> Table:
    """Return energy and emissions by what they were spent on."""
    spent = [(kind, *receipt.spent_on(kind)) for kind in SpentOn]
    rows = [
        (kind.value, rounded(kwh), part_of(kwh, receipt.energy_kwh), rounded(grams))
        for kind, kwh, grams in spent
        if kwh
    ]
    total = ("sum", rounded(receipt.energy_kwh), "100 %", rounded(receipt.emissions_gco2eq))
    return Table(
        caption="Spent on; all but training is overhead",
        head=("what", "kWh", "share", "gCO2eq"),
        rows=(*rows, total),
    )


def intervals_table(receipt: Receipt) -> Table:
    """Return what each VM used."""
    return Table(
        caption="By VM, from its making to its end"
        + (" (~: assumed, nobody saw it)" if any(i.is_assumed for i in receipt.intervals) else ""),
        head=("VM", "from, UTC", "to, UTC", "kWh", "overhead", "gCO2eq", "place"),
        rows=tuple(
            (
                str(each.incarnation),
                f"{each.start:%m-%d %H:%M}",
                f"{'~' if each.is_assumed else ''}{each.end:%m-%d %H:%M}",
                rounded(each.energy_kwh),
                part_of(each.overhead_kwh, each.energy_kwh),
                UNKNOWN if each.emissions_gco2eq is None else rounded(each.emissions_gco2eq),
                f"{each.compute_zone} ({each.grid_zone})",
            )
            for each in receipt.intervals
        ),
    )


def zones_table(receipt: Receipt) -> Table:
    """Return how much of each grid zone's intensity is the publisher's estimate."""
    return Table(
        caption=f"Hours of {receipt.basis.value} intensity by {receipt.source}",
        head=("grid zone", "used", "of them estimated", "known", "of them estimated"),
        rows=tuple(
            (
                zone.grid_zone,
                str(zone.used_hours),
                part_of(zone.used_hours_estimated, zone.used_hours) if zone.used_hours else "-",
                str(zone.known_hours),
                part_of(zone.known_hours_estimated, zone.known_hours),
            )
            for zone in receipt.zones
        ),
    )


def revisions_table(receipt: Receipt) -> Table:
    """Return how the total came about."""
    return Table(
        caption="Versions of the total, gCO2eq",
        head=("made, UTC", "total", "missing h", "estimated h", "published", "revised", "booked"),
        rows=tuple(
            (
                at_text(each.made_at),
                rounded(each.emissions_gco2eq),
                str(each.missing_hours),
                str(each.estimated_hours),
                rounded(each.published_gco2eq),
                rounded(each.revised_gco2eq),
                rounded(each.booked_gco2eq),
            )
            for each in receipt.revisions
        ),
    )


def hours_table(receipt: Receipt) -> Table:
    """Return energy, intensity and emissions of each hour."""
    return Table(
        caption="Hour by hour",
        head=("hour, UTC", "place", "kWh", "of it overhead", "gCO2eq/kWh", "gCO2eq"),
        rows=tuple(
            (
                at_text(hour.start),
                f"{hour.compute_zone} ({hour.grid_zone})",
                rounded(hour.energy_kwh),
                rounded(hour.overhead_kwh),
                f"{rounded(hour.gco2eq_per_kwh)}{' (estimated)' if hour.estimated else ''}",
                rounded(hour.emissions_gco2eq),
            )
            for hour in receipt.hours
        ),
    )


AUDIT_HEAD = (
    "hour_utc",
    "vm",
    "compute_zone",
    "spent_on",
    "duration_s",
    "energy_kwh",
    "measured_kwh",
    "gco2eq_per_kwh",
    "intensity_is",
    "emissions_gco2eq",
)


def audit_rows(receipt: Receipt) -> tuple[tuple[str, ...], ...]:
    """Return all rows with all digits, as in `AUDIT_HEAD`; what is not known is empty."""
    return tuple(
        (
            f"{row.hour:%Y-%m-%dT%H:%MZ}",
            str(row.incarnation),
            row.compute_zone,
            row.kind.value,
            f"{row.duration_s:.3f}",
            repr(row.energy_kwh),
            repr(row.measured_kwh),
            "" if row.gco2eq_per_kwh is None else repr(row.gco2eq_per_kwh),
            "not published"
            if row.gco2eq_per_kwh is None
            else "estimated"
            if row.estimated
            else "recorded",
            "" if row.emissions_gco2eq is None else repr(row.emissions_gco2eq),
        )
        for row in receipt.rows
    )


def audit_table(receipt: Receipt) -> Table:
    """Return the rows for people: they add up to the totals but for the last digit."""
    return Table(
        caption="Audit: kWh x g/kWh of every row, added up (e: estimated by the publisher)",
        head=("hour, UTC", "VM", "grid", "spent on", "kWh", "g/kWh", "gCO2eq"),
        rows=(
            *(
                (
                    f"{row.hour:%Y-%m-%d %H:%M}",
                    str(row.incarnation),
                    row.grid_zone,
                    row.kind.value,
                    f"{row.energy_kwh:.6f}",
                    "-" if row.gco2eq_per_kwh is None else _intensity(row),
                    UNKNOWN if row.emissions_gco2eq is None else f"{row.emissions_gco2eq:.4f}",
                )
                for row in receipt.rows
            ),
            (
                "sum",
                "",
                "",
                "",
                f"{receipt.energy_kwh:.6f}",
                "",
                f"{receipt.emissions_gco2eq:.4f}",
            ),
        ),
    )


def _intensity(row: ReceiptRow) -> str:
    return f"{row.gco2eq_per_kwh:g}{' e' if row.estimated else ''}"
