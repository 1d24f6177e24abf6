"""What VMs may read and write in the bucket: by the very conditions that Terraform sets."""

import re
from pathlib import Path

import pytest
from infra_files import INFRA, ROOT
from object_rights import vm_may

from vm_runtime.contract import object_names as names

CHECKPOINT = names.checkpoint_id(20, 2)
ITS_OWN = {
    "checkpoint_folder": names.checkpoint_folder("a", CHECKPOINT) + "weights.safetensors",
    "checkpoints_folder": names.checkpoint_folder("a", CHECKPOINT) + "plans/state.json",
    "environment_archive": names.environment_archive("a", "d" * 8, "s" * 8),
    "environment_folder": names.environment_folder("a") + "x.tar.gz",
    "environment_pointer": names.environment_pointer("a"),
    "latest": names.latest("a"),
    "lease": names.lease("a"),
    "ledger_entry": names.ledger_entry("a", 2),
    "manifest": names.manifest("a", CHECKPOINT),
    "metrics": names.metrics("a"),
    "metrics, kept aside": names.metrics("a") + ".1234",
    "progress": names.progress("a"),
}
"""What the runtime writes and reads again, by the function that names it; at any depth."""
READ_ONLY = {
    "job": names.job("a"),
    "source_folder": names.source_folder("a") + "plans/state.json",
    "the runtime": "runtime/smartscheduler-0.1.0-py3-none-any.whl",
}
NEITHER = (
    *(names.state("a"), names.plan("a", "2026-01-01T0000Z"), names.receipt("a"), names.report("a")),
    *(names.open_job("a"), "forecasts/x.json", "intensity/DE/x.json", names.INDEX, names.PRICES),
    *("deploy/functions.zip", "jobs/a", "jobs/lease.json", "x/objects/jobs/a/lease.json"),
    *("jobs/a/plans/checkpoints/x", "jobs/a/plans/x/lease.json", "jobs/a/x/source/train.py"),
)


@pytest.mark.parametrize("name", ITS_OWN.values(), ids=ITS_OWN.keys())
def test_a_vm_reads_and_writes_what_is_its_own(name: str) -> None:
    """All that the runtime writes, whatever a checkpoint's files are called."""
    assert vm_may("reads", name)
    assert vm_may("writes", name)


@pytest.mark.parametrize("name", READ_ONLY.values(), ids=READ_ONLY.keys())
def test_a_vm_reads_what_it_runs_and_cannot_change_it(name: str) -> None:
    """Neither the job, nor its source, nor the wheel that all VMs install."""
    assert vm_may("reads", name)
    assert not vm_may("writes", name)


@pytest.mark.parametrize("name", NEITHER)
def test_the_control_planes_objects_are_closed_to_vms(name: str) -> None:
    """Also to names that only look as if they were a VM's."""
    assert not vm_may("reads", name)
    assert not vm_may("writes", name)


def test_a_vm_does_not_say_how_long_it_was_there() -> None:
    """The control plane books that, and the receipt counts on it."""
    assert not vm_may("writes", names.vm_lifetime("a", 2))


def test_all_that_the_runtime_names_is_tried_here() -> None:
    """A new object that the runtime wants must be in the tables above, and so in the condition."""
    used: set[str] = set()
    for path in Path(ROOT / "vm_runtime").rglob("*.py"):
        used |= set(re.findall(r"object_names\.([a-z_]+)\(", path.read_text(encoding="utf-8")))

    assert used - {"checkpoint_id"} <= ITS_OWN.keys() | READ_ONLY.keys()


def test_conditions_are_within_googles_limit() -> None:
    """At most 12 logical operators in one condition."""
    for what in ("reads", "writes"):
        text = (INFRA / "tests" / f"vm_{what}.cel").read_text(encoding="utf-8")
        assert len(re.findall(r"&&|\|\||!(?!=)", text)) <= 12
