"""One evaluation: fetch the records, get every arm's answers, compare them, write the report."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import httpx
import structlog

from tunewright_contracts.evaluation_report import (
    MAX_HELD_OUT_BYTES,
    EvaluationReport,
    EvaluationRequest,
    SampleAnswer,
    Verdict,
)
from tunewright_contracts.serving_plan import BASE_MODEL_TARGET
from tunewright_contracts.storage_uri import StorageURI
from tunewright_evaluator.client import AnswerError, ServerClient
from tunewright_evaluator.comparison import BASE, CANDIDATE, INCUMBENT, compare_arms, worst_verdict
from tunewright_evaluator.reasons import EvaluationReason
from tunewright_evaluator.records import Record, choose_records, parse_records
from tunewright_evaluator.scorers import build_scorer
from tunewright_storage.store import Store

_REQUEST_TIMEOUT_SECONDS = 300
"""Long enough for a server on a few slow cores that has all requests of an evaluation in one batch."""
_REPORTED_ANSWERS = 20
"""After this many answers of an arm, a log line shows that the evaluation makes progress."""

log = structlog.get_logger(__name__)


async def evaluate(
    request: EvaluationRequest,
    store: Store,
    token_path: Path,
    transport: httpx.AsyncBaseTransport | None = None,
) -> EvaluationReport:
    """Evaluate a candidate and store the report.

    Args:
        request: what to compare.
        store: where to read the records and write the report.
        token_path: the file with the current bearer token.
        transport: how to reach the servers; None: by the network.

    Raises:
        StorageError: the records cannot be read or the report cannot be written.
        ContractError: the held-out set is malformed.
        ScorerError: a metric has invalid settings (this is checked before the first request).
    """
    started = time.monotonic()
    for metric in request.metrics:
        build_scorer(metric)
    dataset = StorageURI.parse(request.dataset_uri)
    report_uri = StorageURI.parse(request.report_uri)
    data = await asyncio.to_thread(store.read, dataset, MAX_HELD_OUT_BYTES)
    records = choose_records(parse_records(data, request.dataset_uri), request.max_samples)
    if not records:
        return build_error_report(
            request, EvaluationReason.NO_RECORDS, f"{dataset} contains no records; use a held-out set with records"
        )
    arms = {CANDIDATE: request.candidate, BASE: BASE_MODEL_TARGET}
    if request.incumbent is not None:
        arms[INCUMBENT] = request.incumbent
    try:
        async with httpx.AsyncClient(
            base_url=request.server_url,
            timeout=_REQUEST_TIMEOUT_SECONDS,
            follow_redirects=False,
            trust_env=False,
            transport=transport,
        ) as http:
            client = ServerClient(http, request.alias, token_path, request.max_tokens)
            answers = {
                arm: await _ask_all(client, arm, target, records, request.concurrency) for arm, target in arms.items()
            }
    except AnswerError as error:
        return build_error_report(request, error.reason, str(error))
    results = [compare_arms(metric, records, answers, float(request.confidence)) for metric in request.metrics]
    verdict = worst_verdict([result.verdict for result in results])
    report = EvaluationReport(
        verdict=verdict,
        reason={Verdict.PASS: EvaluationReason.PASSED, Verdict.FAIL: EvaluationReason.FAILED}.get(
            verdict, EvaluationReason.INCONCLUSIVE
        ),
        message=" | ".join(result.describe() for result in results),
        candidate=request.candidate,
        incumbent=request.incumbent,
        metrics=tuple(results),
        samples=len(records),
        seconds=round(time.monotonic() - started, 1),
        report_uri=str(report_uri),
        answers=tuple(
            SampleAnswer(
                record=record.index, reference=record.reference, **{arm: given[place] for arm, given in answers.items()}
            )
            for place, record in enumerate(records)
        ),
    )
    await asyncio.to_thread(store.write, report_uri, report.to_json().encode())
    return report


async def _ask_all(
    client: ServerClient, arm: str, target: str, records: Sequence[Record], concurrency: int
) -> list[str]:
    """Send every record to one arm, only ``concurrency`` at a time, because the servers also answer live requests."""
    limit = asyncio.Semaphore(concurrency)
    answered = 0

    async def ask(record: Record) -> str:
        nonlocal answered
        async with limit:
            answer = await client.ask(target, record)
        answered += 1
        if answered % _REPORTED_ANSWERS == 0:
            log.info("answered", arm=arm, answered=answered, records=len(records))
        return answer

    log.info("asking_started", arm=arm, target=target, records=len(records))
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


def build_error_report(request: EvaluationRequest, reason: str, message: str) -> EvaluationReport:
    """Return the report of an evaluation that failed before it could compare."""
    return EvaluationReport(
        verdict=Verdict.ERROR, reason=reason, message=message, candidate=request.candidate, incumbent=request.incumbent
    )
