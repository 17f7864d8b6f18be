"""The one door of a server pod: a pure ASGI middleware in vLLM's own process.

``vllm serve --middleware tunewright_server.http.middleware.TunewrightMiddleware`` puts it outermost. What is not on the allow
list does not exist; what vLLM parses is what was authorised here; clients know aliases and nothing else.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable
from typing import Any

import orjson
import structlog

from tunewright_contracts.metrics import LiveMetricType
from tunewright_contracts.serving_plan import ADMIN_PREFIX, BASE_MODEL_TARGET, EVALUATE_HEADER, Route
from tunewright_server.auth import EVALUATE_SCOPE, AuthError
from tunewright_server.http import admin, asgi, request_body, routing
from tunewright_server.http.errors import RefusalCode, RefusalError
from tunewright_server.http.responses import AnswerRelay, AnswerTexts
from tunewright_server.output_contract import checker
from tunewright_server.output_contract.worker import BREACH, UNCHECKED
from tunewright_server.runtime import Runtime
from tunewright_server.telemetry.counters import Answer

log = structlog.get_logger()

INFERENCE_PATHS = frozenset({"/v1/chat/completions", "/v1/completions"})
PASSED_ON = frozenset({("GET", "/health"), ("GET", "/metrics")})
MODELS_PATH = "/v1/models"
RETRY_AFTER_SECONDS = 5
_SERVER_ERROR = 500
_BAD_REQUEST = 400


@dataclasses.dataclass(frozen=True, slots=True)
class Assignment:
    """Who answers a request. ``route`` is None for an evaluation, which enters no counter."""

    alias: str
    model: str
    """What vLLM calls it."""
    revision: str
    """What the answer's header says."""
    route: Route | None = None
    bucket: int = 0


class TunewrightMiddleware:
    """See the module. Takes no arguments but the app, as vLLM demands."""

    def __init__(self, app: asgi.App, *, build_runtime: Callable[[Any], Runtime] = Runtime.from_environment) -> None:
        self._app = app
        self._build_runtime = build_runtime
        self._runtime: Runtime | None = None
        self._checks: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Answer, pass on or refuse one connection."""
        match scope["type"]:
            case "http":
                await self._handle_http(scope, receive, send)
            case "lifespan":
                await self._live(scope, receive, send)
            case _:
                await send({"type": "websocket.close", "code": 1008, "reason": "not served"})

    async def _live(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        async def send_in_order(message: asgi.Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                try:
                    runtime = self._build_runtime(scope.get("app"))
                    await runtime.start()
                except Exception as error:
                    log.exception("runtime_start_failed")
                    await send({"type": "lifespan.startup.failed", "message": f"{type(error).__name__}: {error}"})
                    return
                self._runtime = runtime
            elif message["type"].startswith("lifespan.shutdown") and self._runtime is not None:
                await asyncio.gather(*self._checks, return_exceptions=True)
                await self._runtime.stop()
            await send(message)

        await self._app(scope, receive, send_in_order)

    async def _handle_http(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        runtime = self._runtime
        method, path = scope["method"], scope["path"]
        try:
            if runtime is None:
                raise RefusalError(503, RefusalCode.NOT_STARTED, "The server is starting", retry_after=1)
            if method == "POST" and path in INFERENCE_PATHS:
                await self._infer(runtime, scope, receive, send)
            elif (method, path) in PASSED_ON:
                await self._app(scope, receive, send)
            elif (method, path) == ("GET", MODELS_PATH):
                await asgi.send_json(send, 200, _list_models(runtime))
            elif path.startswith(f"{ADMIN_PREFIX}/"):
                await admin.handle(runtime, scope, receive, send)
            else:
                raise RefusalError(404, RefusalCode.NOT_FOUND, "There is nothing here")
        except RefusalError as refusal:
            if runtime is not None:
                runtime.count_refusal(refusal.code.value)
            await asgi.send_json(send, refusal.status, refusal.to_body(), refusal.headers())
        except asgi.ClientDisconnectedError:
            return

    async def _infer(self, runtime: Runtime, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        limit = runtime.config.max_request_bytes
        request_body.check_headers(scope["headers"], limit)
        body = await asgi.read_body(receive, limit)
        if body is None:
            raise request_body.too_large(limit)
        started = time.perf_counter()
        big = len(body) > request_body.OFF_LOOP_BYTES
        data = await asyncio.to_thread(request_body.decode_body, body) if big else request_body.decode_body(body)
        assignment = assign(runtime, scope["headers"], data)
        output = assignment.route.output_contract if assignment.route is not None else None
        texts = AnswerTexts() if output is not None and not data.get("echo") else None
        hide_usage = output is not None and output.max_tokens is not None and ask_for_usage(data)
        data["model"] = assignment.model
        relay = AnswerRelay(
            send, assignment.alias, assignment.model, assignment.revision, texts=texts, hide_usage=hide_usage
        )
        # From here on the revision is in use: it is not unloaded while a large body is encoded.
        runtime.pool.enter(assignment.model)
        failed, refused, disconnected = False, False, False
        try:
            body = await asyncio.to_thread(request_body.encode_body, data) if big else request_body.encode_body(data)
            exchange = _Exchange(body, receive, relay)
            inner = {**scope, "headers": request_body.replace_headers(scope["headers"], len(body))}
            try:
                await self._app(inner, exchange.receive, relay)
            finally:
                disconnected = exchange.disconnected
        except RefusalError:
            refused = True  # a client's mistake says nothing of the revision
            raise
        except Exception:
            failed = True
            raise
        finally:
            runtime.pool.leave(assignment.model)
            if assignment.route is not None and not refused and not _is_cancelling():
                outcome = _Outcome(relay, failed=failed, disconnected=disconnected, started=started)
                self._count(runtime, assignment, assignment.route, outcome, texts)

    def _count(
        self, runtime: Runtime, assignment: Assignment, route: Route, outcome: _Outcome, texts: AnswerTexts | None
    ) -> None:
        bad = outcome.bad(route.slow_after_milliseconds)
        if bad is None:
            return

        def add(bad: frozenset[LiveMetricType], *, unchecked: bool) -> None:
            runtime.counters.add(
                Answer(
                    alias=assignment.alias,
                    revision=assignment.revision,
                    bucket=assignment.bucket,
                    milliseconds=outcome.milliseconds,
                    bad=bad,
                    unchecked=unchecked,
                    by_bucket=route.count_by_key_bucket,
                )
            )

        output = route.output_contract
        if output is None:
            add(bad, unchecked=False)
            return
        if not outcome.has_answer or texts is None:
            add(bad, unchecked=True)
            return

        async def check() -> None:
            result = await checker.check_answer(runtime.checker, output, texts.texts(), texts.completion_tokens)
            breached = frozenset({LiveMetricType.OUTPUT_CONTRACT}) if result == BREACH else frozenset()
            add(bad | breached, unchecked=result == UNCHECKED)

        task = asyncio.create_task(check(), name="output-contract")
        self._checks.add(task)
        task.add_done_callback(self._checks.discard)


class _Exchange:
    """Hands vLLM the new body, then the client's own messages, and notes a disconnect before the answer's end.

    That is noted when it is seen: once a client has left, vLLM ends a whole answer with ``200 null``, which looks complete.
    """

    def __init__(self, body: bytes, receive: asgi.Receive, relay: AnswerRelay) -> None:
        self._body: bytes | None = body
        self._receive = receive
        self._relay = relay
        self.disconnected = False

    async def receive(self) -> asgi.Message:
        """Be the inner app's ``receive``."""
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        message = await self._receive()
        if message["type"] == "http.disconnect" and not self._relay.complete:
            self.disconnected = True
        return message


class _Outcome:
    """How an answer ended, and what of that is bad."""

    def __init__(self, relay: AnswerRelay, *, failed: bool, disconnected: bool, started: float) -> None:
        self._relay = relay
        self._failed = failed
        self._disconnected = disconnected
        self.milliseconds = ((relay.finished_at or time.perf_counter()) - started) * 1000

    @property
    def has_answer(self) -> bool:
        """Tell whether the client got a whole answer whose text can be judged."""
        relay = self._relay
        whole = relay.complete and not self._disconnected
        return whole and not self._failed and not relay.stream_failed and relay.status < _BAD_REQUEST

    def bad(self, slow_after: int | None) -> frozenset[LiveMetricType] | None:
        """Return the metrics for which this answer is bad, or None when it is no answer at all.

        Nobody's answer: the client's own mistake (4xx), and a client that left before the answer was due. One that left
        after the limit is a slow answer: else the slowest would vanish from the evidence.
        """
        slow = slow_after is not None and self.milliseconds > slow_after
        latency = frozenset({LiveMetricType.LATENCY}) if slow else frozenset()
        relay = self._relay
        if self._disconnected:
            return latency or None
        if self._failed or relay.stream_failed or not relay.complete or relay.status >= _SERVER_ERROR:
            return latency | {LiveMetricType.ERROR_RATE}
        return None if relay.status >= _BAD_REQUEST else latency


def assign(runtime: Runtime, headers: asgi.Headers, data: dict[str, Any]) -> Assignment:
    """Decide who answers.

    Raises:
        RefusalError: unknown alias (404), none of its revisions loaded here (503), evaluation not allowed (401, 403).
    """
    alias = data["model"]
    evaluated = asgi.get_header(headers, EVALUATE_HEADER)
    if evaluated is not None:
        return _assign_evaluation(runtime, headers, alias, evaluated)
    route = runtime.routes.get(alias)
    if route is None:
        raise RefusalError(
            404,
            RefusalCode.MODEL_NOT_FOUND,
            f"The model `{alias[:200]}` does not exist; GET /v1/models lists what this server answers for",
            param="model",
        )
    key = routing.find_sticky_key(route.sticky_by, lambda name: asgi.get_header(headers, name), data)
    key = key if key is not None else routing.make_own_key()
    revision = routing.choose_target(route, key, runtime.pool.is_loaded)
    if revision is None:
        raise _unavailable(alias)
    return Assignment(alias, revision, revision, route, routing.bucket_of(key))


def _assign_evaluation(runtime: Runtime, headers: asgi.Headers, alias: str, revision: str) -> Assignment:
    try:
        authorization = asgi.get_header(headers, "authorization")
        claims = runtime.key.verify_token(authorization, runtime.config.server_uid, EVALUATE_SCOPE)
    except AuthError as error:
        raise RefusalError(401, RefusalCode.UNAUTHORIZED, str(error)) from error
    allowed = claims.get("revisions")
    if not isinstance(allowed, list) or revision not in allowed:
        raise RefusalError(403, RefusalCode.FORBIDDEN, f"The token does not allow to evaluate {revision[:200]}")
    if revision == BASE_MODEL_TARGET:
        return Assignment(alias, runtime.config.served_base_name, BASE_MODEL_TARGET)
    if not runtime.pool.is_loaded(revision):
        raise _unavailable(revision[:200])
    return Assignment(alias, revision, revision)


def ask_for_usage(data: dict[str, Any]) -> bool:
    """Make a streamed answer end with its usage, which a token limit is checked on; tell whether that was added."""
    if data.get("stream") is not True:
        return False
    options = data.get("stream_options")
    if options is not None and (not isinstance(options, dict) or options.get("include_usage")):
        return False  # asked for already, or malformed: vLLM says so
    data["stream_options"] = {**(options or {}), "include_usage": True}
    return True


def _unavailable(name: str) -> RefusalError:
    return RefusalError(
        503,
        RefusalCode.ADAPTER_UNAVAILABLE,
        f"No adapter of `{name}` is loaded on this replica; try again",
        param="model",
        retry_after=RETRY_AFTER_SECONDS,
    )


def _list_models(runtime: Runtime) -> bytes:
    models = [
        {
            "id": alias,
            "object": "model",
            "created": 0,
            "owned_by": route.namespace,
            "max_model_len": runtime.config.max_model_length,
        }
        for alias, route in sorted(runtime.routes.items())
        if route.targets
    ]
    return orjson.dumps({"object": "list", "data": models})


def _is_cancelling() -> bool:
    """Tell whether the server is ending this request itself, because it is shutting down."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
