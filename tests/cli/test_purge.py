"""`smartscheduler purge`: all VMs of ours go, nothing else does."""

from collections.abc import Iterator

import pytest
import typer
from compute_harness import ComputeEngine, connected
from fleet_contract import running, spec

from functions.cli.purge import delete_all
from functions.errors import UnavailableError


@pytest.fixture
def cloud() -> Iterator[ComputeEngine]:
    """A server and the adapter in front of it."""
    with connected() as cloud:
        yield cloud


def test_all_vms_go(cloud: ComputeEngine, capsys: pytest.CaptureFixture[str]) -> None:
    """What runs is named and deleted; afterwards there is nothing left to do."""
    running(cloud, spec())

    delete_all(cloud.fleet, "green", yes=True)
    cloud.wait_until(lambda: not cloud.fleet.list())

    assert "ss-digits-1" in capsys.readouterr().out
    delete_all(cloud.fleet, "green", yes=True)
    assert "No VM of SmartScheduler in green" in capsys.readouterr().out


def test_nothing_goes_without_a_yes(cloud: ComputeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person is asked first, and may say no."""
    running(cloud, spec())

    def refuse(*_: object, **__: object) -> None:
        raise typer.Abort

    monkeypatch.setattr(typer, "confirm", refuse)
    with pytest.raises(typer.Abort):
        delete_all(cloud.fleet, "green", yes=False)

    assert len(cloud.fleet.list()) == 1


def test_what_could_not_be_deleted_is_named(cloud: ComputeEngine) -> None:
    """A service that does not answer is no success."""
    running(cloud, spec())
    for _ in range(30):
        cloud.meet("delete", 503)

    with pytest.raises(UnavailableError, match="ss-digits-1"):
        delete_all(cloud.fleet, "green", yes=True)
