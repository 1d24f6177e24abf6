"""The speed of the bucket on files."""

import tempfile
from pathlib import Path

from figure import Figure, median_s

from vm_runtime.storage.files import FileBlobStore


def store_figure() -> Figure:
    """Compare-and-swap of a small object, synced to disk."""
    with tempfile.TemporaryDirectory() as folder:
        store = FileBlobStore(Path(folder))
        generation = store.write("state.json", b"0")

        def swap() -> None:
            nonlocal generation
            generation = store.write("state.json", b"1", if_generation=generation)

        span = median_s(swap, times=200)
    return Figure(what="compare-and-swap, file store", ours=f"{1000 * span:.2f} ms")


FIGURES = (store_figure,)
