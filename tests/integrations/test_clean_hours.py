"""Lightning's and Hugging Face's own trainers in a job: interrupted equals uninterrupted."""

import os
import signal
import warnings
from pathlib import Path

import pytest

from vm_runtime.contract import object_names as names
from vm_runtime.contract.checkpoint import CheckpointManifest, Latest
from vm_runtime.contract.codec import decode
from vm_runtime.contract.ledger import LedgerEntry
from vm_runtime.contract.progress import Progress, RunState
from vm_runtime.launch import LocalRun, run_locally
from vm_runtime.script import ExitCode

LIGHTNING = """
import os, signal, sys
import torch
from lightning.pytorch import LightningModule, Trainer, Callback, seed_everything
from torchdata.stateful_dataloader import StatefulDataLoader
from vm_runtime.integrations.lightning import CleanHours

class Stop(Callback):
    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if trainer.global_step + 1 == int(sys.argv[1]):
            os.kill(os.getpid(), signal.SIGTERM)

class Model(LightningModule):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(4, 8), torch.nn.Dropout(0.3), torch.nn.Linear(8, 3)
        )
    def training_step(self, batch, batch_idx):
        loss = torch.nn.functional.cross_entropy(self.layers(batch[0]), batch[1])
        self.log("loss", loss)
        return loss
    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), lr=0.02)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)]

seed_everything(3)
data = torch.utils.data.TensorDataset(torch.rand(40, 4), torch.randint(0, 3, (40,)))
loader = StatefulDataLoader(data, batch_size=4, shuffle=True)
clean_hours = CleanHours()
trainer = Trainer(
    max_epochs=3, accelerator="cpu", logger=False, enable_checkpointing=False,
    enable_progress_bar=False, enable_model_summary=False, callbacks=[clean_hours, Stop()],
)
trainer.fit(Model(), loader, ckpt_path=clean_hours.ckpt_path())
"""

TRANSFORMERS = """
import os, pathlib, signal, sys
import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainerCallback
from transformers import TrainingArguments, set_seed
from vm_runtime.integrations.transformers import CleanHours

class Stop(TrainerCallback):
    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step + 1 == int(sys.argv[1]):
            os.kill(os.getpid(), signal.SIGTERM)

set_seed(3)
data = [
    {"input_ids": torch.randint(0, 50, (6,)), "labels": torch.tensor(i % 2)} for i in range(24)
]
model = BertForSequenceClassification(BertConfig(
    vocab_size=50, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
    intermediate_size=16, max_position_embeddings=8, num_labels=2,
))
args = TrainingArguments(
    output_dir=sys.argv[2], num_train_epochs=3, per_device_train_batch_size=4, use_cpu=True,
    save_strategy="no", report_to=[], disable_tqdm=True, logging_steps=1, seed=3,
)
clean_hours = CleanHours()
trainer = Trainer(
    model=model, args=args, train_dataset=data, callbacks=[clean_hours, Stop()]
)
trainer.train(resume_from_checkpoint=clean_hours.checkpoint(args.output_dir))
"""

pytestmark = pytest.mark.timeout(600)


def run(folder: Path, script: Path, *args: str) -> ExitCode:
    """Run the script in a job, as `python -m vm_runtime` does."""
    wish = LocalRun(
        script=script, args=args, folder=folder, job_id="tiny", until=None, power_w=100.0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the libraries' own
        return run_locally(wish, os.environ)


def read(kind: type, folder: Path, name: str) -> object:
    """Return a document of the bucket."""
    return decode(kind, (folder / name).read_bytes(), name=name)


def manifest(folder: Path) -> CheckpointManifest:
    """Return the manifest of the latest checkpoint."""
    latest = read(Latest, folder, names.latest("tiny"))
    assert isinstance(latest, Latest)
    assert latest.checkpoint_id is not None
    found = read(CheckpointManifest, folder, names.manifest("tiny", latest.checkpoint_id))
    assert isinstance(found, CheckpointManifest)
    return found


@pytest.mark.parametrize(
    ("library", "source", "stops"),
    [("lightning", LIGHTNING, (7, 20)), ("transformers", TRANSFORMERS, (4, 12))],
)
def test_interrupted_equals_uninterrupted(
    library: str, source: str, stops: tuple[int, int], tmp_path: Path
) -> None:
    """Stopped twice, once within an epoch and once at its end, it ends with the same weights."""
    pytest.importorskip(library)
    script = tmp_path / "train.py"
    script.write_text(source)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert run(whole, script, "0", str(tmp_path / "out-whole")) is ExitCode.FINISHED
    for number, stop in enumerate(stops):
        # Another folder each time: a moved job finds nothing on the new machine.
        out = str(tmp_path / f"out-{number}")
        assert run(parts, script, str(stop), out) is ExitCode.MORE_TO_DO
        # Lightning could not resume exactly after an epoch's last batch: one more is done.
        reached = stop + (library == "lightning" and stop % 10 == 0)
        assert manifest(parts).step == reached
        assert not manifest(parts).finished
    assert run(parts, script, "0", str(tmp_path / "out-last")) is ExitCode.FINISHED
    assert manifest(parts).finished
    assert manifest(parts).weights_sha256 == manifest(whole).weights_sha256
    progress = read(Progress, parts, names.progress("tiny"))
    assert isinstance(progress, Progress)
    assert progress.state is RunState.FINISHED
    assert progress.steps_done == progress.steps_total == manifest(whole).step
    entry = read(LedgerEntry, parts, names.ledger_entry("tiny", 3))
    assert isinstance(entry, LedgerEntry)
    assert entry.first_step == reached
    assert entry.ended_because == "finished"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
