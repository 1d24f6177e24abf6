"""The schema of messages on the topic as Pub/Sub wants it: protocol buffers, from the class.

Pub/Sub checks each JSON message against it. Only names and types count, not the numbers.
"""

from typing import Any

from functions.errors import InvalidInputError
from functions.wire import WakeUp
from vm_runtime.contract.codec import json_schema

_SCALARS = {"boolean": "bool", "integer": "int64", "number": "double", "string": "string"}
_HEAD = """\
// Made by `smartscheduler schemas` from functions/wire.py; do not edit.
syntax = "proto3";
"""


def wake_up_proto() -> str:
    """Return the text of the schema; one message at the top, the others nested in it.

    Raises:
        InvalidInputError: the class has a type that protocol buffers cannot say.
    """
    schema = json_schema(WakeUp)
    kinds: dict[str, Any] = schema.get("$defs", {})
    nested = [
        "\n".join(f"  {line}" for line in _message(name, kind, kinds))
        for name, kind in sorted(kinds.items())
        if kind.get("type") == "object"
    ]
    lines = _message("WakeUp", schema, kinds)
    return "\n".join([_HEAD, lines[0], *nested, *lines[1:]]) + "\n"


def _message(name: str, schema: dict[str, Any], kinds: dict[str, Any]) -> list[str]:
    fields = [
        f"  {_type(schema, kinds, f'{name}.{field}')} {field} = {number};"
        for number, (field, schema) in enumerate(sorted(schema["properties"].items()), start=1)
    ]
    return [f"message {name} {{", *fields, "}"]


def _type(schema: dict[str, Any], kinds: dict[str, Any], where: str) -> str:
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return name if kinds[name].get("type") == "object" else _type(kinds[name], kinds, where)
    options = [each for each in schema.get("anyOf", []) if each.get("type") != "null"]
    if len(options) == 1:
        return _type(options[0], kinds, where)
    kind = schema.get("type")
    if kind in _SCALARS:
        return _SCALARS[kind]
    if kind == "array" and "items" in schema:
        return f"repeated {_type(schema['items'], kinds, where)}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"map<string, {_type(schema['additionalProperties'], kinds, where)}>"
    raise InvalidInputError(
        f"{where}: expected a type that protocol buffers know, found {schema}. Choose another."
    )
