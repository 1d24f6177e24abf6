"""Electricity Maps' yearly CSV exports, as their documentation and published files have them."""

from datetime import UTC, datetime
from pathlib import Path

from forecaster.series import HOUR

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


def export_row(time: str, direct: float | str = 300.5, lifecycle: float | str = 390) -> str:
    """Return a row as the exports have it."""
    return f"{time},Italy,North Italy,IT-NO,{direct},{lifecycle},35.12,30.82,entsoe.eu,false,"


def export(
    folder: Path, year: int, hours: int, *, header: str = NEWER, level: float = 300.0
) -> Path:
    """Write the first hours of a year as an export has them."""
    begin = datetime(year, 1, 1, tzinfo=UTC)
    rows = [
        export_row(f"{begin + i * HOUR:%Y-%m-%d %H:%M:%S}", level / 2 + i, level + i)
        for i in range(hours)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"IT-NO_{year}_hourly.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path
