"""How the embedded cloud's HTTP API answers with an operation."""

from flask import Response
from pydantic import TypeAdapter

from functions.domain.lifecycle.vm import Operation
from functions.local.vm_states import OperationRecord

OPERATION: TypeAdapter[Operation] = TypeAdapter(Operation)
REQUEST_ID = "request_id"
"""Query parameter of every mutating call."""


def answer(record: OperationRecord) -> Response:
    """Return the operation as the port shows it."""
    return Response(OPERATION.dump_json(record.operation()), mimetype="application/json")
