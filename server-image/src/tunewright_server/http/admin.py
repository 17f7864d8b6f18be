"""The paths for operator and kubelet, below ``/tunewright/v1``: probes, state, the pushed plan and access list."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import orjson

from tunewright_contracts.clients.access_list import ACCESS_PATH, MAX_ACCESS_BYTES
from tunewright_contracts.serving_plan import ADMIN_PREFIX, MAX_PLAN_BYTES, PLAN_PATH, STATE_PATH, PlanStatus
from tunewright_server.auth import STATE_SCOPE, AuthError
from tunewright_server.http import asgi
from tunewright_server.http.errors import RefusalCode, RefusalError
from tunewright_server.http.request_body import too_large
from tunewright_server.http.uploads import Uploads
from tunewright_server.kept_document import Offer
from tunewright_server.runtime import Runtime

HEALTH_PATH = f"{ADMIN_PREFIX}/healthz"
READY_PATH = f"{ADMIN_PREFIX}/readyz"
# The signed document contains the plan in base64.
_MAX_PLAN_BODY = MAX_PLAN_BYTES * 4 // 3 + 4096


async def handle(runtime: Runtime, uploads: Uploads, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
    """Answer one request below the prefix.

    Raises:
        RefusalError: unknown path or method (404), invalid token or signature (401), a body over the limit (413) or
            too slow (408).
    """
    match (scope["method"], scope["path"]):
        case ("GET", path) if path == HEALTH_PATH:
            await asgi.send_json(send, 200, b'{"status":"alive"}')
        case ("GET", path) if path == READY_PATH:
            await _answer_ready(runtime, send)
        case ("GET", path) if path == STATE_PATH:
            try:
                runtime.key.verify_token(
                    asgi.get_header(scope["headers"], "authorization"), runtime.config.server_uid, STATE_SCOPE
                )
            except AuthError as error:
                raise RefusalError(401, RefusalCode.UNAUTHORIZED, str(error)) from error
            await _answer_state(scope, runtime.state().to_json().encode(), send)
        case ("PUT", path) if path == PLAN_PATH:
            body = await uploads.read(scope, receive, _MAX_PLAN_BODY)
            if body is None:
                raise too_large(_MAX_PLAN_BODY)
            offer = await runtime.offer_plan(body)
            await _answer_offer(
                offer, {"planStatus": offer.status.value, "planGeneration": runtime.plan_generation}, send
            )
        case ("PUT", path) if path == ACCESS_PATH:
            body = await uploads.read(scope, receive, MAX_ACCESS_BYTES)
            if body is None:
                raise too_large(MAX_ACCESS_BYTES)
            offer = await runtime.offer_access(body)
            in_force = {"accessStatus": offer.status.value, "accessGeneration": runtime.access_generation}
            await _answer_offer(offer, in_force, send)
        case _:
            raise RefusalError(404, RefusalCode.NOT_FOUND, "This path does not exist")


async def _answer_state(scope: asgi.Scope, body: bytes, send: asgi.Send) -> None:
    """Answer with the state; with 304 and no body if the operator has it already (RFC 9110, section 13.1.2)."""
    etag = f'"{hashlib.sha256(body).hexdigest()}"'
    headers = [(b"etag", etag.encode())]
    known = asgi.get_header(scope["headers"], "if-none-match") or ""
    if etag in {part.strip().removeprefix("W/") for part in known.split(",")}:
        await asgi.send_empty(send, 304, headers)
    else:
        await asgi.send_json(send, 200, body, headers)


async def _answer_ready(runtime: Runtime, send: asgi.Send) -> None:
    if runtime.is_ready:
        await asgi.send_json(send, 200, b'{"status":"ready"}')
        return
    waiting = runtime.pool.waiting_for()[:20]
    body = {
        "status": "settling",
        "planGeneration": runtime.plan_generation,
        "accessGeneration": runtime.access_generation,
        "waitingFor": waiting,
    }
    await asgi.send_json(send, 503, orjson.dumps(body))


async def _answer_offer(offer: Offer, in_force: Mapping[str, object], send: asgi.Send) -> None:
    if offer.unsigned:
        raise RefusalError(401, RefusalCode.UNAUTHORIZED, offer.message)
    body = {**in_force, "message": offer.message}
    await asgi.send_json(send, 200 if offer.status is PlanStatus.APPLIED else 409, orjson.dumps(body))
