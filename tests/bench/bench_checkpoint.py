"""What checkpoints cost: the pause of training, the time from SIGTERM to safe, the memory."""

import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from figure import Figure

from vm_runtime.checkpoint import Checkpoints
from vm_runtime.checkpoint_writer import CheckpointWriter
from vm_runtime.contract.clock import SystemClock
from vm_runtime.storage.files import FileBlobStore

TURNS = 7
WIDTH = 2048
LAYERS = 4
"""With Adam's two moments: 3 x 4 x 2048 x 2048 float32, 201 MB."""

MODEL = f"""
import os, sys, torch
torch.manual_seed(0)
torch.set_num_threads(1)
model = torch.nn.Sequential(*[torch.nn.Linear({WIDTH}, {WIDTH}) for _ in range({LAYERS})])
optimizer = torch.optim.Adam(model.parameters(), lr=1e-5)
data = torch.utils.data.TensorDataset(torch.randn(100_000, 1).expand(-1, {WIDTH}),
                                      torch.zeros(100_000, 1))
def loss_fn(outputs, targets):
    return torch.nn.functional.mse_loss(outputs.mean(1, keepdim=True), targets)
"""

PLAIN = f"""{MODEL}
import resource, time
end = time.monotonic() + 8
for inputs, targets in torch.utils.data.DataLoader(data, batch_size=4, shuffle=True):
    optimizer.zero_grad()
    loss_fn(model(inputs), targets).backward()
    optimizer.step()
    if time.monotonic() > end:
        break
print("PEAK", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""

OURS = f"""{MODEL}
import resource
from vm_runtime.trainer import IntervalTrainer
class Tell:
    def on_checkpoint(self, step):
        print("CHECKPOINT", step, flush=True)
IntervalTrainer(model=model, train_dataset=data, loss_fn=loss_fn, optimizer=optimizer, epochs=1,
                batch_size=4, checkpoint_every_s=2.0, callbacks=[Tell()]).fit()
print("PEAK", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def state() -> dict[str, dict[str, torch.Tensor]]:
    """Return a state of the size of the model's with its optimizer's."""
    sizes = [(WIDTH, WIDTH)] * LAYERS
    return {
        part: {str(number): torch.randn(size) for number, size in enumerate(sizes)}
        for part in ("model", "first moments", "second moments")
    }


def pause_figure() -> Figure:
    """How long training stands still for a checkpoint, beside saving the same state at once."""
    original, saves, pauses = state(), [], []
    with tempfile.TemporaryDirectory() as name:
        checkpoints = Checkpoints(FileBlobStore(Path(name, "bucket")), "bench", 1, SystemClock())
        checkpoints.take_over()
        writer = CheckpointWriter(
            checkpoints, describe=lambda _: "0" * 64, check_lease=lambda: None
        )
        writer.prepare(original)  # as a training does after its first step
        for turn in range(TURNS + 1):
            begin = time.perf_counter()
            torch.save(original, Path(name, "synchronous.pt"))
            saves.append(time.perf_counter() - begin)
            begin = time.perf_counter()
            writer.begin(original, step=turn)
            pauses.append(time.perf_counter() - begin)
            writer.wait()
    save_s, pause_s = statistics.median(saves[1:]), statistics.median(pauses[1:])
    return Figure(
        what="pause per checkpoint, 200 MB",
        ours=f"{pause_s * 1e3:.0f} ms: {pause_s / save_s:.3f} of it (bar <= 0.10;"
        f" the first {pauses[0] * 1e3:.0f} ms)",
        peer=f"torch.save {save_s * 1e3:.0f} ms",
        ratio=f"{save_s / pause_s:.1f}",
    )


def stop_figure() -> Figure:
    """From SIGTERM to safe, and the peak of memory, of a training of 200 MB in a process."""
    with tempfile.TemporaryDirectory() as name:
        plain_mb = _peak_mb(_run(name, PLAIN, stops=False))
        output = _run(name, OURS, stops=True)
    ours_mb = _peak_mb(output)
    found = re.search(r"safe ([\d.]+) s after", output)
    safe_s = float(found.group(1)) if found else float("nan")
    return Figure(
        what="SIGTERM to safe, 200 MB; memory above plain",
        ours=f"{safe_s:.2f} s (bar <= 2 s); {ours_mb - plain_mb:.0f} MB (bar <= 301 MB)",
        peer=f"plain PyTorch {plain_mb:.0f} MB",
    )


def _run(folder: str, code: str, *, stops: bool) -> str:
    script = Path(folder, "train.py")
    script.write_text(code)
    command = [sys.executable, str(script)]
    if stops:
        command = [sys.executable, "-m", "vm_runtime", str(script), "--job", f"{folder}/job"]
    with subprocess.Popen(  # noqa: S603  our own code
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if stops and sum(text.startswith("CHECKPOINT") for text in lines) == 2:
                stops = False
                process.send_signal(signal.SIGTERM)
    return "".join(lines)


def _peak_mb(output: str) -> float:
    found = re.search(r"^PEAK (\d+)$", output, re.MULTILINE)
    if found is None:
        message = f"expected a line PEAK, found:\n{output}"
        raise ValueError(message)
    return int(found.group(1)) * 1024 / 1e6


FIGURES = (pause_figure, stop_figure)
