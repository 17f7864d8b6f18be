"""Relay vLLM's answer under the alias' name, complete or streamed, and record its texts and how it ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable
from typing import Any

import orjson

from tunewright_contracts.serving_plan import REVISION_HEADER
from tunewright_server.http import asgi
from tunewright_server.http.answer_texts import AnswerTexts
from tunewright_server.http.asgi import Message, Send
from tunewright_server.http.ending import MISROUTED, Ending
from tunewright_server.http.errors import adapter_unavailable
from tunewright_server.http.request_body import OFF_LOOP_BYTES

_EVENT_END = b"\n\n"
_DATA = b"data:"
_DONE = b"[DONE]"
_ENDINGS = {"error": Ending.FAILED, "abort": Ending.CANCELLED}
"""By vLLM's reasons to end a choice: it failed, or vLLM stopped it while its client waited."""


class AnswerRelay:
    """An ASGI ``send`` for one request to one revision.

    When the app has returned, ``ending`` and ``finished_at`` (None before the last byte) show how the answer ended.
    A stream is complete with its event ``[DONE]``: clients close the connection when they have read it.
    """

    def __init__(
        self,
        send: Send,
        alias: str,
        model: str,
        revision: str,
        *,
        texts: AnswerTexts | None = None,
        hide_usage: bool = False,
        hide_running_usage: bool = False,
        added_stops: Collection[int] = (),
        more_headers: Callable[[], Iterable[tuple[bytes, bytes]]] = tuple,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Create a relay.

        Args:
            send: sends to the client.
            alias: the model's name in the request.
            model: the revision's name in vLLM.
            revision: the revision's name in the answer's header.
            texts: collects the answer's texts, if a contract needs them.
            hide_usage: drop the usage event at the end of a stream, because the client did not ask for it.
            hide_running_usage: drop the usage in the other events of a stream, for the same reason.
            added_stops: tokens that the client did not name; an answer that one of them ended has no `stop_reason`, as
                if the base model's end token had ended it.
            more_headers: returns further headers of the answer; it is called when the answer begins.
            clock: returns seconds.
        """
        self._send = send
        self._alias = alias
        self._names = (model.encode(), alias.encode())
        self._revision_header = (REVISION_HEADER.encode(), revision.encode())
        self._texts = texts
        self._hide_usage = hide_usage
        self._hide_running_usage = hide_running_usage
        self._added_stops = added_stops
        self._more_headers = more_headers
        self._clock = clock
        self._start: Message | None = None
        self._is_stream = False
        self._is_json = False
        self._buffer = bytearray()
        self._status = 0
        self._is_delivered = False
        self.ending = Ending.UNFINISHED
        self.finished_at: float | None = None

    async def __call__(self, message: Message) -> None:
        """Relay one message."""
        if message["type"] == "http.response.start":
            await self._begin(message)
        elif message["type"] == "http.response.body":
            await self._continue(message)
        else:
            await self._deliver(message)

    @property
    def misrouted_status(self) -> int | None:
        """Return vLLM's status if it does not know the revision or the path; the client gets 503 instead."""
        return self._status if self._status in MISROUTED else None

    def end(self, ending: Ending) -> None:
        """Record how the answer ended, unless the client disconnected or had the complete answer before that."""
        if self.ending is not Ending.ABANDONED and not self._is_delivered:
            self.ending = ending

    def note_disconnect(self) -> None:
        """Record that the client disconnected; this has no effect after the last byte."""
        if self.finished_at is None:
            self.ending = Ending.ABANDONED

    async def _deliver(self, message: Message) -> None:
        try:
            await self._send(message)
        except OSError:  # ASGI: the client has disconnected
            self.end(Ending.ABANDONED)
            raise
        if message["type"] == "http.response.body":
            self._is_delivered = self.finished_at is not None

    async def _begin(self, message: Message) -> None:
        self._status = int(message["status"])
        if self.misrouted_status is not None:
            return
        headers = list(message.get("headers", ()))
        kind = next((value for key, value in headers if key.lower() == b"content-type"), b"")
        self._is_stream = kind.startswith(b"text/event-stream")
        self._is_json = kind.startswith(b"application/json")
        if self._is_stream or self._is_json:
            headers = [(key, value) for key, value in headers if key.lower() != b"content-length"]
        self._start = {**message, "headers": [*headers, self._revision_header, *self._more_headers()]}
        if not self._is_json:
            await self._deliver(self._start)

    async def _continue(self, message: Message) -> None:
        body = message.get("body", b"")
        last = not message.get("more_body", False)
        if last:
            self._finish()
        if self.misrouted_status is not None:
            if last:
                await self._send_refusal()
            return
        if self._is_json:
            self._buffer += body
            if last:
                await self._send_json(bytes(self._buffer))
            return
        if self._is_stream:
            body = self._rewrite_stream(body, last=last)
        if body or last:
            await self._deliver({"type": "http.response.body", "body": body, "more_body": not last})

    def _finish(self) -> None:
        if self.finished_at is None:
            self.finished_at = self._clock()
            if self.ending is Ending.UNFINISHED:
                self.ending = Ending.of_status(self._status)

    async def _send_refusal(self) -> None:
        """Send what a client gets if no adapter is loaded: vLLM's own words would blame the client."""
        refusal = adapter_unavailable(self._alias)
        headers = [self._revision_header, *self._more_headers(), *refusal.headers()]
        await asgi.send_json(self._deliver, refusal.status, refusal.to_body(), headers)

    async def _send_json(self, body: bytes) -> None:
        big = len(body) > OFF_LOOP_BYTES
        body = await asyncio.to_thread(self._rewrite_json, body) if big else self._rewrite_json(body)
        assert self._start is not None  # noqa: S101 - ASGI: the start comes first
        self._start["headers"].append((b"content-length", str(len(body)).encode()))
        await self._deliver(self._start)
        await self._deliver({"type": "http.response.body", "body": body, "more_body": False})

    def _rewrite_json(self, body: bytes) -> bytes:
        data = _load_object(body) if Ending.of_status(self._status) is Ending.WHOLE else None
        if data is None:
            return body.replace(*self._names)  # vLLM's messages contain the revision's name
        return self._rewrite(data)

    def _rewrite_stream(self, chunk: bytes, *, last: bool) -> bytes:
        self._buffer += chunk
        events = bytes(self._buffer).split(_EVENT_END)
        rest = events.pop()
        self._buffer = bytearray() if last else bytearray(rest)
        rewritten = [self._rewrite_event(event) for event in events]
        out = b"".join(event + _EVENT_END for event in rewritten if event is not None)
        return out + (self._rewrite_event(rest) or b"") if last else out

    def _rewrite_event(self, event: bytes) -> bytes | None:
        if event.startswith(_DATA):
            head, payload = b"", event[len(_DATA) :]
        else:
            head, found, payload = event.partition(b"\n" + _DATA)
            if not found:
                return event.replace(*self._names)
            head += b"\n"
        payload = payload.strip()
        if payload == _DONE:
            self._finish()
            return event
        data = _load_object(payload)
        if data is None:
            return event.replace(*self._names)
        rewritten = self._rewrite(data)
        if self._hide_usage and not data.get("choices") and data.get("usage"):
            return None
        return head + _DATA + b" " + rewritten

    def _rewrite(self, data: dict[str, Any]) -> bytes:
        if data.get("error") is not None or data.get("object") == "error":
            self.end(Ending.FAILED)
            return orjson.dumps(data).replace(*self._names)
        if "model" in data:
            data["model"] = self._alias
        if self._added_stops:
            self._hide_stop_reasons(data)
        for choice in data.get("choices") or ():
            ending = _ENDINGS.get(choice.get("finish_reason"))
            if ending is not None:
                self.end(ending)
        if self._texts is not None:
            self._texts.note(data)
        if self._hide_running_usage and data.get("choices"):
            data.pop("usage", None)
        return orjson.dumps(data)

    def _hide_stop_reasons(self, data: dict[str, Any]) -> None:
        for choice in data.get("choices") or ():
            if choice.get("stop_reason") in self._added_stops:
                choice["stop_reason"] = None


def _load_object(text: bytes) -> dict[str, Any] | None:
    try:
        data = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return data if isinstance(data, dict) else None
