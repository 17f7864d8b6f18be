"""The only way into a server pod: a pure ASGI middleware in vLLM's process.

``vllm serve --middleware tunewright_server.http.middleware.TunewrightMiddleware`` makes it the outermost layer. It
answers 404 to any request that is not on the allow list. vLLM parses exactly the fields that were authorized here.
Clients see only the aliases that they may call; who sends a request is known before its body is read.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable
from typing import Any

import structlog

from tunewright_contracts.serving_plan import ADMIN_PREFIX
from tunewright_server.http import admin, asgi, cors, identity, models, paths, request_body
from tunewright_server.http.answer_texts import AnswerTexts
from tunewright_server.http.assignment import assign, find_session_fields
from tunewright_server.http.client_options import ClientOptions
from tunewright_server.http.connections import close_idle
from tunewright_server.http.counting import AnswerCounter
from tunewright_server.http.ending import Ending
from tunewright_server.http.errors import RefusalCode, RefusalError, evaluations_limited
from tunewright_server.http.request_fields.values import Limits
from tunewright_server.http.responses import AnswerRelay
from tunewright_server.http.uploads import Uploads
from tunewright_server.runtime import Runtime

log = structlog.get_logger(__name__)


class TunewrightMiddleware:
    """The middleware; vLLM passes only the app."""

    def __init__(self, app: asgi.App, *, build_runtime: Callable[[Any], Runtime] = Runtime.from_environment) -> None:
        self._app = app
        self._build_runtime = build_runtime
        self._runtime: Runtime | None = None
        self._counter = AnswerCounter()
        self._uploads = Uploads()
        self._sweeping: asyncio.Task[None] | None = None

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Answer, forward or refuse one connection."""
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
                self._sweeping = asyncio.create_task(close_idle(scope.get("app")), name="idle-connections")
            elif message["type"].startswith("lifespan.shutdown") and self._runtime is not None:
                if self._sweeping is not None:
                    self._sweeping.cancel()
                await self._counter.close()
                await self._runtime.stop()
            await send(message)

        await self._app(scope, receive, send_in_order)

    async def _handle_http(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        runtime = self._runtime
        if scope["method"] == "HEAD":
            scope, send = {**scope, "method": "GET"}, asgi.drop_body(send)
        origins = runtime.allowed_origins if runtime is not None else frozenset()
        answer = cors.replace_headers(send, scope["headers"], origins)
        try:
            if runtime is None:
                raise RefusalError(503, RefusalCode.NOT_STARTED, "The server is starting", retry_after=1)
            if cors.is_preflight(scope["method"], scope["headers"]):
                await cors.answer_preflight(send, scope["headers"], origins)
            else:
                await self._answer(runtime, scope, receive, answer)
        except RefusalError as refusal:
            if runtime is not None:
                runtime.count_refusal(refusal.code.value)
            await asgi.send_json(answer, refusal.status, refusal.to_body(), refusal.headers())
        except asgi.ClientDisconnectedError:
            return

    async def _answer(self, runtime: Runtime, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        method, path = scope["method"], scope["path"]
        alias = paths.find_model(path)
        if method == "POST" and path in paths.INFERENCE_PATHS:
            await self._infer(runtime, scope, receive, send)
        elif method == "GET" and path in paths.PASSED_ON:
            await self._app(scope, receive, send)
        elif method == "GET" and path == paths.MODELS_PATH:
            caller = identity.identify_client(runtime, scope["headers"])
            await asgi.send_json(send, 200, models.list_models(runtime, caller))
        elif method == "GET" and alias is not None:
            caller = identity.identify_client(runtime, scope["headers"])
            await asgi.send_json(send, 200, models.show_model(runtime, caller, alias))
        elif path.startswith(f"{ADMIN_PREFIX}/"):
            await admin.handle(runtime, self._uploads, scope, receive, send)
        else:
            raise RefusalError(404, RefusalCode.NOT_FOUND, paths.explain_path(method, path))

    async def _infer(self, runtime: Runtime, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        sender = identity.identify(runtime, scope["headers"])
        limit = runtime.config.max_request_bytes
        request_body.check_headers(scope["headers"], limit)
        body = await self._uploads.read(scope, receive, limit)
        if body is None:
            raise request_body.too_large(limit)
        started = time.perf_counter()
        big = len(body) > request_body.OFF_LOOP_BYTES
        limits = Limits(runtime.config.max_model_length, runtime.structured_outputs)
        find_fields = functools.partial(find_session_fields, runtime, sender)
        read = functools.partial(request_body.read_request, body, scope["path"], limits, find_fields)
        given, data = await asyncio.to_thread(read) if big else read()
        assignment = assign(runtime, sender, scope["headers"], given)
        is_evaluation = assignment.route is None
        output = assignment.route.output_contract if assignment.route is not None else None
        options = ClientOptions.of_request(data, assignment.stop_tokens)
        texts = AnswerTexts(options) if output is not None and not data.get("echo") else None
        needs_usage = output is not None and output.max_tokens is not None
        added = request_body.ask_for_usage(data) if needs_usage else request_body.NO_ADDED_USAGE
        added_stops = request_body.add_stop_tokens(data, assignment.stop_tokens)
        data["model"] = assignment.model
        relay = AnswerRelay(
            send,
            assignment.alias,
            assignment.model,
            assignment.revision,
            texts=texts,
            hide_usage=added.final,
            hide_running_usage=added.running,
            added_stops=added_stops,
            more_headers=runtime.load.headers if is_evaluation else tuple,
        )
        if is_evaluation and not runtime.load.admits_evaluation():
            raise evaluations_limited(runtime.load.headers())
        # From here on the revision counts as in use, so it is not unloaded while a large body is encoded.
        runtime.pool.enter(assignment.model)
        runtime.load.enter(is_evaluation=is_evaluation)
        try:
            body = await asyncio.to_thread(request_body.encode_body, data) if big else request_body.encode_body(data)
            exchange = _Exchange(body, receive, relay)
            headers = request_body.build_headers(scope["headers"], len(body))
            inner = {**scope, "headers": headers, "query_string": b""}
            await self._app(inner, exchange.receive, relay)
        except RefusalError:
            relay.end(Ending.CLIENT_ERROR)  # not evidence about the revision
            raise
        except Exception:
            relay.end(Ending.FAILED)
            raise
        finally:
            runtime.pool.leave(assignment.model)
            runtime.load.leave(is_evaluation=is_evaluation)
            if relay.misrouted_status is not None:
                runtime.pool.reload(assignment.model, f"vLLM answered {relay.misrouted_status}")
            if assignment.route is not None:
                ending = Ending.CANCELLED if _is_cancelling() else relay.ending
                finished = relay.finished_at if relay.finished_at is not None else time.perf_counter()
                self._counter.count(
                    runtime,
                    assignment,
                    assignment.route,
                    texts,
                    ending=ending,
                    milliseconds=(finished - started) * 1000,
                )


class _Exchange:
    """Give vLLM the new body and then the client's messages, and record when the client disconnects.

    A disconnect must be recorded when it is seen, because vLLM then ends an answer with ``200 null``, which looks
    complete.
    """

    def __init__(self, body: bytes, receive: asgi.Receive, relay: AnswerRelay) -> None:
        self._body: bytes | None = body
        self._receive = receive
        self._relay = relay

    async def receive(self) -> asgi.Message:
        """Return the next message for the inner app."""
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._relay.note_disconnect()
        return message


def _is_cancelling() -> bool:
    """Return whether the server is cancelling this request because it is shutting down."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
