"""The part of the embedded cloud's HTTP API that is about disks and snapshots."""

from typing import TYPE_CHECKING

from flask import Flask, Response, jsonify, request
from pydantic import TypeAdapter

from functions.domain.lifecycle.disk import DataDiskSpec, Disk, Snapshot
from functions.local.disk_service import DiskService
from functions.local.front_answers import REQUEST_ID, answer

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

DISKS: TypeAdapter[list[Disk]] = TypeAdapter(list[Disk])
SNAPSHOTS: TypeAdapter[list[Snapshot]] = TypeAdapter(list[Snapshot])
DISK_SPEC: TypeAdapter[DataDiskSpec] = TypeAdapter(DataDiskSpec)
LABELS: TypeAdapter[dict[str, str]] = TypeAdapter(dict[str, str])


def add_disks(app: Flask, service: DiskService) -> None:
    """Add the routes."""

    @app.get("/disks")
    def disks() -> "ResponseReturnValue":
        return Response(DISKS.dump_json([*service.disks()]), mimetype="application/json")

    @app.get("/snapshots")
    def snapshots() -> "ResponseReturnValue":
        return Response(SNAPSHOTS.dump_json([*service.snapshots()]), mimetype="application/json")

    @app.post("/disks/<disk>/snapshots/<name>")
    def take_snapshot(disk: str, name: str) -> "ResponseReturnValue":
        labels = LABELS.validate_json(request.get_data())
        request_id = request.args[REQUEST_ID]
        return answer(service.take_snapshot(disk, name, labels, request_id=request_id))

    @app.post("/snapshots/<snapshot>/disks")
    def copy(snapshot: str) -> "ResponseReturnValue":
        spec = DISK_SPEC.validate_json(request.get_data())
        return answer(service.copy(spec, snapshot, request_id=request.args[REQUEST_ID]))

    @app.post("/zones/<compute_zone>/vms/<name>/disks/<disk>")
    def attach(compute_zone: str, name: str, disk: str) -> "ResponseReturnValue":
        service.attach(name, compute_zone, disk)
        return jsonify({})

    @app.delete("/disks/<disk>/<disk_id>")
    def delete_disk(disk: str, disk_id: str) -> "ResponseReturnValue":
        service.delete_disk(disk, disk_id)
        return jsonify({})

    @app.delete("/snapshots/<name>/<snapshot_id>")
    def delete_snapshot(name: str, snapshot_id: str) -> "ResponseReturnValue":
        service.delete_snapshot(name, snapshot_id)
        return jsonify({})
