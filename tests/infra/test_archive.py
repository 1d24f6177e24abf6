"""The archive of the functions: the same bytes for the same tree, and complete by itself."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from infra_files import ROOT, names_of, text_of

from functions.archive import LIST, ArchiveError, fingerprint, staged, write

CUDA = re.compile("nvidia|cuda|triton")
OURS = {"functions", "forecaster", "vm_runtime"}
LOAD = """
import json, sys
from importlib.abc import MetaPathFinder
class Unpinned(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"{name} is not in requirements.txt", name=name)
blocked = set(json.loads(sys.argv[2]))
sys.meta_path.insert(0, Unpinned())
from functions_framework import create_app
create_app(target=sys.argv[1], source="main.py")
before = set(sys.modules)
import functions, forecaster, vm_runtime.contract
places = [module.__file__ for module in (functions, forecaster, vm_runtime)]
if sys.argv[1] == "forecast":
    from forecaster.inference import load_forecaster
    load_forecaster()
print(json.dumps({"places": places, "modules": sorted(before)}))
"""


def pins(requirements: Path) -> set[str]:
    """Return the names of the pinned distributions."""
    text = requirements.read_text(encoding="utf-8")
    return set(re.findall(r"^([\w.-]+)==", text, re.MULTILINE))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what the archive is made of."""
    for name in ("functions", "forecaster", "vm_runtime"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tmp_path / "tree" / name, ignore=ignore)
    return tmp_path / "tree"


def test_same_tree_same_bytes(tree: Path, tmp_path: Path) -> None:
    """Neither time stamps nor rights nor the folder show."""
    write(staged(), tmp_path / "a.zip")
    for path in tree.rglob("*.py"):
        path.chmod(0o600)
        os.utime(path, (1, 1))
    (tree / "functions" / "__pycache__").mkdir()
    (tree / "functions" / "__pycache__" / "main.pyc").write_bytes(b"x")
    write(staged(tree), tmp_path / "b.zip")

    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    assert fingerprint(staged()) == fingerprint(staged(tree))


def test_a_change_of_any_file_changes_the_fingerprint(tree: Path) -> None:
    """A new source is a new name, and so a new deployment."""
    before = fingerprint(staged(tree))
    (tree / "forecaster" / "weights" / "model.json").write_text("{}", encoding="utf-8")

    assert fingerprint(staged(tree)) != before


def test_training_code_and_the_vm_side_stay_out() -> None:
    """Inference, weights and contract go in; training, trainer, CLI and tests do not."""
    names = set(staged())

    assert {"main.py", "requirements.txt", "forecaster/weights/model.safetensors"} <= names
    out = re.compile(r"training|/cli/|/local/|trainer|^tests|lightning|functions/main.py")
    assert [name for name in names if out.search(name)] == []


def test_a_list_that_finds_nothing_is_refused(tree: Path) -> None:
    """A renamed folder must not make a smaller archive in silence."""
    rules = json.loads((tree / LIST).read_text(encoding="utf-8"))
    rules["include"].append("forecaster/renamed/*.py")
    (tree / LIST).write_text(json.dumps(rules), encoding="utf-8")

    with pytest.raises(ArchiveError, match="renamed"):
        staged(tree)


def test_another_tree_than_was_planned_is_refused(tmp_path: Path) -> None:
    """Terraform hands over the fingerprint that it named the object by."""
    command = [sys.executable, str(ROOT / "functions" / "archive.py"), str(tmp_path / "a.zip")]
    done = subprocess.run(  # noqa: S603 - our own program
        [*command, "--expect", "0" * 64], capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert "run terraform apply again" in done.stderr
    assert not (tmp_path / "a.zip").exists()


@pytest.mark.parametrize("target", ["forecast", "stop_vm", "move_vm", "start_vm"])
def test_it_loads_outside_the_repository(tmp_path: Path, target: str) -> None:
    """Each function loads from the archive alone, with nothing but its pinned requirements."""
    write(staged(), tmp_path / "archive.zip")
    source = tmp_path / "source"
    with zipfile.ZipFile(tmp_path / "archive.zip") as archive:
        archive.extractall(source)
    pinned = pins(source / "requirements.txt")
    blocked = [
        module
        for module, owners in packages_distributions().items()
        if not {re.sub(r"[-_.]+", "-", owner).lower() for owner in owners} & pinned
    ]
    environment = {**os.environ, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", LOAD, target, json.dumps(sorted(set(blocked) - OURS))],
        cwd=source,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert all(Path(place).is_relative_to(source) for place in said["places"])
    if target != "forecast":
        assert {"google.cloud.compute_v1", "torch"}.isdisjoint(said["modules"])


def test_no_requirement_brings_a_package_of_our_name() -> None:
    """An installed `functions` would win over the archive's."""
    names = pins(ROOT / "functions" / "requirements.txt")

    assert names.isdisjoint({"functions", "forecaster", "vm-runtime", "vm_runtime"})
    assert "torch" in names


def test_every_pin_has_a_hash() -> None:
    """The builder checks what it installs."""
    text = (ROOT / "functions" / "requirements.txt").read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=[a-z])", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))

    assert blocks
    assert [block for block in blocks if "--hash=sha256:" not in block] == []


def test_torch_is_the_cpu_build_and_brings_no_cuda() -> None:
    """One hash, that of the CPU build's wheel; the default build needs packages of gigabytes."""
    text = (ROOT / "functions" / "requirements.txt").read_text(encoding="utf-8")
    torch = re.search(r"^torch==\S+ (?:\\\n\s+--hash=\S+ ?)+", text, re.MULTILINE)

    assert torch is not None
    assert torch[0].count("--hash=") == 1
    assert not [name for name in pins(ROOT / "functions" / "requirements.txt") if CUDA.match(name)]
    assert names_of(text_of("functions.tf"), r'UV_TORCH_BACKEND\s*= "(\w+)"') == {"cpu"}
