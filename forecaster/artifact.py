"""Saves and loads a trained network: safetensors and JSON, never pickle.

A folder has `model.safetensors` (weights), `model.json` (all else) and, where it is
shipped, `README.md`, the model card. The fingerprint covers weights and JSON.
"""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from forecaster.model import ModelConfig, Tcn
from forecaster.series import Basis, document

WEIGHTS = "model.safetensors"
MANIFEST = "model.json"

Fingerprint = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class ArtifactError(ValueError):
    """An artifact is missing, changed or of another schema; the message names the folder."""


@document
class Manifest:
    """What belongs to the weights."""

    model: ModelConfig
    """Shape of the network."""
    grid_zones: tuple[str, ...]
    """In the order of the embedding."""
    scale_gco2eq_per_kwh: tuple[Annotated[float, Field(gt=0)], ...]
    """By which each grid zone's errors were divided in training, its persistence error."""
    basis: Basis
    """Accounting basis of the data it learned from."""
    settings: dict[str, float | int | str]
    """How it was trained."""
    data: dict[str, str]
    """Where the training data begin and end, and their sha256."""
    metrics: dict[str, dict[str, float]]
    """By grid zone, `mean` for all, on later hours than it learned from; see the model card."""
    weights_sha256: Fingerprint
    """Of the file with the weights."""
    schema_version: Literal[2] = 2
    """Version of this document."""

    def __post_init__(self) -> None:
        """Refuse lists of different length."""
        count = len(self.grid_zones)
        lengths = (self.model.grid_zones, len(self.scale_gco2eq_per_kwh))
        if set(lengths) != {count}:
            message = f"expected scales and embeddings for {count} grid zones, found {lengths}"
            raise ValueError(message)


_ADAPTER = TypeAdapter(Manifest)
_JSON_OBJECT = TypeAdapter(dict[str, Any])


def sha256(data: bytes) -> str:
    """Return the SHA-256 of `data` in hex."""
    return hashlib.sha256(data).hexdigest()


def fingerprint(manifest: Manifest) -> str:
    """Return what identifies the artifact; the manifest has the digest of the weights in it."""
    return sha256(_canonical(_ADAPTER.dump_python(manifest, mode="json")))


def with_figures_of(manifest: Manifest, earlier: Manifest) -> Manifest:
    """Return `manifest` with the figures of a model made alike from fewer hours.

    A model that has learnt from all hours has none left to be scored on.

    Raises:
        ValueError: If the two were not made alike, or the earlier one has no figures.
    """
    ours, theirs = ({**each.settings, "end": ""} for each in (manifest, earlier))
    if ours != theirs or manifest.model != earlier.model:
        changed = sorted(name for name in ours if ours[name] != theirs.get(name))
        raise ValueError(
            "figures: expected those of a model with the same settings but its end, found"
            f" other {', '.join(changed) or 'shapes'}"
        )
    if not earlier.metrics:
        raise ValueError("figures: expected a model that was scored, found one without metrics")
    origin = f"those of the same settings, learnt from hours before {earlier.settings['end']}"
    return dataclasses.replace(
        manifest, metrics=earlier.metrics, data=manifest.data | {"figures": origin}
    )


def save_artifact(folder: Path, *, weights: dict[str, Tensor], manifest: Manifest) -> str:
    """Write weights and manifest; return the fingerprint.

    Args:
        folder: Is made if it is not there.
        weights: State of the network.
        manifest: Its `weights_sha256` must be that of `pack(weights)`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = fingerprint(manifest)
    (folder / WEIGHTS).write_bytes(pack(weights))
    document_json = {"fingerprint": found, **_ADAPTER.dump_python(manifest, mode="json")}
    (folder / MANIFEST).write_text(json.dumps(document_json, indent=1) + "\n", encoding="utf-8")
    return found


def pack(weights: dict[str, Tensor]) -> bytes:
    """Return the weights as the bytes of a safetensors file; the same for the same weights."""
    return save({name: weights[name].contiguous() for name in sorted(weights)})


def load_artifact(folder: Path) -> tuple[Tcn, Manifest]:
    """Load a network, ready for inference, and its manifest.

    Raises:
        ArtifactError: If a file is missing, of another schema, or was changed.
    """
    manifest = _load_manifest(folder)
    data = _read(folder / WEIGHTS)
    if sha256(data) != manifest.weights_sha256:
        raise ArtifactError(
            f"{folder / WEIGHTS}: expected the sha256 {manifest.weights_sha256[:12]} that"
            f" {MANIFEST} names, found {sha256(data)[:12]}: it was changed; fetch or train it again"
        )
    model = Tcn(manifest.model)
    try:
        model.load_state_dict(load(data))
    except (RuntimeError, SafetensorError) as error:
        raise ArtifactError(
            f"{folder / WEIGHTS}: expected the weights of the network in {MANIFEST}: {error}"
        ) from error
    return model.eval(), manifest


def _load_manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    try:
        loaded = _JSON_OBJECT.validate_json(_read(path))
        claimed = loaded.pop("fingerprint", None)
        manifest = _ADAPTER.validate_python(loaded)
    except ValidationError as error:
        raise ArtifactError(
            f"{path}: expected a manifest of schema version 2; train the model again: {error}"
        ) from error
    if claimed != fingerprint(manifest):
        raise ArtifactError(
            f"{path}: expected the fingerprint {fingerprint(manifest)[:12]}, found"
            f" {str(claimed)[:12]}: it was changed; fetch or train it again"
        )
    return manifest


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtifactError(
            f"{path}: expected an artifact ({WEIGHTS}, {MANIFEST}), found none ({error.strerror});"
            " make one with: python -m forecaster train --data DIR --out DIR"
        ) from error


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
