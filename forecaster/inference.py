"""Forecasts from recorded hours with the trained network: torch and numpy, no Lightning."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib import resources
from pathlib import Path

import numpy as np

from forecaster.ahead import anchor_at, anchor_in_history, extend, level_of
from forecaster.artifact import Manifest, fingerprint, load_artifact
from forecaster.climatology import Array, Climatology
from forecaster.climatology.profile import load_climatology
from forecaster.features import epoch_hour
from forecaster.model import HOURS_PER_DAY, Tcn
from forecaster.prediction import predict
from forecaster.series import (
    HIGHEST_PLAUSIBLE_GCO2EQ_PER_KWH,
    HOUR,
    Forecast,
    IntensityHistory,
    LeftOut,
    Method,
    ZoneForecast,
    checked_hour,
)
from forecaster.windows import LEAST_RECORDED_H, lookback

WEEK_H = 168
"""A grid zone without a recorded hour in so many is left out: missing data are never clean."""
WIDENS_BY = 0.25
"""How much wider the interval is with each day that is repeated for want of a climatology."""

Quantiles = tuple[Array, Array, Array]
"""p10, p50, p90, gCO2eq/kWh, each of shape (hours,)."""


class Forecaster:
    """Forecasts all grid zones at once; keeps no state between forecasts."""

    def __init__(
        self, *, model: Tcn, manifest: Manifest, climatology: Climatology | None = None
    ) -> None:
        """Combine a network with the climatology that steps in for it.

        Raises:
            ValueError: If they are of different accounting bases.
        """
        if climatology is not None and climatology.basis is not manifest.basis:
            raise ValueError(
                f"expected a climatology of basis {manifest.basis}, found {climatology.basis}"
            )
        self.model = model.eval()
        self.manifest = manifest
        self.climatology = climatology
        self.version = fingerprint(manifest)[:12]

    def forecast(
        self,
        histories: Mapping[str, IntensityHistory],
        origin: datetime,
        *,
        horizon_h: int,
        source: str,
    ) -> Forecast:
        """Forecast the hours from `origin` on.

        The first hours, 48 of the shipped network, of a grid zone that it knows and that has
        at least 12 recorded hours among the last 24 are the network's; of any other grid zone
        they are climatology, anchored at what is recorded. Beyond, all is anchored climatology. A
        grid zone without a recorded hour in the last 7 days, or without both network and
        climatology, is left out. Hours at `origin` or later are cut off first.

        Args:
            histories: By grid zone; longer than 168 h is of no use.
            origin: An aware full hour.
            horizon_h: 1 to 168.
            source: Where the histories come from; says `simulated` where they are.

        Raises:
            ValueError: If the horizon or the origin is wrong, or a history is of another
                accounting basis than the network, or under another grid zone's name.
        """
        origin = checked_hour(origin, of="origin")
        if not 1 <= horizon_h <= WEEK_H:
            raise ValueError(f"horizon_h: expected 1 to {WEEK_H}, found {horizon_h}")
        self._check(histories)
        past = {grid_zone: history.cut_before(origin) for grid_zone, history in histories.items()}
        left_out = [
            LeftOut(grid_zone=grid_zone, reason=reason)
            for grid_zone, history in past.items()
            if (reason := self._why_not(history, origin))
        ]
        missing = {zone.grid_zone for zone in left_out}
        by_network = [
            zone for zone in past if zone not in missing and self._suits(past[zone], origin)
        ]
        by_net = self._run_network(past, by_network, origin)
        zones = tuple(
            self._zone(history, by_net.get(grid_zone), origin, horizon_h)
            for grid_zone, history in past.items()
            if grid_zone not in missing
        )
        return Forecast(
            origin=origin,
            zones=zones,
            left_out=tuple(left_out),
            basis=self.manifest.basis,
            model_version=self.version,
            source=source,
        )

    def _check(self, histories: Mapping[str, IntensityHistory]) -> None:
        for grid_zone, history in histories.items():
            if history.grid_zone != grid_zone:
                raise ValueError(f"expected the history of {grid_zone}, found {history.grid_zone}")
            if history.basis is not self.manifest.basis:
                raise ValueError(
                    f"{grid_zone}: expected {self.manifest.basis} intensity, which the model was"
                    f" trained on, found {history.basis}"
                )

    def _why_not(self, history: IntensityHistory, origin: datetime) -> str | None:
        if not _recorded(history, origin, WEEK_H):
            return f"no recorded hour in the {WEEK_H // HOURS_PER_DAY} days before the forecast"
        if self._has_climatology(history.grid_zone):
            return None
        if history.grid_zone not in self.manifest.grid_zones:
            return "the forecaster was not trained on it and has no climatology of it"
        found = _recorded(history, origin, HOURS_PER_DAY)
        if found < LEAST_RECORDED_H:
            return (
                f"{found} recorded hours in the last 24, expected {LEAST_RECORDED_H},"
                " and there is no climatology of it"
            )
        return None

    def _suits(self, history: IntensityHistory, origin: datetime) -> bool:
        known = history.grid_zone in self.manifest.grid_zones
        return known and _recorded(history, origin, HOURS_PER_DAY) >= LEAST_RECORDED_H

    def _has_climatology(self, grid_zone: str) -> bool:
        return self.climatology is not None and grid_zone in self.climatology

    def _run_network(
        self,
        past: Mapping[str, IntensityHistory],
        grid_zones: Sequence[str],
        origin: datetime,
    ) -> dict[str, Quantiles]:
        """Run the network once for all `grid_zones`."""
        if not grid_zones:
            return {}
        known = self.manifest.grid_zones
        recorded = lookback(past, known, origin, hours=self.manifest.model.lookback_h)
        out = predict(self.model, recorded[None], np.array([epoch_hour(origin)]))[0]
        found = out.astype(np.float64).clip(0.0, HIGHEST_PLAUSIBLE_GCO2EQ_PER_KWH)
        if not np.isfinite(found).all():
            raise ValueError(
                "expected finite forecasts of the network, found NaN or infinity;"
                " the artifact is unusable: train it again"
            )
        return {
            grid_zone: (found[row, :, 0], found[row, :, 1], found[row, :, 2])
            for grid_zone in grid_zones
            for row in [known.index(grid_zone)]
        }

    def _zone(
        self,
        history: IntensityHistory,
        by_net: Quantiles | None,
        origin: datetime,
        horizon_h: int,
    ) -> ZoneForecast:
        if by_net is None:
            quantiles = self._climatology_only(history, origin, horizon_h)
        else:
            quantiles = self._beyond(history, by_net, origin, horizon_h)
        low, mid, high = (tuple(values[:horizon_h].tolist()) for values in quantiles)
        return ZoneForecast(
            grid_zone=history.grid_zone,
            p10=low,
            p50=mid,
            p90=high,
            method=Method.CLIMATOLOGY if by_net is None else Method.TCN,
            history_h=_recorded(history, origin, WEEK_H),
        )

    def _climatology_only(
        self, history: IntensityHistory, origin: datetime, horizon_h: int
    ) -> Quantiles:
        climatology = self._profile_of(history.grid_zone)
        anchor = anchor_in_history(climatology, history, origin)
        return extend(climatology, history.grid_zone, origin, horizon_h, anchor=anchor)

    def _beyond(
        self, history: IntensityHistory, day: Quantiles, origin: datetime, horizon_h: int
    ) -> Quantiles:
        """Return the network's hours and what follows them."""
        made = len(day[1])
        if horizon_h <= made:
            return day
        if not self._has_climatology(history.grid_zone):
            return _repeated(day, horizon_h)
        climatology = self._profile_of(history.grid_zone)
        end = origin + made * HOUR
        level = level_of(climatology, history, origin)
        anchor = anchor_at(climatology, history.grid_zone, day, end, level=level)
        later = extend(climatology, history.grid_zone, end, horizon_h - made, anchor=anchor)
        low, mid, high = (np.concatenate(pair) for pair in zip(day, later, strict=True))
        return low, mid, high

    def _profile_of(self, grid_zone: str) -> Climatology:
        if self.climatology is None:
            raise KeyError(f"expected a climatology of {grid_zone}, found none")
        return self.climatology


def load_forecaster(folder: Path | None = None) -> Forecaster:
    """Load a trained forecaster, the shipped one if `folder` is `None`.

    Raises:
        ArtifactError: If there is none, or it was changed.
        ProfileError: If the shipped climatology is missing or damaged.
    """
    if folder is None:
        with resources.as_file(resources.files("forecaster") / "weights") as shipped:
            model, manifest = load_artifact(shipped)
    else:
        model, manifest = load_artifact(folder)
    climatology = load_climatology()
    # No number of one basis may continue one of the other.
    fits = climatology.basis is manifest.basis
    return Forecaster(model=model, manifest=manifest, climatology=climatology if fits else None)


def _recorded(history: IntensityHistory, origin: datetime, hours: int) -> int:
    return int(np.isfinite(history.before(origin, hours)).sum())


def _repeated(day: Quantiles, hours: int) -> Quantiles:
    low, mid, high = (np.resize(values, hours) for values in day)
    wider = 1 + WIDENS_BY * (np.arange(hours) // len(day[1]))
    low, high = mid - (mid - low) * wider, mid + (high - mid) * wider
    return np.maximum(low, 0.0), mid, np.minimum(high, HIGHEST_PLAUSIBLE_GCO2EQ_PER_KWH)
