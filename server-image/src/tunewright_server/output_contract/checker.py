"""Check answers against their output contract: after the answer was sent, and in a separate process, which may die."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any, Protocol

import orjson
import structlog

from tunewright_contracts.output_schema import find_schema_problem
from tunewright_contracts.serving_plan import OutputContract
from tunewright_server.output_contract.worker import CheckOutcome

log = structlog.get_logger(__name__)

MAX_ANSWER_BYTES = 64 * 1024
_MAX_WAITING, _MAX_WAITING_OF_ONE_SCHEMA = 256, 32
_MAX_LOST_IN_A_ROW = 3
_WALL_SECONDS = 10.0
"""A last resort for a worker that neither answers nor uses time; the worker itself limits its CPU time."""
_WORKER_VARIABLES = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "HOME")


class SchemaChecker(Protocol):
    """Check texts against a schema."""

    async def check(self, schema: dict[str, Any], text: str) -> CheckOutcome:
        """Return the outcome of one text; never raises."""


async def check_answer(
    checker: SchemaChecker,
    contract: OutputContract,
    texts: Sequence[str | None] | None,
    completion_tokens: int | None,
) -> CheckOutcome:
    """Return the outcome of one answer.

    Args:
        checker: checks texts against the schema.
        contract: the route's output contract.
        texts: the text of each choice, None for one that the client cut short; or None if the answer has no text to
            check (a tool call, an echo).
        completion_tokens: how many tokens were generated for all choices, if the server reported it.

    A breach of one choice is a breach of the answer. With several choices, ``max_tokens`` limits their mean. An answer
    that was cut short, but is already too long, is a breach.
    """
    if texts is None:
        return CheckOutcome.UNCHECKED
    whole = [text for text in texts if text is not None]
    unchecked = len(whole) < len(texts)
    if contract.max_tokens is not None:
        if completion_tokens is None:
            unchecked = True
        elif completion_tokens > contract.max_tokens * max(1, len(texts)):
            return CheckOutcome.BREACH
    if contract.json_schema is not None:
        for text in whole:
            outcome = CheckOutcome.UNCHECKED
            if len(text) <= MAX_ANSWER_BYTES and len(text.encode("utf-8", "replace")) <= MAX_ANSWER_BYTES:
                outcome = await checker.check(contract.json_schema, text)
            if outcome is CheckOutcome.BREACH:
                return CheckOutcome.BREACH
            unchecked = unchecked or outcome is CheckOutcome.UNCHECKED
    return CheckOutcome.UNCHECKED if unchecked else CheckOutcome.PASS


class ProcessChecker:
    """A `SchemaChecker` with one worker process, which is started at the first check and restarted when it is lost.

    Checks run one at a time. If too many wait, in total or for one schema, or if the worker was lost three times in a
    row for one schema, the outcome is UNCHECKED immediately. So a tenant's slow schema affects only its own evidence.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._sent: set[str] = set()
        self._lost: dict[str, int] = {}
        self._keys: dict[int, tuple[dict[str, Any], str, str | None]] = {}
        self._waiting: Counter[str] = Counter()

    async def check(self, schema: dict[str, Any], text: str) -> CheckOutcome:
        """Return the outcome of a text; see `SchemaChecker.check`."""
        key, problem = self._key_of(schema)
        if problem is not None or self._lost.get(key, 0) >= _MAX_LOST_IN_A_ROW or not self._has_room(key):
            return CheckOutcome.UNCHECKED
        self._waiting[key] += 1
        try:
            async with self._lock:
                return await self._ask(key, schema, text)
        finally:
            self._waiting -= Counter([key])  # this also drops counts of 0

    async def close(self) -> None:
        """Stop the worker."""
        async with self._lock:
            await self._stop()

    def _has_room(self, key: str) -> bool:
        return self._waiting[key] < _MAX_WAITING_OF_ONE_SCHEMA and self._waiting.total() < _MAX_WAITING

    def _key_of(self, schema: dict[str, Any]) -> tuple[str, str | None]:
        known = self._keys.get(id(schema))
        if known is not None and known[0] is schema:  # a plan's schemas live as long as the plan
            return known[1], known[2]
        key, problem = "", find_schema_problem(schema)
        if problem is None:
            key = hashlib.sha256(orjson.dumps(schema, option=orjson.OPT_SORT_KEYS)).hexdigest()
        else:
            log.warning("output_contract_not_run", problem=problem)
        if len(self._keys) >= _MAX_WAITING:
            self._keys.clear()
        self._keys[id(schema)] = (schema, key, problem)
        return key, problem

    async def _ask(self, key: str, schema: dict[str, Any], text: str) -> CheckOutcome:
        request: dict[str, Any] = {"id": key, "text": text}
        try:
            process = await self._start()
            if key not in self._sent:
                request["schema"] = schema
            assert process.stdin is not None  # noqa: S101 - piped
            assert process.stdout is not None  # noqa: S101 - piped
            process.stdin.write(orjson.dumps(request) + b"\n")
            async with asyncio.timeout(_WALL_SECONDS):
                await process.stdin.drain()
                line = await process.stdout.readline()
            answer = orjson.loads(line)
        except (OSError, TimeoutError, orjson.JSONDecodeError, TypeError) as error:
            # No line: the kernel killed the worker at its limit of CPU time.
            await self._stop()
            self._lost[key] = self._lost.get(key, 0) + 1
            if self._lost[key] == _MAX_LOST_IN_A_ROW:
                log.warning("output_contract_too_slow", schema=key[:12], error=type(error).__name__)
            return CheckOutcome.UNCHECKED
        self._lost.pop(key, None)
        if answer["problem"]:
            log.warning("output_contract_not_run", problem=answer["problem"])
        if answer["known"]:
            self._sent.add(key)
        return CheckOutcome(answer["outcome"])

    async def _start(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            self._sent.clear()
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "tunewright_server.output_contract.worker",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=1 << 20,
                # The process that runs tenants' schemas gets none of the pod's credentials.
                env={name: os.environ[name] for name in _WORKER_VARIABLES if name in os.environ},
            )
        return self._process

    async def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        # Only wait for a worker that has exited: kill() would reap it first, and its exit status would be lost.
        ended = process.stdout is not None and process.stdout.at_eof()
        if not ended:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await process.wait()
