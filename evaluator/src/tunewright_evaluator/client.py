"""Ask the real servers: authorized requests name a revision and do not count as live."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import httpx

from tunewright_contracts.document import ContractError
from tunewright_contracts.pool_load import LOAD_HEADER, PodLoad
from tunewright_contracts.serving_plan import EVALUATE_HEADER
from tunewright_evaluator.reasons import EvaluationReason
from tunewright_evaluator.records import Record

MAX_REPLY_BYTES = 4 << 20
"""Of the longest answer that a spec allows, 8,192 tokens, each has 512 bytes; a pod that sends more is broken."""
MAX_ANSWER_TOKENS = 8192
_MAX_RETRY_AFTER_SECONDS = 60.0
_CUT_OFF = frozenset({"abort", "error"})
"""vLLM's reasons to end an answer that is not complete: it failed, or the server shuts down."""


class AnswerError(Exception):
    """An arm gave no answer; ``reason`` is for the report, and the message names arm, record and remedy."""

    def __init__(self, reason: EvaluationReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class NoAnswerError(Exception):
    """A request got no answer, and another try may get one; the message is what happened."""


class BusyError(Exception):
    """The pool has no free place for the request now; ``retry_after`` is in seconds."""

    def __init__(self, message: str, retry_after: float, load: PodLoad | None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.load = load


@dataclasses.dataclass(frozen=True)
class Answer:
    """An answer, how many tokens it has (at least 1), and the load of the replica that gave it, if it reported that."""

    text: str
    tokens: int = 1
    load: PodLoad | None = None


@dataclasses.dataclass(frozen=True)
class _Reply:
    """A complete HTTP response."""

    status: int
    headers: httpx.Headers
    body: bytes

    @property
    def beginning(self) -> str:
        """The start of the body, for a message."""
        return self.body[:200].decode(errors="replace")


class ServerClient:
    """Request chat completions at temperature 0 (the default of 1.0 makes answers of small models useless)."""

    def __init__(self, http: httpx.AsyncClient, alias: str, token_path: Path, max_tokens: int) -> None:
        self._http = http
        self._alias = alias
        self._token_path = token_path
        self._max_tokens = max_tokens

    async def ask(self, target: str, record: Record) -> Answer:
        """Return an arm's answer to a record, with one request.

        Args:
            target: a revision name or `serving_plan.BASE_MODEL_TARGET`.
            record: the record whose conversation is sent.

        Raises:
            AnswerError: the server rejects the record, which another try does not change.
            BusyError: the pool is busy.
            NoAnswerError: the request failed in another way.
        """
        reply = await self._send(target, record)
        if reply.status == httpx.codes.OK:
            return _read_answer(reply)
        problem = f"HTTP {reply.status}: {reply.beginning}"
        if reply.status in {400, 413}:
            raise AnswerError(
                EvaluationReason.RECORD_REFUSED,
                f"the server rejected record {record.index} of the held-out set ({problem}); shorten the record, "
                "lower evaluation.maxTokens, or have the ModelServer's vllm.maxModelLength raised",
            )
        if reply.status == httpx.codes.TOO_MANY_REQUESTS:
            raise BusyError(problem, _read_retry_after(reply), _read_load(reply))
        raise NoAnswerError(problem)

    async def _send(self, target: str, record: Record) -> _Reply:
        """Send a record and return the response, of which at most `MAX_REPLY_BYTES` are read.

        Raises:
            NoAnswerError: there is no response, or it is longer or compressed.
        """
        body = {
            "model": self._alias,
            "messages": list(record.messages),
            "temperature": 0,
            "max_tokens": self._max_tokens,
        }
        headers = {
            EVALUATE_HEADER: target,
            "Authorization": f"Bearer {self._token()}",
            # A short compressed body could become a long one.
            "Accept-Encoding": "identity",
        }
        received = bytearray()
        try:
            async with self._http.stream("POST", "/v1/chat/completions", json=body, headers=headers) as response:
                if response.headers.get("Content-Encoding", "identity") != "identity":
                    raise NoAnswerError("the response is compressed, which was not asked for")
                async for chunk in response.aiter_bytes():
                    received += chunk
                    if len(received) > MAX_REPLY_BYTES:
                        raise NoAnswerError(f"the response has more than {MAX_REPLY_BYTES} bytes")
        except httpx.HTTPError as error:
            raise NoAnswerError(f"{type(error).__name__}: {error}") from error
        return _Reply(response.status_code, response.headers, bytes(received))

    def _token(self) -> str:
        # Read it for each request: the operator renews the short-lived token while the Job runs.
        return self._token_path.read_text().strip()


def _read_answer(reply: _Reply) -> Answer:
    try:
        data = json.loads(reply.body)
        choice = data["choices"][0]
        text = str(choice["message"]["content"] or "")
        ending = choice.get("finish_reason")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise NoAnswerError(f"HTTP 200 without a chat completion: {reply.beginning}") from error
    if isinstance(ending, str) and ending in _CUT_OFF:
        raise NoAnswerError(f"the server cut off the answer (finish_reason {ending})")
    usage = data.get("usage")
    tokens = usage.get("completion_tokens") if isinstance(usage, dict) else None
    if not isinstance(tokens, int) or not 0 < tokens <= MAX_ANSWER_TOKENS:
        tokens = 1
    return Answer(text, tokens, _read_load(reply))


def _read_load(reply: _Reply) -> PodLoad | None:
    """Return the load in a response's header; None without one, or if this release cannot read it."""
    try:
        return PodLoad.from_json(reply.headers.get(LOAD_HEADER, ""))
    except ContractError:
        return None


def _read_retry_after(reply: _Reply) -> float:
    """Return the seconds in a response's Retry-After (RFC 9110, 10.2.3), within limits; 1 without them."""
    text = reply.headers.get("Retry-After", "")
    return min(float(text), _MAX_RETRY_AFTER_SECONDS) if text.isascii() and text.isdigit() else 1.0
