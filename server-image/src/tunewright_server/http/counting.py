"""Count the answers to clients, after the check of their output contract."""

from __future__ import annotations

import asyncio
import dataclasses

from tunewright_contracts.metrics import LiveMetricType
from tunewright_contracts.serving_plan import OutputContract, Route
from tunewright_server.http.answer_texts import AnswerTexts
from tunewright_server.http.assignment import Assignment
from tunewright_server.http.ending import Ending, Outcome
from tunewright_server.output_contract import checker
from tunewright_server.output_contract.worker import CheckOutcome
from tunewright_server.runtime import Runtime
from tunewright_server.telemetry.counters import Answer


class AnswerCounter:
    """Count finished requests. A contract is checked after the answer, so that no client waits for a check."""

    def __init__(self) -> None:
        self._checks: set[asyncio.Task[None]] = set()

    def count(
        self,
        runtime: Runtime,
        assignment: Assignment,
        route: Route,
        texts: AnswerTexts | None,
        *,
        ending: Ending,
        milliseconds: float,
    ) -> None:
        """Count one request, now or after the check of its contract.

        Args:
            runtime: has the counters and the checker.
            assignment: the revision that answered.
            route: the rules for its alias.
            texts: the answer's texts, if the contract needs them.
            ending: how the answer ended.
            milliseconds: from the request's last byte to the answer's last byte.
        """
        output = route.output_contract
        too_long = texts is not None and _is_too_long(output, texts)
        outcome = Outcome(ending, milliseconds, too_long=too_long)
        if ending is Ending.OVERLOADED:
            runtime.counters.add_overloaded(assignment.alias, assignment.revision)
        if not outcome.is_request:
            return
        bad = outcome.find_bad_metrics(route.slow_after_milliseconds)
        checkable = texts if ending is Ending.WHOLE else None
        is_breach = bad is not None and LiveMetricType.OUTPUT_CONTRACT in bad
        answer = Answer(
            alias=assignment.alias,
            revision=assignment.revision,
            bucket=assignment.bucket,
            milliseconds=milliseconds,
            bad=bad,
            unchecked=output is not None and checkable is None and not is_breach,
            by_bucket=route.count_by_key_bucket,
            abandoned=ending is Ending.ABANDONED,
        )
        if output is None or checkable is None:
            runtime.counters.add(answer)
            return
        task = asyncio.create_task(_check_and_count(runtime, output, checkable, answer), name="output-contract")
        self._checks.add(task)
        task.add_done_callback(self._checks.discard)

    async def close(self) -> None:
        """Wait for the running checks."""
        await asyncio.gather(*self._checks, return_exceptions=True)


async def _check_and_count(runtime: Runtime, output: OutputContract, texts: AnswerTexts, answer: Answer) -> None:
    result = await checker.check_answer(runtime.checker, output, texts.texts(), texts.completion_tokens)
    breached = frozenset({LiveMetricType.OUTPUT_CONTRACT}) if result is CheckOutcome.BREACH else frozenset()
    bad = (answer.bad or frozenset()) | breached
    runtime.counters.add(dataclasses.replace(answer, bad=bad, unchecked=result is CheckOutcome.UNCHECKED))


def _is_too_long(output: OutputContract | None, texts: AnswerTexts) -> bool:
    return output is not None and output.max_tokens is not None and texts.exceeds(output.max_tokens)
