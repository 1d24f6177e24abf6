"""Laws of the saved model."""

import dataclasses
import json
from importlib import resources
from pathlib import Path

import pytest
import torch
from intensity_worlds import TINY, manifest_of

from forecaster.artifact import (
    MANIFEST,
    WEIGHTS,
    ArtifactError,
    load_artifact,
    save_artifact,
    with_figures_of,
)
from forecaster.model import Tcn

LARGEST_BYTES = 5 * 2**20


def saved(folder: Path) -> Tcn:
    """Save a random network in `folder` and return it."""
    torch.manual_seed(3)
    model = Tcn(TINY)
    save_artifact(folder, weights=model.state_dict(), manifest=manifest_of(model))
    return model


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    """Weights and manifest come back as they were, ready for inference."""
    model = saved(tmp_path)
    loaded, manifest = load_artifact(tmp_path)
    assert manifest == manifest_of(model)
    assert not loaded.training
    for name, value in model.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[name]), name


def test_changed_weights_are_refused(tmp_path: Path) -> None:
    """One flipped bit in the weights is found."""
    saved(tmp_path)
    data = bytearray((tmp_path / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (tmp_path / WEIGHTS).write_bytes(data)
    with pytest.raises(ArtifactError, match=r"sha256 .* it was changed"):
        load_artifact(tmp_path)


def test_a_changed_manifest_is_refused(tmp_path: Path) -> None:
    """Metrics cannot be made better by hand."""
    saved(tmp_path)
    loaded = json.loads((tmp_path / MANIFEST).read_text())
    loaded["metrics"] = {"mean": {"mae": 0.0}}
    (tmp_path / MANIFEST).write_text(json.dumps(loaded))
    with pytest.raises(ArtifactError, match=r"fingerprint .* it was changed"):
        load_artifact(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema_version": 1}', "\x00"])
def test_another_schema_is_refused(tmp_path: Path, text: str) -> None:
    """A manifest of another form says what was expected."""
    saved(tmp_path)
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(ArtifactError, match="manifest of schema version 2"):
        load_artifact(tmp_path)


def test_a_missing_artifact_says_how_to_make_one(tmp_path: Path) -> None:
    """An empty folder is a clear error."""
    with pytest.raises(ArtifactError, match="python -m forecaster train"):
        load_artifact(tmp_path)


def test_figures_are_taken_of_a_model_made_alike_only() -> None:
    """What has seen all hours shows those of an earlier one of the same settings, and says so."""
    made = manifest_of(Tcn(TINY))
    late, early = (
        dataclasses.replace(made, settings={"seed": 0, "end": end}) for end in ("2024", "2023")
    )
    scored = dataclasses.replace(early, metrics={"mean": {"skill": 0.3}})
    taken = with_figures_of(late, scored)
    assert taken.metrics == scored.metrics
    assert "before 2023" in taken.data["figures"]
    with pytest.raises(ValueError, match="without metrics"):
        with_figures_of(late, early)
    other = dataclasses.replace(scored, settings={"seed": 1, "end": "2023"})
    with pytest.raises(ValueError, match="found other seed"):
        with_figures_of(late, other)


def test_the_shipped_artifact_is_whole_small_and_attributed() -> None:
    """It loads, has at most 5 MB and no pickle, and its card names source and licence."""
    with resources.as_file(resources.files("forecaster") / "weights") as folder:
        _, manifest = load_artifact(folder)
        names = {path.name for path in folder.iterdir()}
        size = sum(path.stat().st_size for path in folder.iterdir())
        card = (folder / "README.md").read_text(encoding="utf-8")
    assert names == {MANIFEST, WEIGHTS, "README.md"}
    assert size <= LARGEST_BYTES
    assert len(manifest.grid_zones) >= 13
    assert manifest.metrics["mean"]["skill"] >= 0.35
    assert "Electricity Maps, electricitymaps.com" in card
    for zone, figures in manifest.metrics.items():
        assert figures["mae"] < figures["ridge_mae"], zone
        assert figures["mae"] < figures["persistence_mae"], zone
    assert "ODbL" in card
