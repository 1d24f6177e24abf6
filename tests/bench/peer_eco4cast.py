"""Times eco4cast 0.0.8's network; run with the peer's own Python, prints one line of JSON.

As `CO2Predictor` does it: the checkpoint is loaded by Lightning and `predict_step` gets all
thirteen zones at once. Its 344 calls to a weather service per forecast are not counted.
"""

import json
import sys
import time

begin = time.perf_counter()
import torch  # noqa: E402 - timed

torch_s = time.perf_counter() - begin
begin = time.perf_counter()
from pathlib import Path  # noqa: E402 - what it needs is timed with it

from eco4cast.master_machine import data_files  # noqa: E402 # type: ignore[import-not-found]
from eco4cast.master_machine.co2_model import (  # noqa: E402 # type: ignore[import-not-found]
    CO2Model,
)

ZONES, LOOKBACK_H, FEATURES, POINTS = 13, 24, 23, 38


def main() -> None:
    """Load, forecast once, and then as often as the argument says."""
    path = Path(next(iter(data_files.__path__))) / "co2_model.ckpt"
    model = CO2Model.load_from_checkpoint(path, map_location=torch.device("cpu"))
    model = model.to("cpu").eval()
    batch = torch.zeros(ZONES, LOOKBACK_H, FEATURES, POINTS)
    model.predict_step((batch, 0, 0), 0).detach().cpu().numpy()
    fresh_s = time.perf_counter() - begin
    spans_s = []
    for _ in range(int(sys.argv[1])):
        start = time.perf_counter()
        model.predict_step((batch, 0, 0), 0).detach().cpu().numpy()
        spans_s.append(time.perf_counter() - start)
    found = {"torch_s": torch_s, "fresh_s": fresh_s, "spans_s": spans_s}
    print(json.dumps(found | {"bytes": path.stat().st_size, "threads": torch.get_num_threads()}))  # noqa: T201


main()
