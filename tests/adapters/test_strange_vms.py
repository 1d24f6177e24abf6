"""What strangers do to VMs, templates and rights: each is named, and other jobs go on."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from compute_control import HERE, Control, planned
from compute_harness import connected
from compute_rules import PROJECT, TEMPLATE
from google.cloud import compute_v1 as gce

from functions.domain.lifecycle.state import JobState, Phase
from functions.handlers.documents import Documents
from functions.wire import WakeUpKind
from vm_runtime.contract import object_names

MANAGED = {"managed-by": "smartscheduler"}


@pytest.fixture
def control() -> Iterator[Control]:
    """Two jobs that are to start in Frankfurt now."""
    with connected() as cloud:
        control = Control(cloud)
        planned(control.store)
        planned(control.store, "other")
        yield control


def stranger(control: Control, name: str, **labels: str) -> gce.Instance:
    """Make a VM as somebody else in the project would; return it as it is."""
    metadata = gce.Metadata(items=[gce.Items(key="owner", value="data team")])
    request = gce.InsertInstanceRequest(
        project=PROJECT,
        zone=HERE,
        source_instance_template=TEMPLATE,
        instance_resource=gce.Instance(
            name=name,
            machine_type=f"zones/{HERE}/machineTypes/e2-small",
            labels=labels,
            metadata=metadata,
        ),
    )
    control.cloud.model.insert(request)
    control.cloud.model.clock.move(300)
    control.cloud.model.settle()
    return gce.Instance(control.cloud.model.machine(name))


def is_untouched(control: Control, theirs: gce.Instance) -> bool:
    """Whether it runs, with what its owner gave it."""
    now = control.cloud.model.machine(theirs.name)
    same = (now.id, now.labels, now.metadata) == (theirs.id, theirs.labels, theirs.metadata)
    return same and now.status == "RUNNING"


def beats(control: Control, count: int = 4) -> None:
    """Let heartbeats come, one each five minutes."""
    for _ in range(count):
        control.wake(WakeUpKind.HEARTBEAT)
        control.at(control.cloud.model.clock.now() + timedelta(minutes=5))


def running(control: Control) -> set[str]:
    """Return the names of our VMs that are up."""
    return {vm.name for vm in control.cloud.fleet.list() if vm.is_alive}


def state(control: Control, job_id: str = "digits") -> JobState:
    """Return the job's state."""
    return Documents(control.store).get(JobState, object_names.state(job_id))


def told(caplog: pytest.LogCaptureFixture, event: str) -> str:
    """Return what the log says under that event."""
    lines = [each.getMessage() for each in caplog.records if getattr(each, "event", "") == event]
    assert lines, f"no line {event}"
    return "\n".join(lines)


def test_a_vm_of_the_right_name_without_our_labels_is_left_alone(
    control: Control, caplog: pytest.LogCaptureFixture
) -> None:
    """The job takes its next name; the line has the command for the case that nobody needs it."""
    theirs = stranger(control, "ss-digits-1", team="data")

    beats(control)

    assert is_untouched(control, theirs)
    assert running(control) == {"ss-digits-2", "ss-other-1"}
    expected = f"gcloud compute instances delete ss-digits-1 --zone {HERE}"
    assert expected in told(caplog, "name_taken")


@pytest.mark.parametrize(
    "labels",
    [{}, {"job": "digits", "incarnation": "seven"}, {"job": "digits", "incarnation": "1"}],
    ids=["alone", "malformed", "a job of ours"],
)
def test_our_label_set_by_somebody_else_makes_no_vm_ours(
    control: Control, caplog: pytest.LogCaptureFixture, labels: dict[str, str]
) -> None:
    """It is named at each look and left as it is, also when its supposed interval is long over."""
    theirs = stranger(control, "their-database", **MANAGED, **labels)

    beats(control, 20)

    assert is_untouched(control, theirs)
    line = told(caplog, "vm_unreadable")
    assert "their-database" in line
    assert "mend the label or metadata, or delete it: gcloud compute instances delete" in line
    assert {state(control, each).incarnation >= 1 for each in ("digits", "other")} == {True}


def test_a_template_that_was_deleted_stops_no_vm_that_runs(
    control: Control, caplog: pytest.LogCaptureFixture
) -> None:
    """The job that needs it waits with a line that says what to do, and starts once it is back."""
    control.store.delete(object_names.open_job("digits"))
    beats(control, 1)
    assert running(control) == {"ss-other-1"}
    model = control.cloud.model
    template = model.templates.pop("trainer-1")
    planned(control.store, "digits")

    beats(control, 3)
    assert running(control) == {"ss-other-1"}
    assert state(control).phase is Phase.ACTIVE
    # The first time, too, when the template that was read earlier is still believed in.
    assert "Apply Terraform" in told(caplog, "insert_refused").splitlines()[0]

    model.templates["trainer-1"] = template
    for _ in range(18):
        beats(control, 1)
        if any(name.startswith("ss-digits-") for name in running(control)):
            return
    raise AssertionError(f"no VM with the template back: {state(control)}")


def test_an_account_without_rights_fails_its_job_and_says_which(
    control: Control, caplog: pytest.LogCaptureFixture
) -> None:
    """No right, no use in trying again: the job says what to grant; the other one starts."""
    control.cloud.meet("insert", 403, "forbidden")

    beats(control, 2)

    failed, other = state(control), state(control, "other")
    assert (failed.phase, other.phase) == (Phase.FAILED, Phase.ACTIVE)
    assert "compute.instances.create" in failed.message
    assert "compute.instances.create" in told(caplog, "right_missing")
    assert running(control) == {"ss-other-1"}
