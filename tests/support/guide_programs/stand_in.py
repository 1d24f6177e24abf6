#!/usr/bin/env python3
"""Stands in for a program of the guides that a test cannot let act; refuses what cannot be meant.

Called by the name of the program. Of our own commands only those in `PARSED` are held back, and
even they are parsed; everything else is handed to the real program.
"""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NoReturn

ROOT = Path(os.environ["GUIDE_ROOT"])
PYTHON = os.environ["GUIDE_PYTHON"]
PARSED = {
    "smartscheduler demo": "a minute and more; tests/cli and `make demo` run it",
    "smartscheduler doctor": "asks Google; tests/cli runs it against stand-ins",
    "smartscheduler local": "hours, or a minute and more; tests/cli/test_local_runs.py runs it",
    "smartscheduler purge": "acts on an account; tests/cli runs it against stand-ins",
    "smartscheduler simulate --history history --study": "minutes; tests/cli does small ones",
    "smartscheduler sources": "asks the real sources; tests/cli runs it against stand-ins",
    "python -m forecaster backtest --data history --artifact": "minutes; tests/forecaster does it",
    "python -m forecaster robustness": "minutes; tests/forecaster does it",
    "python -m forecaster train": "minutes; tests/forecaster trains small ones",
}
"""Commands that are parsed but not run, and why."""

GCLOUD = {
    "auth application-default login",
    "config set project",
    "projects create",
    "scheduler jobs run",
    "secrets versions add",
    "storage buckets add-iam-policy-binding",
    "storage cp",
    "storage ls",
}


def refuse(message: str) -> NoReturn:
    """Fail as a program does."""
    sys.exit(f"{Path(sys.argv[0]).name}: {message}")


def terraform(arguments: list[str]) -> None:
    """Accept commands whose variables and outputs exist."""
    words = [word for word in arguments if not word.startswith("-")]
    text = "".join(path.read_text() for path in (ROOT / "infra").glob("*.tf"))
    for word in words:
        name, is_assigned, _ = word.partition("=")
        if is_assigned and f'variable "{name}"' not in text:
            refuse(f"no variable {name} in infra/")
    command = words[0] if words else refuse("no command")
    if command not in {"init", "apply", "destroy", "output"}:
        refuse(f"{command} is not known here")
    if command == "output" and len(words) > 1:
        if f'output "{words[1]}"' not in text:
            refuse(f"no output {words[1]} in infra/")
        sys.stdout.write(os.environ["GUIDE_BUCKET"] if words[1] == "bucket" else words[1])


def make(arguments: list[str]) -> None:
    """Accept targets that the Makefile knows."""
    subprocess.run(  # noqa: S603 - it only prints what it would do
        ["/usr/bin/env", "make", "-C", ROOT, "-n", *arguments],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PATH": os.defpath},
    )


def pip(arguments: list[str]) -> None:
    """Accept this project with extras that it has, and its own libraries."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    known = str([project["dependencies"], project["optional-dependencies"]])
    for word in arguments[1:]:
        own = re.fullmatch(r"(?:\.|smartscheduler|git\+\S+)(?:\[([\w,-]+)\])?", word)
        if own is None and not word.startswith("-") and word not in known + "torchvision":
            refuse(f"{word} is no dependency of this project")
        for extra in (own[1] or "").split(",") if own else ():
            if extra and extra not in project["optional-dependencies"]:
                refuse(f"{extra} is no extra of this project")


def gcloud(arguments: list[str]) -> None:
    """Accept commands that are known to exist."""
    line = " ".join(arguments)
    if not any(line.startswith(known) for known in GCLOUD):
        refuse(f"{line} is not known here")


def git(arguments: list[str]) -> None:
    """Accept what gets or renews a clone."""
    if arguments[0] not in {"clone", "pull"}:
        refuse(f"{arguments[0]} is not known here")


def ours(name: str, arguments: list[str]) -> NoReturn:
    """Run the real program, or only parse what may not run here."""
    line = " ".join([name, *arguments])
    held = [prefix for prefix in PARSED if line == prefix or line.startswith(f"{prefix} ")]
    if not held:
        program = PYTHON if name == "python" else str(Path(PYTHON).parent / name)
        os.execv(program, [program, *arguments])  # noqa: S606  a stand-in hands over
    module = "forecaster.cli" if name == "python" else "functions.cli"
    command, *rest = arguments[2:] if name == "python" else arguments
    code = (
        f"import sys, typer.main; from {module} import app; group = typer.main.get_group(app);"
        "command = group.commands[sys.argv[1]]; command.make_context(sys.argv[1], sys.argv[2:])"
    )
    os.execv(PYTHON, [PYTHON, "-c", code, command, *rest])  # noqa: S606  same


def main() -> None:
    """Be the program by whose name this was called."""
    name, arguments = Path(sys.argv[0]).name, sys.argv[1:]
    if name in {"python", "smartscheduler"}:
        ours(name, arguments)
    {"gcloud": gcloud, "git": git, "make": make, "pip": pip, "terraform": terraform}[name](
        arguments
    )


if __name__ == "__main__":
    main()
