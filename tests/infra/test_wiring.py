"""Terraform and the code name the same things: functions, settings, regions, log lines."""

import logging
import re
from datetime import timedelta

import pytest
from control_plane import World
from infra_files import names_of, text_of
from sample_jobs import job, steps_of

import functions.main
from functions.domain.lifecycle.actions import Owner
from functions.domain.lifecycle.timing import Timing
from functions.domain.regions import FAMILIES, REGIONS, zones_with_machine
from functions.handlers.reconcile import reconcile
from functions.handlers.tick import tick
from functions.settings import PREFIX, Settings, read_deployment
from functions.wire import WakeUp, WakeUpKind, decode_wake_up


def test_entry_points_exist() -> None:
    """Each function that is deployed is one of `functions/main.py`."""
    deployed = names_of(text_of("identities.tf"), r'"(forecast|\w+_vm)"')

    assert deployed == {"forecast", *Owner}
    assert all(callable(getattr(functions.main, name)) for name in deployed)


def test_environment_is_what_settings_read() -> None:
    """No variable is misspelt, and what Google Cloud needs is there."""
    names = names_of(text_of("functions.tf"), rf"{PREFIX}([A-Z_]+)")
    fields = {*Settings.__dataclass_fields__, *Timing.__dataclass_fields__}

    assert {name.lower() for name in names} <= fields
    job_name = "projects/p/locations/l/jobs/j"
    environment = {PREFIX + name: "60" for name in names} | {
        f"{PREFIX}BUCKET": "gs://bucket",
        f"{PREFIX}CALLER": "caller@p.iam.gserviceaccount.com",
        f"{PREFIX}SERVICE": "smartscheduler-stop-vm",
        "FUNCTION_TARGET": "stop_vm",
        f"{PREFIX}BOUNDARY_JOB": job_name,
        f"{PREFIX}FORECAST_JOB": job_name,
        f"{PREFIX}INSTANCE_TEMPLATES": "default=projects/p/global/instanceTemplates/t",
        f"{PREFIX}INTENSITY_SOURCE": "generation_mix",
    }
    assert read_deployment(environment).settings.project == "60"


def test_regions_and_their_machines_are_the_same() -> None:
    """infra/regions.tf repeats functions/domain/regions.py, to refuse at plan time."""
    machines, accelerators = text_of("regions.tf").split("accelerators = {")
    assert names_of(accelerators, r'"([a-z]+-[a-z]+\d+)"') <= REGIONS.keys()
    rows = re.findall(r'"([a-z0-9-]+)"\s*=\s*\[([^\]]*)\]', machines)
    families = {region: set(re.findall(r'"(\w+)"', row)) for region, row in rows}

    assert families == {
        name: {f for f in FAMILIES if zones_with_machine(region, f"{f}-standard-8")}
        for name, region in REGIONS.items()
    }


def test_scheduled_messages_are_understood() -> None:
    """What Cloud Scheduler publishes is a WakeUp."""
    kinds = names_of(text_of("schedule.tf"), r'jsonencode\(\{ kind = "(\w+)", schema_version = 1')

    assert kinds == {"heartbeat", "boundary"}
    for kind in kinds:
        data = f'{{"kind": "{kind}", "schema_version": 1}}'.encode()
        assert decode_wake_up(data) == WakeUp(kind=WakeUpKind(kind))


def test_metrics_look_for_what_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Each event, field and label of metrics.tf is on some line of a job's life."""
    caplog.set_level(logging.INFO, logger="functions")
    world = World()
    one = job()
    world.submit(one, steps_of(one))
    world.run(world.is_over, at_most_h=30)
    for _ in range(20):  # until nothing is left to be published or revised
        world.clock.advance(6 * 3600)
        tick(world.ports, Timing())
    said: dict[str, set[str]] = {}
    for record in caplog.records:
        event = getattr(record, "event", None)
        if event is not None:
            said.setdefault(event, set()).update(vars(record))

    rows = re.findall(
        r'event\s*=\s*"(\w+)",\s*field\s*=\s*"(\w+)",\s*label\s*=\s*"(\w+)"', text_of("metrics.tf")
    )
    assert rows
    missing = [row for row in rows if not {row[1], row[2]} <= said.get(row[0], set())]
    assert missing == []


def test_every_metric_is_shown_and_nothing_else() -> None:
    """Dashboard and alerts name metrics of metrics.tf; one that nobody looks at is none."""
    defined = names_of(text_of("metrics.tf"), r"\n    ([a-z-]+)\s*=\s*\{ (?:event|filter) =")
    dashboard, alerts = text_of("dashboard.tf"), text_of("alerts.tf")
    charts = re.findall(r"lines = \{([^}]*)\}", dashboard)
    shown = {name for chart in charts for name in re.findall(r"([a-z-]+) =", chart)}
    shown |= names_of(dashboard, r"_metric\}/([a-z-]+)\"")
    alarmed = names_of(alerts, r"\n\s+metric\s*=\s*\"([a-z-]+)\"")

    assert defined
    assert shown | alarmed == defined


def test_each_alert_says_what_to_do() -> None:
    """A person who is woken at night reads there what it means, and what to look at."""
    alerts = text_of("alerts.tf")
    names = re.findall(r"\n\s+name\s*=\s*\"([^\"]+)\"", alerts)
    texts = re.findall(r"\n\s+(?:text|content)\s*=\s*\"([^\"]{9,})", alerts)

    assert sorted([*names, "dead letters"]) == [
        "a VM is past its interval",
        "dead letters",
        "more than one VM of a job",
        "no checkpoint for two periods",
        "the forecast is older than 3 hours",
        "the heartbeat is missing",
    ]
    assert len(texts) == len(names) + 1
    assert [text for text in texts if not re.search(r"Look at|Read them", text)] == []


def test_only_a_heartbeat_tells_the_status(caplog: pytest.LogCaptureFixture) -> None:
    """One line per job and heartbeat, by one function; a number where a metric is made of it."""
    world = World()
    one = job()
    world.submit(one, steps_of(one))
    world.run(lambda: bool(world.guests), at_most_h=30)
    world.clock.advance(timedelta(minutes=1).total_seconds())
    caplog.set_level(logging.INFO, logger="functions")
    caplog.clear()
    for kind in (WakeUpKind.HEARTBEAT, WakeUpKind.BOUNDARY):
        for owner in Owner:
            reconcile(world.ports, Timing(), owner, WakeUp(kind=kind, sent_at=world.clock.now()))

    lines = [record for record in caplog.records if getattr(record, "event", "") == "status"]
    assert len(lines) == 1
    assert (lines[0].vms, lines[0].past_interval_s) == (1, 0.0)  # type: ignore[attr-defined]
