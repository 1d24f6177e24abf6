"""From a checkpoint's verified files to a state, or to a message that says what does not fit."""

import pickle

import torch

from vm_runtime.checkpoint import runtime_version
from vm_runtime.checkpoint_objects import Restored
from vm_runtime.checkpoint_writer import PAYLOAD
from vm_runtime.contract.checkpoint import CheckpointManifest
from vm_runtime.state import State, StateMismatchError


def load_state(restored: Restored, *, like: State) -> State:
    """Return the state in a checkpoint, on the CPU, read without running code from it.

    Args:
        restored: its files.
        like: a state as this version writes it; only its keys count.

    Raises:
        StateMismatchError: it is no state, or one with other parts: the message names them.
    """
    path = restored.folder / PAYLOAD
    if not path.is_file():
        found = ", ".join(file.name for file in restored.manifest.files)
        message = f"expected a file {PAYLOAD} in the checkpoint, found {found}"
        raise StateMismatchError(message)
    try:
        state: State = torch.load(path, weights_only=True, map_location="cpu")
    except (pickle.UnpicklingError, RuntimeError) as error:
        message = (
            f"expected {PAYLOAD} to be what this version can read without running code from it,"
            f" found: {error}"
        )
        raise StateMismatchError(message) from error
    missing, unexpected = sorted(like.keys() - state.keys()), sorted(state.keys() - like.keys())
    if missing or unexpected:
        message = (
            f"expected the parts {', '.join(map(str, like))} in the checkpoint's state, found"
            f" missing: {', '.join(missing) or 'none'};"
            f" unexpected: {', '.join(unexpected) or 'none'}"
        )
        raise StateMismatchError(message)
    return state


def describe_versions(manifest: CheckpointManifest) -> str:
    """Return which software wrote a checkpoint, and which one reads it."""
    return (
        f"Checkpoint {manifest.checkpoint_id} (step {manifest.step}) was written by"
        f" smartscheduler {manifest.runtime_version} with torch {manifest.torch_version}; this is"
        f" smartscheduler {runtime_version()} with torch {torch.__version__}. Train on with the"
        " version that wrote it, or submit a new job."
    )
