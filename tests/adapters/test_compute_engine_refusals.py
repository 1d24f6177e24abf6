"""What Compute Engine refuses, loses and fails at, and what the fleet makes of it."""

from collections.abc import Callable, Iterator

import pytest
import requests
from compute_harness import ComputeEngine, connected, fleet_at
from compute_model import ComputeModel
from compute_server import serving
from fleet_contract import ZONE, running, spec
from google.api_core import exceptions as api
from google.auth import exceptions as auth
from manual_clock import ManualClock

from functions.adapters.compute_calls import Patience
from functions.adapters.compute_errors import Fault, failure_kind, port_error
from functions.adapters.google_calls import may_pass
from functions.domain.lifecycle.vm import FailureKind
from functions.errors import PermissionDeniedError, UnavailableError


@pytest.fixture
def cloud() -> Iterator[ComputeEngine]:
    """A server and the adapter in front of it."""
    with connected() as cloud:
        yield cloud


def test_list_without_some_zones_is_no_list(cloud: ComputeEngine) -> None:
    """A VM that is only not seen must not be made a second time."""
    cloud.model.faults.unreachable = ["zones/europe-west9-b"]
    with pytest.raises(UnavailableError, match="europe-west9-b"):
        cloud.fleet.list()


@pytest.mark.parametrize("verb", ["aggregated_list", "get_operation", "insert", "stop", "delete"])
@pytest.mark.parametrize("after_effect", [False, True])
def test_one_lost_answer_is_not_noticed(
    cloud: ComputeEngine, verb: str, *, after_effect: bool
) -> None:
    """A single 503 is repeated with the same request id, and has one effect."""
    cloud.meet(verb, 503, after_effect=after_effect)
    operation = cloud.fleet.insert(spec(), request_id="a")
    assert operation.failure is None
    cloud.fleet.operation(operation.name, ZONE)
    vm = running(cloud, spec())
    cloud.fleet.stop(vm, request_id="stop")
    cloud.fleet.delete(vm, request_id="delete")
    cloud.wait_until(lambda: not cloud.fleet.list())
    assert not cloud.model.faults.troubles


@pytest.mark.parametrize("status", [429, 500, 503])
def test_lasting_silence_is_bounded(cloud: ComputeEngine, status: int) -> None:
    """A service that stays away is given up after a while."""
    for _ in range(1000):
        cloud.meet("aggregated_list", status)
    with pytest.raises(UnavailableError, match=f"HTTP {status} .*tried again"):
        cloud.fleet.list()
    assert 1 < cloud.model.calls["aggregated_list"] < 100


def test_answer_that_never_comes_is_not_waited_for() -> None:
    """Each attempt has a time-out; nobody listening is the same."""
    with serving(model := ComputeModel(ManualClock())) as url:
        model.faults.silence_s = 0.3
        slow = fleet_at(url, patience=Patience(attempt_s=0.05, total_s=0.1, pause_s=0.01))
        with pytest.raises(UnavailableError, match="timed out"):
            slow.list()
        slow.close()
    with pytest.raises(UnavailableError, match="Compute Engine"):
        fleet_at("http://127.0.0.1:9").list()


@pytest.mark.parametrize(
    "call",
    [
        lambda cloud, _: cloud.fleet.list(),
        lambda cloud, _: cloud.fleet.insert(spec("ss-digits-2"), request_id="new"),
        lambda cloud, _: cloud.fleet.operation("operation-1", ZONE),
        lambda cloud, vm: cloud.fleet.stop(vm, request_id="s"),
        lambda cloud, vm: cloud.fleet.delete(vm, request_id="d"),
        lambda cloud, vm: cloud.fleet.set_interval_end(vm, vm.created_at, request_id="i"),
    ],
    ids=["aggregated_list", "insert", "get_operation", "stop", "delete", "get"],
)
def test_missing_right_is_named(
    cloud: ComputeEngine,
    call: Callable[[ComputeEngine, object], object],
    request: pytest.FixtureRequest,
) -> None:
    """Without a right every call says which one to grant."""
    vm = running(cloud, spec())
    cloud.meet(request.node.callspec.id, 403, "forbidden")
    with pytest.raises(PermissionDeniedError, match=r"compute\.\w+\.\w+.*grant"):
        call(cloud, vm)


@pytest.mark.parametrize(
    ("status", "reason", "message", "failure"),
    [
        (403, "quotaExceeded", "Quota 'GPUS_ALL_REGIONS' exceeded", FailureKind.QUOTA),
        (403, "", "Location X is not found or access is unauthorized", FailureKind.STOCK_OUT),
        (400, "resourceNotReady", "is not ready", FailureKind.STOCK_OUT),
        (400, "invalid", "machine type does not exist in zone", FailureKind.OTHER),
        (404, "notFound", "was not found", FailureKind.OTHER),
        (503, "", "", None),
    ],
)
def test_refused_insert_is_a_failed_operation(
    cloud: ComputeEngine, status: int, reason: str, message: str, failure: FailureKind | None
) -> None:
    """A refusal says what it rules out, and its operation can be looked up as any other."""
    cloud.meet("insert", status, reason, message=message)
    operation = cloud.fleet.insert(spec(), request_id="a")
    assert operation.failure is failure
    assert message in operation.message
    if failure is not None:
        assert operation.done
        assert cloud.fleet.operation(operation.name, ZONE).failure is failure


@pytest.mark.parametrize("verb", ["stop", "delete"])
def test_not_now_is_tried_again(cloud: ComputeEngine, verb: str) -> None:
    """A change that is refused for now is transient."""
    vm = running(cloud, spec())
    cloud.meet(verb, 400, "resourceNotReady")
    with pytest.raises(UnavailableError, match="RESOURCE_NOT_READY"):
        getattr(cloud.fleet, verb)(vm, request_id="b")


def test_too_many_calls_are_no_quota(cloud: ComputeEngine) -> None:
    """A 403 for the rate of calls passes by itself."""
    cloud.meet("insert", 403, "rateLimitExceeded")
    with pytest.raises(UnavailableError, match="RATE_LIMIT_EXCEEDED"):
        cloud.fleet.insert(spec(), request_id="a")


def test_failed_operation_says_where_there_is_capacity(cloud: ComputeEngine) -> None:
    """A stock-out keeps what Compute Engine says of other zones."""
    cloud.run_out_of_stock(ZONE)
    operation = cloud.fleet.insert(spec(), request_id="a")
    cloud.wait_until(lambda: cloud.fleet.operation(operation.name, ZONE).done)
    assert "there-b" in cloud.fleet.operation(operation.name, ZONE).message


def test_operation_that_finds_the_vm_made_has_not_failed(cloud: ComputeEngine) -> None:
    """That the name exists may surface in the operation too."""
    cloud.model.faults.failing["insert"] = ("RESOURCE_ALREADY_EXISTS", "exists")
    operation = cloud.fleet.insert(spec(), request_id="a")
    cloud.wait_until(lambda: cloud.fleet.operation(operation.name, ZONE).done)
    assert cloud.fleet.operation(operation.name, ZONE).failure is None


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ZONE_RESOURCE_POOL_EXHAUSTED", FailureKind.STOCK_OUT),
        ("ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", FailureKind.STOCK_OUT),
        ("REGION_RESOURCE_POOL_EXHAUSTED", FailureKind.STOCK_OUT),
        ("RESOURCE_POOL_EXHAUSTED", FailureKind.STOCK_OUT),
        ("GPU_STOCKOUT", FailureKind.STOCK_OUT),
        ("insufficientCapacity", FailureKind.STOCK_OUT),
        ("UNSUPPORTED_OPERATION", FailureKind.STOCK_OUT),
        ("RESOURCE_NOT_READY", FailureKind.STOCK_OUT),
        ("RESOURCE_OPERATION_RATE_EXCEEDED", FailureKind.STOCK_OUT),
        ("QUOTA_EXCEEDED", FailureKind.QUOTA),
        ("quotaExceeded", FailureKind.QUOTA),
        ("SUBNET_NOT_FOUND_FOR_VPC", FailureKind.QUOTA),
        ("IAM_PERMISSION_DENIED", FailureKind.DENIED),
        ("PERMISSIONS_ERROR", FailureKind.DENIED),
        ("VPC_NOT_FOUND", FailureKind.DENIED),
        ("forbidden", FailureKind.DENIED),
        ("RESOURCE_NOT_FOUND", FailureKind.OTHER),
        ("INTERNAL_ERROR", FailureKind.OTHER),
    ],
)
def test_code_rules_out(code: str, kind: FailureKind) -> None:
    """Each code of operations and calls rules out what practice says, and no more."""
    assert failure_kind([Fault(code)]) is kind


def test_most_specific_of_several_counts() -> None:
    """A stock-out among other complaints is a stock-out; a small disk is nobody's capacity."""
    both = [Fault("INTERNAL_ERROR"), Fault("FORBIDDEN"), Fault("ZONE_RESOURCE_POOL_EXHAUSTED_X")]
    assert failure_kind(both) is FailureKind.STOCK_OUT
    small = Fault("invalid", "Disk size: 5 GB cannot be smaller than the image size (10 GB)")
    assert failure_kind([small]) is FailureKind.DENIED


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (auth.TransportError("metadata server is away"), UnavailableError),
        (auth.RefreshError("try later", retryable=True), UnavailableError),
        (auth.RefreshError("invalid_grant"), PermissionDeniedError),
        (auth.DefaultCredentialsError("none found"), PermissionDeniedError),
        (requests.exceptions.ChunkedEncodingError("cut off"), UnavailableError),
        (KeyError("a mistake of ours"), type(None)),
    ],
)
def test_no_token_is_told_from_no_right(error: Exception, kind: type) -> None:
    """An unreachable token server passes by itself, missing credentials do not."""
    assert type(port_error(error, doing="list VMs", right="x")) is kind


def test_a_person_without_credentials_is_told_the_command() -> None:
    """At a terminal nothing is attached: the message says how to log in."""
    found = port_error(auth.DefaultCredentialsError("none"), doing="list VMs", right="x")
    assert "gcloud auth application-default login" in str(found)


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (api.TooManyRequests("429"), True),
        (api.InternalServerError("500"), True),
        (api.BadGateway("502"), True),
        (api.GatewayTimeout("504"), True),
        (api.Aborted("409"), True),
        (requests.ConnectionError("cut"), True),
        (requests.ReadTimeout("silent"), True),
        (requests.exceptions.ChunkedEncodingError("cut off"), True),
        (auth.TransportError("metadata server is away"), True),
        (api.Conflict("409"), False),
        (api.PreconditionFailed("412"), False),
        (api.Forbidden("403"), False),
        (api.NotFound("404"), False),
        (auth.DefaultCredentialsError("none"), False),
        (KeyError("a mistake of ours"), False),
    ],
)
def test_only_what_may_pass_is_repeated(error: Exception, *, again: bool) -> None:
    """One list for all of Google's clients."""
    assert may_pass(error) is again


def test_refresh_that_only_wraps_silence_passes() -> None:
    """On Google Cloud the library wraps the metadata server's silence in a refresh error."""
    error = auth.RefreshError("see the cause")
    error.__cause__ = auth.TransportError("metadata server is away")
    assert type(port_error(error, doing="list VMs", right="x")) is UnavailableError


def test_second_page_fails_as_the_first(cloud: ComputeEngine) -> None:
    """Trouble with a further page is the port's error too, not the library's."""
    cloud.model.page_size = 1
    for n in (1, 2):
        cloud.fleet.insert(spec(f"ss-digits-{n}"), request_id=f"{n}")
    cloud.meet("aggregated_list", 403, "forbidden", page="1")
    with pytest.raises(PermissionDeniedError, match=r"compute\.instances\.list"):
        cloud.fleet.list()
    assert cloud.model.calls["aggregated_list"] == 2
