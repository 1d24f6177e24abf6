"""Where a training is: what was consumed and done, never what was merely prefetched."""

from dataclasses import asdict, dataclass, field
from enum import StrEnum

from vm_runtime.state import State


class NonFiniteError(ArithmeticError):
    """Loss, gradient or weights are NaN or infinite: going on would only spread it."""


class Phase(StrEnum):
    """What comes next."""

    TRAIN = "train"
    """A micro-batch, and the optimizer step if it completes one."""
    VALIDATE = "validate"
    """A batch of a validation."""
    EPOCH_END = "epoch end"
    """Scheduler, history, callbacks."""


class Event(StrEnum):
    """What was just done."""

    MICRO_BATCH = "micro-batch"
    STEP = "step"
    VALIDATION_BATCH = "validation batch"
    EPOCH_END = "epoch end"


@dataclass(slots=True, kw_only=True)
class Means:
    """Weighted means of scores, by name."""

    sums: dict[str, float] = field(default_factory=dict)
    """Sum of value times weight."""
    weights: dict[str, float] = field(default_factory=dict)
    """Sum of the weights: samples."""

    def add(self, name: str, weighted: float, weight: float) -> None:
        """Add a value times its weight."""
        self.sums[name] = self.sums.get(name, 0.0) + weighted
        self.weights[name] = self.weights.get(name, 0.0) + weight

    def mean(self, name: str) -> float:
        """Return the mean so far."""
        return self.sums[name] / self.weights[name]

    def all(self) -> dict[str, float]:
        """Return all means so far."""
        return {name: self.mean(name) for name in self.sums}


@dataclass(slots=True, kw_only=True)
class Position:
    """Where training is."""

    phase: Phase = Phase.TRAIN
    epoch: int = 0
    batch: int = 0
    """Micro-batches consumed in this epoch."""
    step: int = 0
    """Optimizer steps done in all."""
    epoch_is_over: bool = False
    """Whether the last micro-batch of this epoch was consumed."""
    ended: bool = False
    """Whether a callback ended the training."""
    val_batch: int = 0
    """Batches consumed in the validation that is under way."""
    trained: Means = field(default_factory=Means)
    """Scores of this epoch's micro-batches."""
    validated: Means = field(default_factory=Means)
    """Scores of the validation that is under way."""

    def to_state(self) -> State:
        """Return it in types that a checkpoint holds."""
        return {**asdict(self), "phase": self.phase.value}

    @classmethod
    def from_state(cls, state: State) -> "Position":
        """Return what `to_state` was called on."""
        means = {name: Means(**state[name]) for name in ("trained", "validated")}
        return cls(**{**state, **means, "phase": Phase(state["phase"])})
