"""`python -m vm_runtime.environment`: names a VM's Python environment and keeps it in the bucket.

`digest` is called by startup.sh from within the wheel, before anything is installed: at the top of
this module only the standard library may be imported. `publish` runs in the environment itself.
"""

import argparse
import hashlib
import importlib.metadata
import json
import platform
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

_FORMAT = 1
"""Counts up when what is stored changes its form."""
_CHUNK = 2**20
_COMPRESSION = 1
"""Of gzip: a higher level takes longer than the download that it shortens."""


def digest(*, home: Path, wheel: Path, requirements: Path) -> str:
    """Return what an environment depends on, as a SHA-256: equal digest, exchangeable environment.

    That is this interpreter and what it has installed (the environment sees it), the machine, the
    folder (scripts hold it), the wheel and the requirements.

    Args:
        home: the folder of the environment.
        wheel: the runtime.
        requirements: the user's requirements.txt.
    """
    seen = sorted(
        f"{distribution.name}=={distribution.version}"
        for distribution in importlib.metadata.distributions()
    )
    facts = {
        "format": _FORMAT,
        "python": [sys.version, sys.implementation.name, sys.base_prefix],
        "machine": [platform.machine(), *platform.libc_ver()],
        "home": str(home),
        "image": seen,
        "wheel": [wheel.name, _sha256(wheel)],
        "requirements": _sha256(requirements),
    }
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def publish(*, bucket_url: str, job_id: str, home: Path, digest_: str) -> str:
    """Store the environment for the job's next VMs and return the archive's name.

    The archive is named after its content and LATEST is written last: a reader finds a whole
    one, or none, whoever else publishes or dies at the same time.

    Args:
        bucket_url: `gs://NAME` or `file:///PATH`.
        job_id: whose VMs may use it: no job's code can change another job's environment.
        home: the folder that holds `venv`.
        digest_: what `digest` returned for it.

    Raises:
        StorageError: the bucket did not take it.
        OSError: no room for the archive.
    """
    from vm_runtime.contract import object_names  # noqa: PLC0415 - not for `digest`
    from vm_runtime.storage import open_store  # noqa: PLC0415 - same

    store = open_store(bucket_url)
    with tempfile.TemporaryDirectory(dir=home, prefix="publish-") as folder:
        archive = Path(folder) / "environment.tar.gz"
        with tarfile.open(archive, "w:gz", compresslevel=_COMPRESSION) as tar:
            tar.add(home / "venv", arcname="venv")
        sha256 = _sha256(archive)
        name = object_names.environment_archive(job_id, digest_, sha256)
        with archive.open("rb") as packed:
            store.upload(name, partial(shutil.copyfileobj, packed))
    pointer = object_names.environment_pointer(job_id)
    store.write(pointer, f"{digest_} {sha256}\n".encode())
    for info in store.list(object_names.environment_folder(job_id)):
        if info.name not in {name, pointer}:
            store.delete(info.name)
    return name


def _sha256(file: Path) -> str:
    sha256 = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            sha256.update(chunk)
    return sha256.hexdigest()


def _log(severity: str, event: str, message: str) -> None:
    """Write a line as `json_log` does, which may not be installed yet."""
    line = {"severity": severity, "message": message, "event": event, "logger": __name__}
    sys.stdout.write(json.dumps(line) + "\n")


def main(argv: Sequence[str]) -> int:
    """Do what the arguments ask for and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m vm_runtime.environment")
    commands = parser.add_subparsers(dest="command", required=True)
    named = commands.add_parser("digest", help="print what the environment depends on, as a hash")
    for option in ("--home", "--wheel", "--requirements"):
        named.add_argument(option, type=Path, required=True)
    stored = commands.add_parser("publish", help="store the environment for the job's next VMs")
    stored.add_argument("--home", type=Path, required=True)
    for option in ("--bucket", "--job", "--digest"):
        stored.add_argument(option, required=True)
    options = parser.parse_args(argv)
    if options.command == "digest":
        found = digest(home=options.home, wheel=options.wheel, requirements=options.requirements)
        sys.stdout.write(f"{found}\n")
        return 0
    try:
        name = publish(
            bucket_url=options.bucket,
            job_id=options.job,
            home=options.home,
            digest_=options.digest,
        )
    except Exception as error:  # noqa: BLE001 - the entry point: training goes on without it
        _log("WARNING", "environment_not_stored", f"{type(error).__name__}: {error}")
        return 1
    _log("INFO", "environment_stored", f"the environment is stored as {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
