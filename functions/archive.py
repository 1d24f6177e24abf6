"""Stages the source of the four functions as one zip: the same bytes for the same tree.

    python3 functions/archive.py TARGET.zip [--expect FINGERPRINT]

Standard library only, since `terraform apply` runs it where nothing is installed. What goes in
is said by `archive.json`, which Terraform reads too: it works out the same fingerprint at plan
time, so that the object's name can carry it, and hands it over to be checked.
"""

import argparse
import hashlib
import json
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIST = "functions/archive.json"
STAMP = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can say."""


class ArchiveError(ValueError):
    """The tree is not what was expected; the message says what to do."""


def staged(root: Path = ROOT) -> dict[str, Path]:
    """Return the files by their name in the archive, sorted by it.

    Raises:
        ArchiveError: a pattern or a renamed file finds nothing.
    """
    rules = json.loads((root / LIST).read_text(encoding="utf-8"))
    excluded = {path for pattern in rules["exclude"] for path in _found(root, pattern)}
    files: dict[str, Path] = {}
    for pattern in rules["include"]:
        found = _found(root, pattern)
        if not found:
            raise ArchiveError(f"{LIST}: expected files for {pattern}, found none. Mend the list.")
        files |= {path.relative_to(root).as_posix(): path for path in found - excluded}
    for name, wanted in rules["rename"].items():
        if name not in files:
            raise ArchiveError(f"{LIST}: expected {name} to be included, found it left out.")
        files[wanted] = files.pop(name)
    return dict(sorted(files.items()))


def fingerprint(files: dict[str, Path]) -> str:
    """Return the SHA-256 over names and contents, hex; `infra/archive.tf` works it out likewise."""
    lines = [
        f"{name}:{hashlib.sha256(path.read_bytes()).hexdigest()}" for name, path in files.items()
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def write(files: dict[str, Path], target: Path) -> None:
    """Write the zip: sorted, without times, readable by all, and stored, as deflate may differ."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
        for name, path in files.items():
            info = zipfile.ZipInfo(name, date_time=STAMP)
            info.external_attr = 0o100644 << 16
            archive.writestr(info, path.read_bytes())
    part.replace(target)


def _found(root: Path, pattern: str) -> set[Path]:
    # `**` at the end means all files below here, as it does to Terraform.
    pattern = f"{pattern}/*" if pattern.endswith("**") else pattern
    return {path for path in root.glob(pattern) if path.is_file()}


def main() -> None:
    """Write the archive and print its fingerprint and size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("target", type=Path, metavar="TARGET.zip", help="file to write")
    parser.add_argument("--expect", default="", metavar="FINGERPRINT", help="refuse another tree")
    options = parser.parse_args()
    try:
        files = staged()
    except ArchiveError as error:
        sys.exit(str(error))
    found = fingerprint(files)
    if options.expect not in {"", found}:
        sys.exit(
            f"expected a tree with the fingerprint {options.expect}, found {found}."
            " A file changed between plan and apply: run terraform apply again."
        )
    write(files, options.target)
    sys.stdout.write(f"{found} {options.target.stat().st_size} bytes, {len(files)} files\n")


if __name__ == "__main__":
    main()
