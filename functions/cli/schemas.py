"""`smartscheduler schemas`: JSON Schemas of all documents, generated from their classes."""

import json
from pathlib import Path
from typing import Any

import typer

from forecaster.series import Forecast, IntensityDay
from functions.cli.wake_up_proto import wake_up_proto
from functions.domain.accounting.document import Receipt
from functions.domain.lifecycle.state import JobState
from functions.domain.plan.document import Plan
from functions.domain.plan.prices import PriceTable
from functions.wire import WakeUp
from vm_runtime.contract.checkpoint import CheckpointManifest, Latest
from vm_runtime.contract.codec import json_schema
from vm_runtime.contract.job import Job
from vm_runtime.contract.lease import Lease
from vm_runtime.contract.ledger import LedgerEntry, VmLifetime
from vm_runtime.contract.progress import Progress

DOCUMENTS: dict[str, type[Any]] = {
    "checkpoint_manifest": CheckpointManifest,
    "forecast": Forecast,
    "intensity_day": IntensityDay,
    "job": Job,
    "job_state": JobState,
    "latest": Latest,
    "lease": Lease,
    "ledger_entry": LedgerEntry,
    "plan": Plan,
    "prices": PriceTable,
    "progress": Progress,
    "receipt": Receipt,
    "vm_lifetime": VmLifetime,
    "wake_up": WakeUp,
}
"""Every document and message that has a `schema_version`, by the name of its schema's file."""

PROTO = Path("infra/wake_up.proto")
"""Where Terraform reads the schema of the topic from."""


def write_schemas(out: Path) -> None:
    """Write the JSON Schema of every document, and the topic's schema where it is kept."""
    out.mkdir(parents=True, exist_ok=True)
    for name, text in schema_files().items():
        (out / name).write_text(text, encoding="utf-8")
    typer.echo(f"Wrote {len(DOCUMENTS)} schemas to {out}")
    if PROTO.parent.is_dir():
        PROTO.write_text(wake_up_proto(), encoding="utf-8")
        typer.echo(f"Wrote {PROTO}")


def schema_files() -> dict[str, str]:
    """Return the text of each schema by its file's name."""
    return {
        f"{name}.schema.json": _text(json_schema(kind), name) for name, kind in DOCUMENTS.items()
    }


def _text(schema: dict[str, Any], name: str) -> str:
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{name}.schema.json",
    } | schema
    return json.dumps(whole, indent=2, sort_keys=True) + "\n"
