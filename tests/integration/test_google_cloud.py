"""The real functions, Google's real clients and the real runtime, together as in the cloud."""

import re
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise

import google_site
import pubsub_emulator
import pytest
import requests
from account_metadata import TOKEN
from electricity_maps_server import KEY
from google_site import ATTEMPTS, DEAD_LETTERS, TOPIC, GoogleSite

from functions.domain.lifecycle.state import Phase
from functions.wire import WakeUp, WakeUpKind, encode_wake_up
from vm_runtime.contract import object_names
from vm_runtime.contract.checkpoint import Latest
from vm_runtime.contract.job import KeepDisk
from vm_runtime.contract.ledger import LedgerEntry, SegmentKind
from vm_runtime.contract.progress import Progress, RunState

pytestmark = [
    pytest.mark.skipif(google_site.why_not() is not None, reason=google_site.why_not() or ""),
    pytest.mark.timeout(1800),
]

STEPS = ("stop_vm", "move_vm", "start_vm")


MOVER = ("europe-west3", "europe-west9")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoogleSite]:
    """One deployment with three jobs under way, each of which has met its trouble.

    `mover` trains where it has become dirty, `spot` is preempted, and `stocked` has no capacity
    where it is planned; it has a data disk.
    """
    with google_site.google_site(tmp_path_factory.mktemp("site")) as site:
        site.grid.set("DE", 30)
        site.grid.set("FR", 500)
        site.model.faults.stock_outs.add("europe-west2-b")
        site.submit("mover", steps=1000, hold_at=200, region=MOVER[0], allowed_regions=MOVER)
        site.submit("spot", steps=250, hold_at=50, region="europe-southwest1")
        disk = KeepDisk(size_gb=100)
        site.submit("stocked", steps=100, hold_at=0, region="europe-west2", keep_disk=disk)
        site.release("stocked")
        site.tick()
        make_dirty_and_await_move(site)
        preempt_and_await_successor(site)
        yield site


def make_dirty_and_await_move(site: GoogleSite) -> None:
    """Let the place where `mover` trains become dirty, and its VM be made elsewhere."""

    def is_moving() -> bool:
        return any(zone.startswith(MOVER[1]) for zone in site.vms("mover").values())

    site.wait(lambda: trainer_of(site, "mover", at_step=200), "mover to train")
    site.put_off("mover", timedelta(hours=4))  # else it had no time left to move
    site.grid.set("DE", 900)
    site.grid.set("FR", 20)
    site.wait(is_moving, "a VM of mover where it is clean")
    site.release("mover")


def preempt_and_await_successor(site: GoogleSite) -> None:
    """Take away the VM that trains `spot`, and let it go on once another is to follow.

    Mostly that is the same VM, started again.
    """
    site.wait(lambda: trainer_of(site, "spot", at_step=50), "spot to train")
    before = site.state("spot").incarnation
    site.guests.preempt(trainer_of(site, "spot", at_step=50))
    site.wait(lambda: site.state("spot").incarnation > before, "the successor of spot's VM")
    site.release("spot")


def trainer_of(site: GoogleSite, job_id: str, *, at_step: int) -> str:
    """Return the VM that trains the job and has come so far; empty: none."""
    progress = site.documents.peek(Progress, object_names.progress(job_id))
    if progress is None or progress.state is not RunState.TRAINING or progress.steps_done < at_step:
        return ""
    return progress.vm if progress.vm in site.vms(job_id) else ""


def ledger(site: GoogleSite, job_id: str) -> list[LedgerEntry]:
    """Return what every VM of a job booked, by incarnation."""
    names = site.documents.names(object_names.ledger_folder(job_id))
    own = [name for name in names if not name.endswith("-vm.json")]
    return [site.documents.get(LedgerEntry, name) for name in own]


def logs_of(site: GoogleSite, job_id: str) -> list[str]:
    """Return what each VM of a job said, in their order."""
    files = site.folder.glob(f"ss-{job_id}-*.log")
    by_incarnation = sorted(files, key=lambda file: int(file.stem.rpartition("-")[2]))
    return [file.read_text() for file in by_incarnation]


def check_finished(site: GoogleSite, job_id: str, *, steps: int) -> None:
    """Wait for the end of a job, and check what can be seen of it from outside."""
    site.wait(lambda: site.state(job_id).phase.is_final, f"the end of {job_id}")
    state = site.state(job_id)
    assert state.phase is Phase.FINISHED, f"{state.message}\n{site.logs(1500)}"
    latest = site.documents.get(Latest, object_names.latest(job_id))
    assert (latest.step, latest.finished) == (steps, True)
    spans = sorted(
        (segment.start, segment.end, entry.vm)
        for entry in ledger(site, job_id)
        for segment in entry.segments
        if segment.kind is SegmentKind.TRAIN
    )
    for (_, end, before), (start, _, after) in pairwise(spans):
        assert end <= start or before == after, f"{before} and {after} trained at once"
    site.wait(lambda: not site.vms(job_id), f"the VMs of {job_id} to be removed")
    site.wait(
        lambda: site.documents.names(object_names.receipt(job_id)), f"the receipt of {job_id}"
    )


def test_a_job_is_planned_made_moved_finished_and_billed(site: GoogleSite) -> None:
    """From the tick to the receipt, over two regions, because the first one turned dirty.

    Mostly the target takes over from the source; on a busy machine the source's interval may end
    before, and the job starts anew in the clean place.
    """
    check_finished(site, "mover", steps=1000)

    regions = [entry.compute_zone.rpartition("-")[0] for entry in ledger(site, "mover")]
    assert (regions[0], regions[-1]) == MOVER


def test_a_zone_without_capacity_is_left_for_another(site: GoogleSite) -> None:
    """The stock-out comes with the operation, after the call was answered with 200."""
    check_finished(site, "stocked", steps=100)

    zones = {entry.compute_zone for entry in ledger(site, "stocked")}
    assert zones
    assert "europe-west2-b" not in zones
    assert all(zone.startswith("europe-west2-") for zone in zones)
    # One data disk was made with the VM that never ran, one with the VM that did.
    site.wait(lambda: not site.data_disks(), "data disks to be removed")
    assert site.model.calls["delete_disk"] >= 2
    assert site.state("stocked").disks_named == 2
    said = [line["message"] for line in site.lines("start_vm")]
    assert any("does not have enough resources" in str(text) for text in said)


def test_a_preempted_spot_vm_is_followed_by_another(site: GoogleSite) -> None:
    """It commits what it has within its notice, and its successor goes on from there."""
    check_finished(site, "spot", steps=250)

    text = "".join(logs_of(site, "spot"))
    assert text.count('"event": "preempted"') == 1
    later = text.partition('"event": "preempted"')[2]
    resumed = [int(step) for step in re.findall(r"training from step (\d+)", later)]
    assert resumed
    assert min(resumed) >= 50


def test_poison_ends_among_the_dead_letters_and_harms_nobody(site: GoogleSite) -> None:
    """After its tries, whole, once for each subscription; others are delivered meanwhile."""
    poison = b'{"kind": "explode", "schema_version": 1}'
    site.pubsub.publish(TOPIC, poison)
    found: list[dict[str, object]] = []

    def is_dead() -> bool:
        found.extend(site.pubsub.pull(DEAD_LETTERS))
        return len([each for each in found if each["data"] == poison]) == len(STEPS)

    site.wait(is_dead, "three dead letters")
    assert {name for name in STEPS if site.gate.answers[name, 400] == ATTEMPTS} == set(STEPS)
    before = site.gate.answers["stop_vm", 200]
    site.wait(lambda: site.gate.answers["stop_vm", 200] > before, "the next heartbeat")


def test_what_a_function_could_not_take_comes_again(site: GoogleSite) -> None:
    """Three times there is no instance; the fourth delivery is taken, and none is lost."""
    before = site.gate.answers["move_vm", 200]
    site.gate.refuse["move_vm"] = 3
    site.pubsub.publish(TOPIC, encode_wake_up(WakeUp(kind=WakeUpKind.BOUNDARY)))
    site.wait(lambda: site.gate.refuse["move_vm"] == 0, "three refusals")
    site.wait(lambda: site.gate.answers["move_vm", 200] > before, "the delivery")


@pytest.mark.parametrize("name", ["forecast", *STEPS])
def test_strangers_are_refused(site: GoogleSite, name: str) -> None:
    """Without the gate, whose token is the caller's, nobody gets in: 401, and one line."""
    with requests.Session() as session:
        session.trust_env = False
        for shown in ("", "Bearer x.y.z", f"Bearer {TOKEN}"):
            headers = {"Authorization": shown}
            body = {"message": {"data": "e30=", "messageId": "1"}, "subscription": "s"}
            url = f"{site.functions[name]}/{pubsub_emulator.PROJECT}/topics/{TOPIC}"
            answer = session.post(url, json=body, headers=headers, timeout=60)
            assert answer.status_code == 401
    refused = [line for line in site.lines(name) if line.get("event") == "caller_refused"]
    assert len(refused) >= 3


def test_no_secret_is_in_any_log(site: GoogleSite) -> None:
    """Neither the key, nor an access token, nor a caller's token, whatever went wrong."""
    check_finished(site, "stocked", steps=100)
    text = site.logs()
    assert "tick of" in text
    assert KEY not in text
    assert TOKEN not in text
    assert "eyJ" not in text  # how every JSON web token begins
