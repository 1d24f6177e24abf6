"""What user code may hook into a training, in the manner of Lightning Fabric."""

from vm_runtime.session import StopReason


class Callback:
    """Base of callbacks: override what you need, the rest does nothing.

    Each hook runs exactly once per event however often training is stopped. A callback
    that keeps state of its own gives it as `state_dict()` and takes it in
    `load_state_dict(state)`; it is then part of every checkpoint.
    """

    def on_epoch_start(self, epoch: int) -> None:
        """Before the first batch of an epoch, counted from 0."""

    def on_batch_end(self, loss: float) -> None:
        """After forward and backward of a micro-batch."""

    def on_step_end(self, step: int) -> None:
        """After an optimizer step; `step` counts all steps done so far."""

    def on_validation_end(self, metrics: dict[str, float]) -> None:
        """After a whole validation, with its results."""

    def on_epoch_end(self, epoch: int, metrics: dict[str, float]) -> None:
        """After the last step (and validation) of an epoch, with the latest metrics."""

    def on_checkpoint(self, step: int) -> None:
        """After a checkpoint was committed; not part of the training's exact course."""

    def on_stop(self, reason: StopReason) -> None:
        """When training stops early, its checkpoint committed; not part of its exact course."""
