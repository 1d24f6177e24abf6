"""Chooses the task that the settings describe."""

from vm_runtime.trainer_settings import TrainingSettings, is_lightning_module
from vm_runtime.trainer_task import SupervisedTask, Task


def task_of(settings: TrainingSettings) -> Task:
    """Return the task, from a LightningModule or from model, loss and optimizer.

    Raises:
        LightningFeatureError: the LightningModule uses what cannot be resumed exactly.
    """
    if not is_lightning_module(settings.model):
        return SupervisedTask(settings)
    from vm_runtime.trainer_lightning import LightningTask  # noqa: PLC0415  rarely needed

    return LightningTask(settings)
