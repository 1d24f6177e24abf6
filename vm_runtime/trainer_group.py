"""The processes that train together, one for each device, and the Fabric through which they do.

Knows devices, precision and gradients; nothing of data, loops or jobs.
"""

import io
import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, cast

import torch
from torch import Tensor, distributed, nn
from torch._C._distributed_c10d import GradBucket
from torch.optim import Optimizer

from vm_runtime.data import Share
from vm_runtime.fabric import ClusterEnvironment, DDPStrategy, Fabric
from vm_runtime.session import StopReason
from vm_runtime.state import State
from vm_runtime.trainer_settings import TrainingSettings

_NOTHING = nullcontext()

_log = logging.getLogger(__name__)

_REASONS: tuple[StopReason | None, ...] = (None, *StopReason)


class Group:
    """All processes of a training, seen from one of them; most often the only one."""

    def __init__(self, settings: TrainingSettings, share: Share) -> None:
        """Take the devices; with several processes, `torch.distributed` is up already."""
        self.share: Final = share
        self._is_plain = share.size == 1 and settings.precision == "32-true"
        self._fabric = Fabric(
            accelerator=_accelerator(settings),
            devices=share.size,
            precision=settings.precision,
            strategy="auto" if share.size == 1 else _OrderedDdp(share),
        )
        if share.size > 1:
            self._fabric.launch()
        self._is_on_cpu = self._fabric.device.type == "cpu"
        self.has_begun = False
        """Whether all processes were told where to begin."""

    @property
    def rank(self) -> int:
        """Number of this process; 0 has the job."""
        return self.share.rank

    @property
    def size(self) -> int:
        """How many processes there are."""
        return self.share.size

    @property
    def scales_gradients(self) -> bool:
        """Whether a scaler skips the step of a gradient that is not finite, as with float16."""
        return bool(self.precision_state())

    def set_up(self, module: nn.Module, optimizer: Optimizer) -> tuple[nn.Module, Any]:
        """Move both to the device and return what to compute with."""
        wrapped, stepping = self._fabric.setup(module, optimizer)
        # Where they have nothing to do, Fabric's wrappers take percents of a small model's step.
        return (module, optimizer) if self._is_plain else (wrapped, stepping)

    def to_device(self, batch: Any) -> Any:  # noqa: ANN401  user data
        """Return the batch on the device; it is already there if that is the CPU."""
        return batch if self._is_on_cpu else self._fabric.to_device(batch)

    def gathering(self, module: nn.Module, *, last: bool) -> AbstractContextManager[Any]:
        """Return a context for a micro-batch: gradients are summed over processes in the last."""
        if self.size == 1:
            return _NOTHING
        return self._fabric.no_backward_sync(cast("Any", module), enabled=not last)

    def backward(self, loss: Tensor) -> None:
        """Add the loss's gradient."""
        if self._is_plain:
            loss.backward()  # type: ignore[no-untyped-call]
        else:
            self._fabric.backward(loss)

    def clear_gradients(self, optimizer: Any) -> None:  # noqa: ANN401  Fabric's or torch's
        """Forget the gradients of all parameters."""
        if self._is_plain and _clears_as_torch_does(optimizer):
            # What zero_grad() does, without the label for torch's profiler: percents of a step.
            for parameters in optimizer.param_groups:
                for parameter in parameters["params"]:
                    parameter.grad = None
        else:
            optimizer.zero_grad(set_to_none=True)

    def clip(self, module: nn.Module, optimizer: Any, max_norm: float) -> float | None:  # noqa: ANN401
        """Clip the gradient and return its norm before."""
        norm = self._fabric.clip_gradients(
            cast("Any", module), optimizer, max_norm=max_norm, error_if_nonfinite=False
        )
        return None if norm is None else float(norm)

    def precision_state(self) -> State:
        """Return the state of the gradient scaler, empty without one."""
        state: State = self._fabric.strategy.precision.state_dict()
        return state

    def load_precision_state(self, state: State) -> None:
        """Take it over."""
        if state:
            self._fabric.strategy.precision.load_state_dict(state)

    def sums(self, values: Sequence[float]) -> list[float]:
        """Return the sums of each process's values, added in the order of the processes."""
        if self.size == 1:
            return list(values)
        mine = torch.tensor(values, dtype=torch.float64, device=self._fabric.device)
        rows = [torch.empty_like(mine) for _ in range(self.size)]
        distributed.all_gather(rows, mine)
        total = rows[0]
        for row in rows[1:]:
            total = total + row
        found: list[float] = total.tolist()
        return found

    def agree(self, reason: StopReason | None) -> StopReason | None:
        """Return the first process's reason to stop, in all of them at the same place."""
        if self.size == 1:
            return reason
        code = torch.tensor(_REASONS.index(reason), device=self._fabric.device)
        distributed.broadcast(code, src=0)
        return _REASONS[int(code)]

    def tell(self, state: State | None) -> State | None:
        """Return the first process's state, in all of them."""
        self.has_begun = True
        if self.size == 1:
            return state
        data = _bytes_of(state) if self.rank == 0 else b""
        length = torch.tensor(len(data), device=self._fabric.device)
        distributed.broadcast(length, src=0)
        content = torch.zeros(int(length), dtype=torch.uint8, device=self._fabric.device)
        if self.rank == 0:
            content.copy_(torch.frombuffer(bytearray(data), dtype=torch.uint8))
        distributed.broadcast(content, src=0)
        if self.rank == 0:
            return state
        received = io.BytesIO(content.cpu().numpy().tobytes())
        told: State | None = torch.load(received, weights_only=True)
        return told


def _clears_as_torch_does(optimizer: Optimizer) -> bool:
    own = "zero_grad" in vars(optimizer)
    return not own and type(optimizer).zero_grad is Optimizer.zero_grad


def _bytes_of(state: State | None) -> bytes:
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


def _accelerator(settings: TrainingSettings) -> str:
    if settings.accelerator != "auto":
        return settings.accelerator
    # Not Fabric's own "auto", which would take a Mac's GPU: it has no deterministic algorithms.
    return "cuda" if torch.cuda.is_available() else "cpu"


class _OrderedDdp(DDPStrategy):
    """DDP whose sums depend on nothing but the values and the number of processes."""

    def __init__(self, share: Share) -> None:
        super().__init__(cluster_environment=_Ranks(share))

    def setup_module(self, module: nn.Module) -> nn.parallel.DistributedDataParallel:
        wrapped = super().setup_module(module)
        wrapped.register_comm_hook(None, ordered_sum)
        return wrapped


def ordered_sum(_: object, bucket: GradBucket) -> torch.futures.Future[Tensor]:
    """Sum a bucket of gradients over all processes, each element in the order of the processes.

    The usual all-reduce adds each element in an order that depends on its place in the bucket,
    and after its first backward pass DDP puts all gradients into other buckets: a resumed
    training would then round otherwise than one that went on. This costs the same traffic.
    """
    buffer, size = bucket.buffer(), distributed.get_world_size()
    length = -(-buffer.numel() // size)
    sent = buffer.new_zeros(length * size)
    sent[: buffer.numel()] = buffer
    received = torch.empty_like(sent)
    distributed.all_to_all_single(received, sent)
    parts = received.view(size, length)
    total = parts[0].clone()
    for part in parts[1:]:
        total += part
    distributed.all_gather(list(parts.unbind()), total)
    buffer.copy_(received[: buffer.numel()])
    devices: list[int | str | torch.device] | None = [buffer.device] if buffer.is_cuda else None
    done: torch.futures.Future[Tensor] = torch.futures.Future(devices=devices)
    done.set_result(buffer)
    return done


class _Ranks(ClusterEnvironment):
    """Tells Fabric which process of one machine this is; the processes are there already."""

    def __init__(self, share: Share) -> None:
        self._share = share

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        return "127.0.0.1"

    @property
    def main_port(self) -> int:
        return 0  # not asked for: `torch.distributed` is up already

    @staticmethod
    def detect() -> bool:
        return False

    def world_size(self) -> int:
        return self._share.size

    def set_world_size(self, size: int) -> None:
        del size

    def global_rank(self) -> int:
        return self._share.rank

    def set_global_rank(self, rank: int) -> None:
        del rank

    def local_rank(self) -> int:
        return self._share.rank

    def node_rank(self) -> int:
        return 0
