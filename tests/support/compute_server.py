"""Compute Engine's REST API in front of `ComputeModel`, on the loopback.

Requests are parsed strictly into the client library's own types: an unknown field is refused.
"""

import json
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from compute_faults import Trouble
from compute_model import ComputeModel
from compute_rules import RefusedError
from google.cloud import compute_v1 as gce

_ZONE = r"/zones/(?P<zone>[^/]+)"
_VM = rf"{_ZONE}/instances/(?P<instance>[^/]+)"
_DISK = rf"{_ZONE}/disks/(?P<disk>[^/]+)"
_ONE_DISK = rf"{_ZONE}/disks/(?P<resource>[^/]+)"
_SNAPSHOT = r"/global/snapshots/(?P<snapshot>[^/]+)"
_LABELS_OF_VM, _ATTACHED = "instancesSetLabelsRequestResource", "attachedDiskResource"
# Method, path below the project, name of the call, type of the request, field of its body.
_ROUTES: tuple[tuple[str, str, str, Any, str], ...] = (
    ("POST", f"{_ZONE}/instances", "insert", gce.InsertInstanceRequest, "instanceResource"),
    ("GET", _VM, "get", gce.GetInstanceRequest, ""),
    ("DELETE", _VM, "delete", gce.DeleteInstanceRequest, ""),
    ("POST", f"{_VM}/stop", "stop", gce.StopInstanceRequest, ""),
    ("POST", f"{_VM}/start", "start", gce.StartInstanceRequest, ""),
    ("POST", f"{_VM}/setLabels", "set_labels", gce.SetLabelsInstanceRequest, _LABELS_OF_VM),
    ("POST", f"{_VM}/attachDisk", "attach_disk", gce.AttachDiskInstanceRequest, _ATTACHED),
    ("POST", f"{_VM}/detachDisk", "detach_disk", gce.DetachDiskInstanceRequest, ""),
    (
        *("POST", f"{_VM}/setMetadata", "set_metadata"),
        *(gce.SetMetadataInstanceRequest, "metadataResource"),
    ),
    (
        *("GET", "/aggregated/instances", "aggregated_list"),
        *(gce.AggregatedListInstancesRequest, ""),
    ),
    (
        *("GET", rf"{_ZONE}/operations/(?P<operation>[^/]+)", "get_operation"),
        *(gce.GetZoneOperationRequest, ""),
    ),
    (
        *("GET", r"/global/instanceTemplates/(?P<instanceTemplate>[^/]+)", "get_template"),
        *(gce.GetInstanceTemplateRequest, ""),
    ),
)
_DISK_ROUTES: tuple[tuple[str, str, str, Any, str], ...] = (
    ("POST", f"{_ZONE}/disks", "insert_disk", gce.InsertDiskRequest, "diskResource"),
    ("GET", f"{_ZONE}/disks", "list_disks", gce.ListDisksRequest, ""),
    ("GET", _DISK, "get_disk", gce.GetDiskRequest, ""),
    ("DELETE", _DISK, "delete_disk", gce.DeleteDiskRequest, ""),
    (
        *("POST", f"{_DISK}/createSnapshot", "create_snapshot"),
        *(gce.CreateSnapshotDiskRequest, "snapshotResource"),
    ),
    (
        *("POST", f"{_ONE_DISK}/setLabels", "set_labels_of_disk"),
        *(gce.SetLabelsDiskRequest, "zoneSetLabelsRequestResource"),
    ),
    (
        *("GET", "/aggregated/disks", "aggregated_list_disks"),
        *(gce.AggregatedListDisksRequest, ""),
    ),
    ("GET", "/global/snapshots", "list_snapshots", gce.ListSnapshotsRequest, ""),
    ("GET", _SNAPSHOT, "get_snapshot", gce.GetSnapshotRequest, ""),
    ("DELETE", _SNAPSHOT, "delete_snapshot", gce.DeleteSnapshotRequest, ""),
)
_PROJECT = re.compile(r"/compute/v1/projects/(?P<project>[^/]+)(?P<rest>/.*)")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Else each answer waits for the acknowledgement of its own header: 40 ms.
    disable_nagle_algorithm = True
    model: ComputeModel

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def log_message(self, *_: object) -> None:
        """Be quiet."""

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.model.faults.silence_s:
            time.sleep(self.model.faults.silence_s)
        try:
            status, answer = 200, self._answer(body)
        except RefusedError as refused:
            status, answer = refused.status, _as_error(refused)
        data = answer.encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _answer(self, body: bytes) -> str:
        model = self.model
        verb, request = _parse(self.command, self.path, body)
        with model.lock:
            model.calls[verb] += 1
            trouble = _take_trouble(model, verb, request)
            if trouble is not None and not trouble.after_effect:
                raise RefusedError(trouble.status, trouble.reason, trouble.message)
            model.settle()
            answer = getattr(model if hasattr(model, verb) else model.shelf, verb)(request)
            if trouble is not None:
                raise RefusedError(trouble.status, trouble.reason, trouble.message)
            text: str = type(answer).to_json(
                answer, use_integers_for_enums=False, always_print_fields_with_no_presence=False
            )
            return text


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Say nothing of clients that hung up, as those do whose patience is over."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _take_trouble(model: ComputeModel, verb: str, request: object) -> Trouble | None:
    for trouble in model.faults.troubles:
        is_page = trouble.page == getattr(request, "page_token", "")
        if trouble.verb == verb and is_page:
            model.faults.troubles.remove(trouble)
            return trouble
    return None


def _parse(method: str, target: str, body: bytes) -> tuple[str, Any]:
    url = urlsplit(target)
    whole = _PROJECT.fullmatch(url.path)
    for wanted, path, verb, kind, field in (*_ROUTES, *_DISK_ROUTES):
        found = re.fullmatch(path, whole["rest"]) if whole else None
        if whole is None or found is None or method != wanted:
            continue
        fields: dict[str, Any] = {"project": whole["project"], **found.groupdict()}
        for key, value in parse_qsl(url.query):
            if not key.startswith("$"):
                fields[key] = {"true": True, "false": False}.get(value, value)
        if field:
            fields[field] = json.loads(body)
        try:
            return verb, kind.from_json(json.dumps(fields))
        except ValueError as error:
            raise RefusedError(400, "parseError", str(error)) from error
    raise RefusedError(404, "notFound", f"{method} {url.path}")


def _as_error(refused: RefusedError) -> str:
    one = {"reason": refused.reason, "message": refused.message, "domain": "global"}
    errors = [one] if refused.reason else []
    return json.dumps(
        {"error": {"code": refused.status, "message": refused.message, "errors": errors}}
    )


@contextmanager
def serving(model: ComputeModel) -> Iterator[str]:
    """Serve `model` on the loopback; yields the address."""
    handler = type("Handler", (_Handler,), {"model": model})
    server = _Server(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
