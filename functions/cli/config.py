"""Where options come from: flag, environment, ./smartscheduler.toml, then the user's own file.

Loads no part of the product, and reads files only when a command needs a value.
"""

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from functions.errors import InvalidInputError
from functions.near_name import did_you_mean

KEYS: Mapping[str, str] = {
    "bucket": "gs://NAME or file:///FOLDER: where jobs are kept",
    "project": "id of the Google Cloud project",
    "location": "region of functions and Cloud Scheduler, such as europe-west1",
}
"""What a file may set, by the name of the option."""

PREFIX = "SMARTSCHEDULER_"
HERE = "smartscheduler.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """What a key is set to, and by what."""

    key: str
    value: str | None
    origin: str
    """Such as `environment SMARTSCHEDULER_BUCKET`; `not set`."""


def config_files() -> tuple[Path, ...]:
    """Return where settings may be, the one that wins first; they need not exist."""
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(HERE), Path(home) / "smartscheduler" / "config.toml"


def value_of(key: str) -> Value:
    """Return the value of `key` without a flag.

    Raises:
        InvalidInputError: a file is no TOML, or has a key or value that is not known.
    """
    variable = f"{PREFIX}{key.upper()}"
    if os.environ.get(variable):
        return Value(key=key, value=os.environ[variable], origin=f"environment {variable}")
    for file in config_files():
        found = read_config(file).get(key)
        if found is not None:
            return Value(key=key, value=found, origin=f"file {file}")
    return Value(key=key, value=None, origin="not set")


def read_config(file: Path) -> dict[str, str]:
    """Return what `file` sets; nothing if there is none.

    Raises:
        InvalidInputError: it cannot be read, is no TOML, or has a key or value that is not known.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(
            f"{file}: expected settings as TOML in UTF-8, found {error}. Mend or remove the file."
        ) from error
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInputError(
            f'{file}: expected TOML such as bucket = "gs://NAME", found something else: {error}.'
            " Mend or remove the file."
        ) from error
    return dict(_checked(found, file))


def _checked(found: Mapping[str, Any], file: Path) -> Iterator[tuple[str, str]]:
    for key, value in found.items():
        if key not in KEYS:
            raise InvalidInputError(
                f"{file}: expected some of the keys {', '.join(KEYS)}, found {key!r}"
                f"{did_you_mean(key, KEYS)}. Mend the file."
            )
        if not isinstance(value, str) or not value:
            raise InvalidInputError(
                f"{file}: expected a text in quotes for {key} ({KEYS[key]}), found {value!r}."
                " Mend the file."
            )
        yield key, value


class FileDefaults(dict[str, Any]):
    """Defaults from the files for all commands, as click asks for them: first by command."""

    def get(self, name: str, default: Any = None) -> Any:  # noqa: ANN401, ARG002 - as a dict has it
        """Return the defaults of the options of a command."""
        return _OptionDefaults()


class _OptionDefaults(dict[str, Any]):
    """Defaults of the options of one command."""

    def get(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - as a dict has it
        """Return what reads the value when it is needed: `--help` works with a broken file."""
        return (lambda: _from_files(name)) if name in KEYS else default


def _from_files(key: str) -> str | None:
    found = (read_config(file).get(key) for file in config_files())
    return next((value for value in found if value is not None), None)
