"""Documents as an older version of this software left them, for tests of upgrades."""

import json
from collections.abc import Callable
from typing import Any

from forecaster.series import Forecast
from functions.domain.lifecycle.state import JobState
from functions.domain.plan.document import Plan
from vm_runtime.contract.checkpoint import Latest
from vm_runtime.contract.codec import decode
from vm_runtime.contract.job import Job
from vm_runtime.contract.lease import Lease
from vm_runtime.contract.progress import Progress
from vm_runtime.storage.port import BlobStore

KINDS: tuple[tuple[Callable[[str], bool], type[Any]], ...] = (
    (lambda name: name.endswith("/job.json"), Job),
    (lambda name: name.endswith("/state.json"), JobState),
    (lambda name: "/plans/" in name, Plan),
    (lambda name: name.endswith("/lease.json"), Lease),
    (lambda name: name.endswith("/progress.json"), Progress),
    (lambda name: name.endswith("/LATEST"), Latest),
    (lambda name: name.startswith("forecasts/"), Forecast),
)


FROM_THE_BEGINNING: dict[type[Any], set[str]] = {
    Job: {"allowed_regions", "job_id", "machine_type", "power_w", "submitted_at"},
    JobState: {"job_id"},
    Plan: {
        *("alternatives", "created_at", "deadline", "expected_gco2eq", "forecast_origin"),
        *("forecast_source", "intervals", "job_id", "meets_deadline", "plan_id", "reason"),
        "work_left_h",
    },
    Lease: {"acquired_at", "expires_at", "holder", "incarnation", "job_id"},
    Progress: {"heartbeat_at", "incarnation", "job_id", "state", "vm"},
    Latest: {"checkpoint_id", "incarnation", "step", "updated_at"},
    Forecast: {"model_version", "origin", "source", "zones"},
}
"""What schema version 1 requires; to require more would be another version."""


def as_an_older_version_wrote_it(kind: type[Any], data: bytes) -> bytes:
    """Return the document without what may be left out and says nothing: later fields are such.

    Raises:
        DocumentError: a field that came later may not be left out.
    """
    document, newer = json.loads(data), decode(kind, data, name="newer")
    for name in sorted(document.keys() - FROM_THE_BEGINNING[kind] - {"schema_version"}):
        without = {key: value for key, value in document.items() if key != name}
        if decode(kind, json.dumps(without).encode(), name=f"without {name}") == newer:
            document = without
    return json.dumps(document).encode()


def downgrade(store: BlobStore) -> int:
    """Rewrite all documents of running jobs, as the older version left them; count them."""
    count = 0
    for info in store.list(""):
        kind = next((kind for matches, kind in KINDS if matches(info.name)), None)
        if kind is None:
            continue
        blob = store.read(info.name)
        older = as_an_older_version_wrote_it(kind, blob.data)
        if older != blob.data and not info.name.endswith(("/LATEST", "/lease.json")):
            store.write(info.name, older)
            count += 1
    return count
