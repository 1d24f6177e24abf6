"""The heat strip: grid zones x hours in two characters a cell, with or without colours."""

from collections.abc import Mapping
from dataclasses import dataclass

from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.text import Text

from functions.report.timeline import Cell, HeatMap, Mark

_LABEL = 7
_AXIS_H = 6
"""An hour label each six hours."""

_CLEAN = (232, 244, 229)
_DIRTY = (111, 63, 112)
_MIDDLE = (122, 181, 212)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the terminal can show."""

    colour: bool
    ascii_only: bool = False

    @property
    def shades(self) -> str:
        """From clean to dirty."""
        return " .:+#" if self.ascii_only else " ░▒▓█"

    def mark(self, mark: Mark) -> str:
        """Return the character for `mark`, empty for none."""
        signs = "x@o" if self.ascii_only else "■●□"
        order = (Mark.DONE, Mark.NOW, Mark.PLANNED)
        return signs[order.index(mark)] if mark in order else ""

    def plain(self, text: str) -> str:
        """Return `text`, without what an ASCII terminal cannot show."""
        if not self.ascii_only:
            return text
        return text.replace("→", "->").replace("·", "|").encode("ascii", "replace").decode()


def look_of(console: Console) -> Look:
    """Return what `console` can show."""
    return Look(
        colour=console.color_system is not None,
        ascii_only=not console.encoding.lower().startswith("utf"),
    )


def heat_strip(heat: HeatMap, look: Look, *, notes: Mapping[str, str] | None = None) -> Text:
    """Return axis, one line for each grid zone, and the legend.

    Args:
        heat: what is shown.
        look: what the terminal can show.
        notes: what stands right of the line of a grid zone; with them, nothing of a job is shown.
    """
    text = Text(no_wrap=True, overflow="crop")
    text.append(_axis(heat) + "\n", "dim" if look.colour else "")
    low, high = heat.span
    for row in heat.rows:
        text.append(f"{row.grid_zone:<{_LABEL}}")
        for cell in row.cells:
            _append(text, cell, low, high, look)
        if notes is not None:
            text.append(f" {notes.get(row.grid_zone, '')}")
        text.append("\n")
    if notes is None:
        text.append(_now_line(heat, look) + "\n", "bold" if look.colour else "")
    text.append(_legend(low, high, look, job=notes is None), "dim" if look.colour else "")
    return text


def _axis(heat: HeatMap) -> str:
    cells = [" "] * (2 * len(heat.hours) + 4)
    for i, hour in enumerate(heat.hours):
        if hour.hour % _AXIS_H == 0:
            cells[2 * i : 2 * i + 2] = f"{hour:%H}"
    return f"{'UTC':<{_LABEL}}" + "".join(cells).rstrip()


def _now_line(heat: HeatMap, look: Look) -> str:
    passed_h = (heat.now - heat.start).total_seconds() / 3600
    column = min(max(round(2 * passed_h), 0), 2 * len(heat.hours))
    return " " * (_LABEL + column) + ("^ now" if look.ascii_only else "▲ now")


def _legend(low: float, high: float, look: Look, *, job: bool) -> str:
    marks = "  ".join(
        f"{look.mark(mark)} {mark.value}" for mark in (Mark.DONE, Mark.NOW, Mark.PLANNED)
    )
    scale = "pale to dark" if look.colour else f"'{look.shades}'"
    told = f"{scale}: {low:.0f} to {high:.0f} gCO2eq/kWh"
    return f"{marks}   {told}" if job else f"{'':<{_LABEL}}{told}"


def _append(text: Text, cell: Cell, low: float, high: float, look: Look) -> None:
    sign = look.mark(cell.mark)
    if cell.gco2eq_per_kwh is None:
        text.append(f"{sign or '?'} ")
        return
    # By the square root: one dirty grid must not make all others look alike.
    share = ((cell.gco2eq_per_kwh - low) / ((high - low) or 1.0)) ** 0.5
    if look.colour:
        style = Style(bgcolor=_colour(share), color=_ink(share), bold=cell.mark is Mark.NOW)
        text.append(f"{sign or ' '} ", style)
        return
    shade = look.shades[min(int(share * len(look.shades)), len(look.shades) - 1)]
    text.append(f"{sign or shade}{shade}")


def _ink(share: float) -> Color:
    dark = share > 0.75  # noqa: PLR2004 - where white reads better than black on this scale
    return Color.from_rgb(255, 255, 255) if dark else Color.from_rgb(0, 0, 0)


def _colour(share: float) -> Color:
    lower, upper, part = (
        (_CLEAN, _MIDDLE, 2 * share) if share < 0.5 else (_MIDDLE, _DIRTY, 2 * share - 1)  # noqa: PLR2004 - half
    )
    return Color.from_rgb(*(a + (b - a) * part for a, b in zip(lower, upper, strict=True)))
