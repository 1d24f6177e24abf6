"""Runs one of the local programs that fork trainings, and reads what these leave behind."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from fake_session import JOB
from tiny_training import latest

from vm_runtime.contract import object_names
from vm_runtime.storage.files import FileBlobStore

PROGRAMS = Path(__file__).parent / "local_programs"
PATIENCE_S = 280.0


def run_program(
    name: str, folder: Path, scenarios: list[dict[str, Any]]
) -> subprocess.CompletedProcess[str]:
    """Run the scenarios; each leaves its job in a folder of its own name."""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    done = subprocess.run(  # noqa: S603  our own program
        [sys.executable, str(PROGRAMS / f"{name}.py"), str(folder)],
        input=json.dumps(scenarios),
        text=True,
        capture_output=True,
        check=False,
        timeout=PATIENCE_S,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done


def final_state_in(folder: Path) -> dict[str, Any]:
    """Return the state that a finished job in a folder ended with."""
    store = FileBlobStore(folder)
    pointer = latest(store)
    assert pointer.finished
    checkpoint = object_names.checkpoint_folder(JOB.job_id, str(pointer.checkpoint_id))
    target = folder.with_suffix(".pt")
    store.download(f"{checkpoint}state.pt", target)
    state: dict[str, Any] = torch.load(target, weights_only=True)
    return state
