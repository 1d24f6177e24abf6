"""The examples run as they are."""

import importlib.util
import sys
from pathlib import Path

import pytest
from fake_session import FakeSession
from idx_files import write_digits_as_mnist
from memory_blobs import MemoryBlobStore

from vm_runtime.examples import digits, mnist
from vm_runtime.session import enter_session


def test_digits_learns() -> None:
    """Three epochs on real digits already read nine of ten images of others right."""
    outcome = digits.train(epochs=3, batch_size=32)

    assert outcome.finished
    assert outcome.step == 135
    assert outcome.metrics["val_accuracy"] > 0.9


def test_digits_trains_and_validates_on_different_images() -> None:
    """No image is in both sets, and together they are all 1,797."""
    assert len(digits.Digits(train=True)) + len(digits.Digits(train=False)) == 1797


def test_digits_stops_and_goes_on_in_a_job() -> None:
    """Interrupted in its first epoch, the example ends like an undisturbed run."""
    alone = digits.train(epochs=1, batch_size=128)
    store = MemoryBlobStore()
    for incarnation, look in enumerate([4, None], start=1):
        enter_session(FakeSession(store, incarnation=incarnation, stop_at_look=look))
        try:
            outcome = digits.train(epochs=1, batch_size=128)
        finally:
            enter_session(None)

    assert outcome == alone


@pytest.mark.parametrize("example", [digits, mnist])
def test_help_explains_the_options(
    example: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--help` works without data."""
    monkeypatch.setattr(sys, "argv", ["example.py", "--help"])
    with pytest.raises(SystemExit) as stop:
        example.main()  # type: ignore[attr-defined]

    assert stop.value.code == 0
    assert "--epochs" in capsys.readouterr().out


def test_mnist_learns_from_idx_files(tmp_path: Path) -> None:
    """The files have MNIST's form and hold scikit-learn's digits, enlarged to 28 x 28."""
    write_digits_as_mnist(tmp_path)
    outcome = mnist.train(epochs=2, batch_size=64, workers=0, folder=str(tmp_path))

    assert outcome.finished
    assert outcome.step == 46
    assert outcome.metrics["val_accuracy"] > 0.8


def test_mnist_refuses_a_file_that_is_cut(tmp_path: Path) -> None:
    """A download that was interrupted is named."""
    write_digits_as_mnist(tmp_path)
    path = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    for data in (path.read_bytes()[:-1], b"", b"<html>no such file</html>"):
        path.write_bytes(data)
        with pytest.raises(SystemExit, match=r"train-images-idx3-ubyte: expected a whole IDX file"):
            mnist.load(str(tmp_path), train=True)


@pytest.mark.skipif(
    importlib.util.find_spec("torchvision") is not None, reason="torchvision is installed"
)
def test_mnist_says_what_it_needs(tmp_path: Path) -> None:
    """With neither the files nor torchvision the example says how to get them."""
    with pytest.raises(SystemExit, match="pip install torchvision"):
        mnist.load(str(tmp_path), train=True)
