"""The embedded cloud's HTTP API, which the local adapters of the ports call."""

from datetime import datetime
from typing import TYPE_CHECKING

from flask import Flask, Response, jsonify, request
from pydantic import SecretStr, TypeAdapter

from functions.domain.lifecycle.vm import Vm, VmSpec
from functions.errors import CallerRefusedError, InvalidInputError
from functions.local.bus import Bus
from functions.local.caller import LocalCallerCheck
from functions.local.compute import Compute
from functions.local.disk_front import add_disks
from functions.local.front_answers import REQUEST_ID, answer
from functions.local.refusal import RefusedError
from functions.local.scheduler import Scheduler
from vm_runtime.contract.instance import Attribute

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

VMS: TypeAdapter[list[Vm]] = TypeAdapter(list[Vm])
SPEC: TypeAdapter[VmSpec] = TypeAdapter(VmSpec)
METADATA: TypeAdapter[dict[str, str]] = TypeAdapter(dict[str, str])


def front(*, bus: Bus, compute: Compute, scheduler: Scheduler, key: SecretStr) -> Flask:
    """Return the application, which answers only to who shows `key`."""
    app = Flask("functions.local.front")
    _add_errors(app)
    check = LocalCallerCheck(key)

    @app.before_request
    def admit() -> None:
        check.admit(request.headers.get("Authorization", ""))

    _add_compute(app, compute)
    add_disks(app, compute.disk_service)

    @app.post("/topics/interval-plan")
    def publish() -> "ResponseReturnValue":
        return jsonify({"id": bus.publish(request.get_data())})

    @app.post("/jobs/boundary")
    def aim_boundary() -> "ResponseReturnValue":
        times = request.get_data(as_text=True).splitlines()
        scheduler.aim_boundary(*(datetime.fromisoformat(time) for time in times))
        return jsonify({})

    @app.post("/jobs/forecast")
    def tick_now() -> "ResponseReturnValue":
        scheduler.tick_now()
        return jsonify({})

    return app


def _add_errors(app: Flask) -> None:
    @app.errorhandler(RefusedError)
    def refused(error: RefusedError) -> "ResponseReturnValue":
        return jsonify({"reason": error.reason, "message": str(error)}), error.status

    @app.errorhandler(CallerRefusedError)
    def stranger(error: CallerRefusedError) -> "ResponseReturnValue":
        return jsonify({"reason": "unauthorized", "message": str(error)}), 401

    @app.errorhandler(InvalidInputError)
    @app.errorhandler(ValueError)
    def invalid(error: Exception) -> "ResponseReturnValue":
        return jsonify({"reason": "invalid", "message": str(error)}), 400


def _add_compute(app: Flask, compute: Compute) -> None:
    @app.get("/vms")
    def vms() -> "ResponseReturnValue":
        found = [record.vm() for record in compute.list()]
        return Response(VMS.dump_json(found), mimetype="application/json")

    @app.post("/vms")
    def insert() -> "ResponseReturnValue":
        spec = SPEC.validate_json(request.get_data())
        return answer(compute.insert(spec, request_id=request.args[REQUEST_ID]))

    @app.get("/zones/<compute_zone>/operations/<name>")
    def operation(compute_zone: str, name: str) -> "ResponseReturnValue":
        return answer(compute.operation(name, compute_zone))

    @app.post("/zones/<compute_zone>/vms/<name>/stop")
    def stop(compute_zone: str, name: str) -> "ResponseReturnValue":
        compute.stop_vm(name, compute_zone, request_id=request.args[REQUEST_ID])
        return jsonify({})

    @app.post("/zones/<compute_zone>/vms/<name>/start")
    def start(compute_zone: str, name: str) -> "ResponseReturnValue":
        metadata = METADATA.validate_json(request.get_data())
        request_id = request.args[REQUEST_ID]
        return answer(compute.start_vm(name, compute_zone, metadata, request_id=request_id))

    @app.delete("/zones/<compute_zone>/vms/<name>")
    def delete(compute_zone: str, name: str) -> "ResponseReturnValue":
        compute.delete(name, compute_zone, request_id=request.args[REQUEST_ID])
        return jsonify({})

    @app.put("/zones/<compute_zone>/vms/<name>/interval-end")
    def interval_end(compute_zone: str, name: str) -> "ResponseReturnValue":
        end = datetime.fromisoformat(request.get_data(as_text=True))
        attribute = (Attribute.INTERVAL_END, end.isoformat())
        request_id = request.args[REQUEST_ID]
        compute.set_attribute(name, compute_zone, attribute, request_id=request_id)
        return jsonify({})
