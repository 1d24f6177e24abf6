"""Documents to and from JSON bytes, with one clear error for all that is wrong."""

from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from vm_runtime.contract.base import SCHEMA_VERSION

T = TypeVar("T")


class DocumentError(ValueError):
    """A document could not be read; the message says where, what was expected and found."""


class UnknownSchemaVersionError(DocumentError):
    """A document was written by another version of this software."""


_adapters: dict[type[Any], TypeAdapter[Any]] = {}


def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    """Return the validator of `kind`, built once: building costs far more than using it."""
    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]


def encode(document: object) -> bytes:
    """Return `document` as indented JSON: people read these objects in the console."""
    return _adapter(type(document)).dump_json(document, indent=2)


def decode(kind: type[T], data: bytes, *, name: str) -> T:
    """Return the document in `data`.

    Args:
        kind: the document's class.
        data: JSON, UTF-8.
        name: where it came from, for the message.

    Raises:
        UnknownSchemaVersionError: `schema_version` is not the one this software writes.
        DocumentError: not JSON, or fields missing, unknown or out of range (all of them named).
    """
    try:
        raw = from_json(data)
    except ValueError as error:
        message = f"{name}: expected JSON, found {data[:60]!r} ({error}). Write it anew."
        raise DocumentError(message) from error
    if isinstance(raw, dict):
        _check_version(raw.get("schema_version"), name)
    try:
        return cast("T", _adapter(kind).validate_json(data))
    except ValidationError as error:
        raise DocumentError(f"{name}: {explain(error)}") from error


def _check_version(found: object, name: str) -> None:
    if found == SCHEMA_VERSION:
        return
    message = (
        f"{name}: expected schema_version {SCHEMA_VERSION}, found {found!r}."
        " Update SmartScheduler on the side that is older; the document was left as it is."
    )
    raise UnknownSchemaVersionError(message)


def explain(error: ValidationError) -> str:
    """Return every problem of `error` in one line each: field, what is wrong, what was found."""
    lines = []
    for item in error.errors(include_url=False, include_context=False):
        where = ".".join(map(str, item["loc"]))
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "value_error" and "found" in message:
            # A rule of our own over several fields: it names them, and what was found.
            lines.append(f"{where}: {message}" if where else message)
            continue
        found = "nothing" if item["type"].startswith("missing") else repr(item["input"])[:80]
        lines.append(f"{where or 'document'}: {item['msg']}, found {found}")
    return f"{len(lines)} problem(s): " + "; ".join(lines)


def json_schema(kind: type[Any]) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a document's class."""
    return _adapter(kind).json_schema()
