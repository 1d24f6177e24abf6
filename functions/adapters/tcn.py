"""The forecaster's TCN behind the port; torch is loaded when it is first asked."""

from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forecaster.inference import Forecaster
    from forecaster.series import Forecast, IntensityHistory


class TcnForecaster:
    """Forecasts from the weights that ship with the package."""

    @cached_property
    def _model(self) -> "Forecaster":
        # torch costs seconds at import; stop_vm, move_vm and start_vm must not pay for it.
        import torch  # noqa: PLC0415

        from forecaster.inference import load_forecaster  # noqa: PLC0415

        # The network is small: on a busy machine two threads wait for each other far longer
        # than one needs alone (`make bench` prints the time with one).
        torch.set_num_threads(1)
        return load_forecaster()

    def load(self) -> None:
        """Load torch and the weights now: where seconds count later."""
        self._model  # noqa: B018 - it is kept

    def forecast(
        self,
        histories: "Mapping[str, IntensityHistory]",
        origin: datetime,
        *,
        horizon_h: int,
        source: str,
    ) -> "Forecast":
        """Return the forecast of every grid zone in `histories` that has recent data."""
        return self._model.forecast(histories, origin, horizon_h=horizon_h, source=source)
