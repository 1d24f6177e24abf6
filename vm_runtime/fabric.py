"""Lightning Fabric without what only costs time at each boot of a VM."""

import sys

# Lightning asks for torchmetrics' version by importing all of it, with scipy and matplotlib
# where they are: as long as all of torch takes, for a feature of Fabric that nobody uses here.
# As `lightning_fabric`, Fabric is the same code as `lightning.fabric`, which comes with the
# whole of lightning.pytorch.
_hidden = "torchmetrics" not in sys.modules
if _hidden:
    sys.modules["torchmetrics"] = None  # type: ignore[assignment]
try:
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
    from lightning_fabric.strategies.ddp import DDPStrategy
finally:
    if _hidden:
        del sys.modules["torchmetrics"]

__all__ = ["ClusterEnvironment", "DDPStrategy", "Fabric"]
