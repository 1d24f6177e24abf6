"""How soon a VM trains: Google's startup runner, real pip without downloads, a local bucket."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from figure import Figure
from gce_vm import JOB, Disk, metadata, put_job, why_not

from vm_runtime.contract import object_names
from vm_runtime.storage.files import FileBlobStore

_BOOTS = 3


def boot_figures() -> Iterator[Figure]:
    """Boot to the end of a job of 20 short steps: built, unpacked, and booted again."""
    missing = why_not(needs_runner=False)
    if missing is not None:
        yield Figure(what="boot of a VM to its job's end", ours=f"not measured: {missing}")
        return
    built, unpacked, again = [], [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = FileBlobStore(folder / "bucket")
        put_job(store, folder)
        incarnation = 0

        def boot(disk: str) -> float:
            nonlocal incarnation
            incarnation += 1
            values = metadata(store.url, incarnation)
            seen = Disk(folder / disk).boot(
                values, emulated_bucket=None, with_runner=why_not() is None, timeout_s=300
            )
            assert seen.is_off, seen.startup_log
            store.delete(object_names.latest(JOB))  # the next one has all steps to do
            return seen.off_s

        for turn in range(_BOOTS):
            for info in store.list(object_names.environment_folder(JOB)):
                store.delete(info.name)
            built.append(boot(f"builds-{turn}"))
            unpacked.append(boot(f"unpacks-{turn}"))
            again.append(boot(f"unpacks-{turn}"))
    by_pip = min(built)
    for what, spans in (
        ("fresh VM, environment unpacked", unpacked),
        ("second boot of a VM", again),
    ):
        yield Figure(
            what=f"{what}: startup script to job done",
            ours=f"{min(spans):.1f} s",
            peer=f"built by pip {by_pip:.1f} s",
            ratio=f"{by_pip / min(spans):.1f}",
        )


FIGURES = (boot_figures,)
