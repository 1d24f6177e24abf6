"""Nothing in a job's documents leads out of the job: no path, no object, no command."""

import sys
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from control_plane import World
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from memory_blobs import MemoryBlobStore
from pydantic import TypeAdapter, ValidationError
from sample_jobs import job, steps_of

from functions.domain.lifecycle.actions import Owner
from functions.domain.lifecycle.state import JobState
from functions.domain.lifecycle.timing import Timing
from functions.errors import InvalidInputError
from functions.handlers.documents import Documents
from functions.handlers.reconcile import reconcile
from functions.handlers.submit import submit
from functions.wire import WakeUp, WakeUpKind
from vm_runtime.contract import object_names
from vm_runtime.contract.base import JobId, RelativePath
from vm_runtime.contract.checkpoint import CheckpointId
from vm_runtime.contract.codec import encode
from vm_runtime.contract.instance import vm_name
from vm_runtime.script import _as_main
from vm_runtime.storage.names import split_name
from vm_runtime.storage.port import StorageError

HOSTILE = st.sampled_from(
    [
        *("", ".", "..", "../x", "a/../../b", "/etc/passwd", "a//b", "a/./b", "a/", "~", "~root"),
        *("a\0b", "a\n", "a\nb", "\r", "a\tb", "\x1b[2J", "a\x7f", "\u2028", "\u200b", "\ud800"),
        *("\u0430", "\uff0e\uff0e/x", "\u2024\u2024/x", "\u2215etc", "a\u202eb", "C:\\x", "..\\x"),
        *("$(reboot)", "`reboot`", "a;reboot", "a|b", "a&&b", "-rf", "--help", "a b", "a'b", 'a"b'),
        *("%2e%2e%2f", "{}", "%s", "{0}", "*", "?", "a#b", "a" * 41, "a" * 2000, ".locks/x"),
    ]
)
ANYTHING = HOSTILE | st.text(max_size=60)
JOB_ID: TypeAdapter[str] = TypeAdapter(JobId)
PATH: TypeAdapter[str] = TypeAdapter(RelativePath)
CHECKPOINT: TypeAdapter[str] = TypeAdapter(CheckpointId)
SOURCE = object_names.source_folder("digits")


def taken(kind: TypeAdapter[str], text: str) -> bool:
    """Whether a document may hold `text` there."""
    try:
        kind.validate_python(text)
    except ValidationError:
        return False
    return True


@settings(max_examples=150)
@given(text=ANYTHING)
def test_a_job_id_is_a_name_and_no_more(text: str) -> None:
    """What is taken is letters, digits and dashes: one part of a path, a label, a VM's name."""
    if not taken(JOB_ID, text):
        return
    assert set(text) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert split_name(object_names.state(text)) == ["jobs", text, "state.json"]
    assert len(vm_name(text, 10**18)) <= 63


@settings(max_examples=150)
@given(text=ANYTHING)
def test_a_script_stays_in_the_source_folder(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    """Both as a file and as an object."""
    if not taken(PATH, text) or text.startswith(".locks"):
        return
    folder = tmp_path_factory.getbasetemp()
    assert (folder / text).resolve().is_relative_to(folder.resolve())
    assert split_name(SOURCE + text)[:3] == ["jobs", "digits", "source"]
    assert "\0" not in text
    assert "\n" not in text


@settings(max_examples=150)
@given(text=ANYTHING)
def test_a_checkpoint_id_stays_in_its_folder(text: str) -> None:
    """A VM writes it, and VMs run the user's code: the receipt reads no other object."""
    if taken(CHECKPOINT, text):
        assert set(text) <= set("0123456789-")


@pytest.mark.parametrize("text", ["..", "../x", "/etc/passwd", "a\0b", "a\nb", "a//b", "", "."])
def test_the_worst_are_refused(text: str) -> None:
    """The property above must not hold only because nothing was taken."""
    assert not any(taken(kind, text) for kind in (JOB_ID, PATH, CHECKPOINT))
    assert taken(JOB_ID, "digits-1")
    assert taken(PATH, "nets/my model.py")
    assert taken(CHECKPOINT, object_names.checkpoint_id(7, 2) + "-02")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(args=st.lists(ANYTHING.filter(lambda text: "\ud800" not in text), max_size=4))
def test_arguments_reach_the_script_as_they_are(tmp_path: Path, args: list[str]) -> None:
    """They are the script's own, and pass through no shell."""
    script = tmp_path / "train.py"
    with _as_main(script, args, None):
        assert sys.argv == [str(script), *args]


@settings(max_examples=60)
@given(name=HOSTILE)
def test_a_source_file_of_any_name_is_stored_below_the_job_or_refused(name: str) -> None:
    """Nothing of a submission lands beside its own folder."""
    store = MemoryBlobStore()
    one = job()
    with suppress(InvalidInputError, StorageError):
        submit(store, World(), one, {one.script: b"", name: b"evil"})
    written = [info.name for info in store.list("") if store.read(info.name).data == b"evil"]
    assert all(each.startswith(object_names.source_folder(one.job_id)) for each in written)
    assert all(".." not in each.split("/") for each in written)


@pytest.mark.parametrize("plan_id", ["../../other/job", "a\0b"])
def test_a_state_edited_by_hand_harms_neither_other_jobs_nor_the_switch(plan_id: str) -> None:
    """The job is named in the log, its overdue VM is stopped all the same, the others go on."""
    world = World()
    one = job()
    world.submit(one, steps_of(one))
    world.run(lambda: bool(world.guests), at_most_h=30)
    documents = Documents(world.store)
    name = object_names.state(one.job_id)
    state = documents.get(JobState, name)
    world.store.write(name, encode(replace(state, plan_id=plan_id)))
    end = max(vm.interval_end for vm in world.fleet.list())
    late = timedelta(seconds=Timing().force_stop_after_s + 60)
    world.clock.advance((end + late - world.clock.now()).total_seconds())
    assert any(vm.is_alive for vm in world.fleet.list())

    heartbeat = WakeUp(kind=WakeUpKind.HEARTBEAT, sent_at=world.clock.now())
    for _ in range(3):
        reconcile(world.ports, Timing(), Owner.STOP_VM, heartbeat)

    assert not any(vm.is_alive for vm in world.fleet.list())
