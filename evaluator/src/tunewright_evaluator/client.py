"""Get an arm's answers from the real servers: authorized requests name its revision and do not count as live."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx

from tunewright_contracts.serving_plan import EVALUATE_HEADER
from tunewright_evaluator.reasons import EvaluationReason
from tunewright_evaluator.records import Record

_ATTEMPTS = 5


class AnswerError(Exception):
    """An arm gave no answer; ``reason`` is for the report, and the message names arm, record and remedy."""

    def __init__(self, reason: EvaluationReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ServerClient:
    """Request chat completions at temperature 0 (the default of 1.0 makes answers of small models useless)."""

    def __init__(self, http: httpx.AsyncClient, alias: str, token_path: Path, max_tokens: int) -> None:
        self._http = http
        self._alias = alias
        self._token_path = token_path
        self._max_tokens = max_tokens

    async def ask(self, target: str, record: Record) -> str:
        """Return an arm's answer to a record.

        Args:
            target: a revision name or `serving_plan.BASE_MODEL_TARGET`.
            record: the record whose conversation is sent.

        Raises:
            AnswerError: several attempts with growing pauses failed, or one failed in a way that a retry does not fix.
        """
        problem = ""
        for attempt in range(_ATTEMPTS):
            if attempt:
                await asyncio.sleep(0.5 * 2**attempt)
            try:
                response = await self._http.post(
                    "/v1/chat/completions",
                    json={
                        "model": self._alias,
                        "messages": list(record.messages),
                        "temperature": 0,
                        "max_tokens": self._max_tokens,
                    },
                    headers={EVALUATE_HEADER: target, "Authorization": f"Bearer {self._token()}"},
                )
            except httpx.HTTPError as error:
                problem = f"{type(error).__name__}: {error}"
                continue
            if response.status_code == httpx.codes.OK:
                try:
                    return str(response.json()["choices"][0]["message"]["content"] or "")
                except (ValueError, LookupError, TypeError):
                    problem = f"HTTP 200 without a chat completion: {response.text[:200]}"
                    continue
            problem = f"HTTP {response.status_code}: {response.text[:200]}"
            if response.status_code in {400, 413}:
                raise AnswerError(
                    EvaluationReason.RECORD_REFUSED,
                    f"the server rejected record {record.index} of the held-out set ({problem}); shorten the record, "
                    "lower evaluation.maxTokens, or have the ModelServer's vllm.maxModelLength raised",
                )
        raise AnswerError(
            EvaluationReason.SERVER_UNAVAILABLE,
            f"{target} did not answer record {record.index} ({problem}); check that the ModelServer is ready and that "
            f"{target} is loaded",
        )

    def _token(self) -> str:
        # Read it for each request: the operator renews the short-lived token while the Job runs.
        return self._token_path.read_text().strip()
