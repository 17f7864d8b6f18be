"""Ask all questions of an arm, only so many at a time as the pool has free places for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import structlog

from tunewright_contracts.progress import Phase
from tunewright_evaluator.arms import Arm
from tunewright_evaluator.client import AnswerError, BusyError, NoAnswerError, ServerClient
from tunewright_evaluator.concurrency import Concurrency
from tunewright_evaluator.progress_server import ProgressBoard
from tunewright_evaluator.reasons import EvaluationReason
from tunewright_evaluator.records import Record

_ATTEMPTS = 5
_BUSY_SECONDS = 1800.0
"""A question that the pool refuses for so long, because clients use all of it, ends the evaluation with an error."""
_REPORTED_ANSWERS = 20
"""After this many answers of an arm, a log line shows that the evaluation makes progress."""

log = structlog.get_logger(__name__)


class Asking:
    """Asks arm after arm, and shows on the board how many of all questions are answered."""

    def __init__(self, client: ServerClient, concurrency: Concurrency, board: ProgressBoard, total: int) -> None:
        """Prepare to ask; ``total`` is the number of questions of all arms."""
        self._client = client
        self._concurrency = concurrency
        self._board = board
        self._answered = 0
        self._in_flight = 0
        self._changed = asyncio.Condition()
        board.update(phase=Phase.EVALUATING, evaluated=0, to_evaluate=total)

    async def ask_arm(self, arm: Arm) -> list[str]:
        """Return the answers to an arm's missing records, in their order.

        Raises:
            AnswerError: a record got no answer.
        """
        records = arm.missing
        done = 0

        async def ask(record: Record) -> str:
            nonlocal done
            answer = await self._ask(arm.target, record)
            done += 1
            self._answered += 1
            self._board.update(evaluated=self._answered)
            if done % _REPORTED_ANSWERS == 0:
                limit = self._concurrency.limit(_now())
                log.info("answered", arm=arm.name, answered=done, records=len(records), concurrency=limit)
            return answer

        reused = len(arm.records) - len(records)
        if not records:
            log.info("answers_reused", target=arm.target, reused=reused)
            return []
        log.info("asking_started", arm=arm.name, target=arm.target, records=len(records), reused=reused)
        self._concurrency.begin_arm()
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(ask(record)) for record in records]
        except ExceptionGroup as errors:
            # Not `except*`: Python 3.11.2, which Debian 12 has, wraps an exception raised in its body in a group again.
            unanswered = next((error for error in errors.exceptions if isinstance(error, AnswerError)), None)
            if unanswered is None:
                raise
            raise unanswered from None
        return [task.result() for task in tasks]

    async def _ask(self, target: str, record: Record) -> str:
        failures, busy_since = 0, None
        while True:
            try:
                return await self._ask_once(target, record)
            except BusyError as busy:
                busy_since = _now() if busy_since is None else busy_since
                if _now() - busy_since >= _BUSY_SECONDS:
                    raise _explain(target, record, str(busy)) from busy
                pause = busy.retry_after
            except NoAnswerError as error:
                failures += 1
                if failures == _ATTEMPTS:
                    raise _explain(target, record, str(error)) from error
                pause = 0.5 * 2**failures
            await asyncio.sleep(pause)

    async def _ask_once(self, target: str, record: Record) -> str:
        async with self._place():
            started = _now()
            try:
                answer = await self._client.ask(target, record)
            except BusyError as busy:
                self._concurrency.note_refusal(busy.load, _now())
                raise
            except NoAnswerError:
                self._concurrency.note_refusal(None, _now())
                raise
            now = _now()
            self._concurrency.note_answer(now - started, answer.tokens, answer.load, now)
            return answer.text

    @contextlib.asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        """Wait until one more request may be in flight."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._in_flight < self._concurrency.limit(_now()))
            self._in_flight += 1
        try:
            yield
        finally:
            async with self._changed:
                self._in_flight -= 1
                self._changed.notify(max(1, self._concurrency.limit(_now()) - self._in_flight))


def _now() -> float:
    return asyncio.get_running_loop().time()


def _explain(target: str, record: Record, problem: str) -> AnswerError:
    return AnswerError(
        EvaluationReason.SERVER_UNAVAILABLE,
        f"{target} did not answer record {record.index} ({problem}); check that the ModelServer is ready and that "
        f"{target} is loaded",
    )
