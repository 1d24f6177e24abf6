"""From HTTP and CloudEvents to use cases: who is let in, what is acknowledged, what comes again.

An exception means 500, and Pub/Sub delivers again; returning means that it is done with. What is
no message of ours is refused with 400: after its tries it is a dead letter, where a person finds
it, and a newer revision of a function may understand it meanwhile.
"""

import base64
import binascii
import logging
from dataclasses import asdict
from typing import Any

from cloudevents.http import CloudEvent
from flask import Request, abort, current_app, has_app_context, jsonify, request
from flask.typing import ResponseReturnValue

from functions import bootstrap, logs
from functions.domain.lifecycle.actions import Owner
from functions.errors import (
    CallerRefusedError,
    InvalidInputError,
    PermanentError,
    TransientError,
)
from functions.handlers.reconcile import reconcile
from functions.wire import LARGEST_BYTES, decode_wake_up
from vm_runtime.contract import object_names

_LOG = logging.getLogger(__name__)

_LARGEST_ENCODED = LARGEST_BYTES * 4 // 3 + 4
"""Characters of the largest message in base64."""

LARGEST_REQUEST_BYTES = 2 * LARGEST_BYTES
"""Of a whole request: a message in base64 with what Pub/Sub puts around it."""


def bound_requests() -> None:
    """Refuse larger requests before they are read, with a line that says so.

    The framework reads and parses a request before it calls the function; it loads the functions
    within its app's context.
    """
    if not has_app_context():
        return  # imported by something else than the framework
    current_app.config["MAX_CONTENT_LENGTH"] = LARGEST_REQUEST_BYTES
    current_app.register_error_handler(413, _too_large)


def _too_large(_: Exception) -> ResponseReturnValue:
    logs.set_up()
    told = {"event": "message_refused"}
    text = (
        f"request: expected at most {LARGEST_REQUEST_BYTES} bytes, found"
        f" {request.content_length or 'more'}; it was not read. Find out who sends that: a message"
        " of the topic ends as a dead letter after its tries."
    )
    _LOG.error("%s", text, extra=told)
    return jsonify(error=text), 413


def run_tick(request: Request) -> ResponseReturnValue:
    """Run one tick; the answer says what it did, so that Cloud Scheduler's log does."""
    logs.set_up()
    _admit_caller()
    schedule_time = request.headers.get("X-CloudScheduler-ScheduleTime", "")[:40]
    deployment = bootstrap.deployment()
    from functions.handlers.tick import tick  # noqa: PLC0415 - the other three need no planner

    try:
        result = tick(bootstrap.ports(), deployment.timing)
    except TransientError as error:
        told = {"event": "tick_postponed", "schedule_time": schedule_time}
        _LOG.warning("%s", error, extra=told)
        return jsonify(error=str(error)), 503
    except PermanentError as error:
        told = {"event": "tick_failed", "schedule_time": schedule_time}
        _LOG.error("%s", error, extra=told)
        # 200: the scheduler's retries would not help, the next tick might.
        return jsonify(error=str(error)), 200
    extra = {key: str(value) for key, value in asdict(result).items()}
    told = {"event": "tick", **asdict(result)}
    if result.left:
        # 503: Cloud Scheduler calls again within the minute, and the next call goes on.
        text = f"tick of {extra['origin']}: no time left for {result.left} jobs; it is called again"
        _LOG.warning("%s", text, extra={**told, "event": "tick_unfinished"})
        return jsonify(extra), 503
    _LOG.info("tick of %s done", result.origin.isoformat(), extra=told)
    _refresh_index()
    return jsonify(extra)


def _refresh_index() -> None:
    """Renew the page of open jobs and grids: small, bounded, and never a reason to fail a tick."""
    try:
        from functions.handlers.overview import read_open_overview  # noqa: PLC0415 - as `tick`
        from functions.report.index import render_index  # noqa: PLC0415 - loads jinja2

        ports = bootstrap.ports()
        page = render_index(read_open_overview(ports.store, ports.clock.now()))
        ports.store.write(object_names.INDEX, page.encode())
    except Exception:  # noqa: BLE001 - not even our own mistake is a reason
        told = {"event": "page_not_made"}
        _LOG.exception("the page of all jobs could not be made; the tick is done", extra=told)


def run_step(owner: Owner, event: CloudEvent) -> None:
    """Take `owner`'s next steps for the jobs that the event is about.

    Raises:
        TransientError: the event has to come again.
    """
    logs.set_up()
    _admit_caller()
    extra = {"event_id": str(event["id"])[:80], "owner": owner}
    try:
        message = decode_wake_up(_data(event))
    except InvalidInputError as error:
        told = {"event": "message_refused", **extra}
        _LOG.error("refused, and a dead letter after its tries: %s", error, extra=told)
        abort(400, "no message of ours")
    try:
        reconcile(bootstrap.ports(), bootstrap.deployment().timing, owner, message)
    except PermanentError as error:
        # Acknowledged: it would fail again the same way, for ever.
        _LOG.error("%s", error, extra={"event": "step_failed", **extra})


def _admit_caller() -> None:
    """Answer anybody else with 401, and with 503 if it cannot be told who it is."""
    try:
        bootstrap.caller_check().admit(request.headers.get("Authorization", ""))
    except CallerRefusedError as error:
        _LOG.error("caller refused: %s", error, extra={"event": "caller_refused"})
        abort(401, "not the caller of this function")
    except TransientError as error:
        _LOG.warning("%s", error, extra={"event": "caller_unknown"})
        abort(503, "it cannot be told now who calls")


def _data(event: CloudEvent) -> bytes:
    body: Any = event.data
    message = body.get("message") if isinstance(body, dict) else None
    encoded = message.get("data") if isinstance(message, dict) else None
    if not isinstance(encoded, str | bytes) or not encoded:
        raise InvalidInputError(
            f"event {event['id']}: expected message.data in base64, found none."
            " Publish a WakeUp as JSON."
        )
    if len(encoded) > _LARGEST_ENCODED:
        raise InvalidInputError(
            f"event {event['id']}: expected at most {LARGEST_BYTES} bytes of data, found more"
            f" ({len(encoded)} in base64). Find out who publishes that."
        )
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInputError(
            f"event {event['id']}: expected message.data in base64, found {encoded[:40]!r}."
        ) from error
