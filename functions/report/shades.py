"""Colours of carbon intensity, from clean to dirty, the same in every page. Pure."""

import math
from dataclasses import dataclass

STOPS = ("#e8f4e5", "#b5ddd8", "#7ab5d4", "#9085c2", "#6f3f70")
"""Paul Tol's iridescent scheme: told apart without colour vision too."""

_DARK = 0.8
"""From here on white reads better on it than black: contrast above 3.9 on either side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Which intensities are palest and darkest, gCO2eq/kWh."""

    low: float
    high: float

    def share(self, value: float) -> float:
        """Return where a value lies, 0 to 1, by the square root.

        One dirty grid must not make all others look alike.
        """
        if self.high <= self.low:
            return 0.0
        return math.sqrt(min(max((value - self.low) / (self.high - self.low), 0.0), 1.0))

    def colour(self, value: float) -> str:
        """Return the colour of a value, `#rrggbb`."""
        place = self.share(value) * (len(STOPS) - 1)
        index = min(int(place), len(STOPS) - 2)
        part = place - index
        pairs = zip(_channels(STOPS[index]), _channels(STOPS[index + 1]), strict=True)
        return "#" + "".join(f"{round(a + (b - a) * part):02x}" for a, b in pairs)

    def ink(self, value: float) -> str:
        """Return what is read best on that colour."""
        return "#ffffff" if self.share(value) > _DARK else "#1c1e21"


def _channels(colour: str) -> tuple[int, int, int]:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return red, green, blue
