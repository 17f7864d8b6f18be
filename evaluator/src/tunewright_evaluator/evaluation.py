"""One evaluation: fetch the records, get every arm's answers, compare them, write the report."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import httpx

from tunewright_contracts.authentication.document_key import DocumentKey, DocumentKind
from tunewright_contracts.evaluation_report import (
    MAX_HELD_OUT_BYTES,
    ArmAnswers,
    EvaluationReport,
    EvaluationRequest,
    SampleAnswer,
    Verdict,
)
from tunewright_contracts.storage_uri import StorageURI
from tunewright_evaluator.arms import finish_arm, plan_arms
from tunewright_evaluator.asking import Asking
from tunewright_evaluator.client import AnswerError, ServerClient
from tunewright_evaluator.comparison import compare_arms, worst_verdict
from tunewright_evaluator.concurrency import Concurrency
from tunewright_evaluator.progress_server import ProgressBoard
from tunewright_evaluator.reasons import EvaluationReason
from tunewright_evaluator.records import choose_records, parse_records
from tunewright_evaluator.scorers import build_scorer
from tunewright_storage.store import Store, digest_bytes

_REQUEST_TIMEOUT_SECONDS = 300
"""Long enough for a server on a few slow cores that has all requests of an evaluation in one batch."""


async def evaluate(
    request: EvaluationRequest,
    store: Store,
    token_path: Path,
    transport: httpx.AsyncBaseTransport | None = None,
    board: ProgressBoard | None = None,
    *,
    key: DocumentKey,
) -> EvaluationReport:
    """Evaluate a candidate and store the report.

    Args:
        request: what to compare.
        store: where to read the records and write the report.
        token_path: the file with the current bearer token.
        transport: how to reach the servers; None: by the network.
        board: shows how many questions are answered.
        key: of the deployment's documents.

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
    digest = digest_bytes(data)
    if request.dataset_digest is not None and digest != request.dataset_digest:
        return build_error_report(
            request,
            EvaluationReason.HELD_OUT_CHANGED,
            f"{dataset} has the digest {digest} instead of {request.dataset_digest}, which the adapter's job recorded. "
            f"{EvaluationReason.HELD_OUT_CHANGED.remedy}",
        ).updated(dataset_digest=digest)
    records = choose_records(parse_records(data, request.dataset_uri), request.max_samples)
    if not records:
        return build_error_report(
            request, EvaluationReason.NO_RECORDS, f"{dataset} contains no records; use a held-out set with records"
        )
    answers: dict[str, list[str]] = {}
    done: list[ArmAnswers] = []
    try:
        async with httpx.AsyncClient(
            base_url=request.server_url,
            timeout=_REQUEST_TIMEOUT_SECONDS,
            follow_redirects=False,
            trust_env=False,
            transport=transport,
        ) as http:
            client = ServerClient(http, request.alias, token_path, request.max_tokens)
            arms = await plan_arms(request, store, records, key)
            total = sum(len(arm.missing) for arm in arms)
            asking = Asking(client, Concurrency(request.concurrency), board or ProgressBoard(), total)
            for arm in arms:
                answers[arm.name] = arm.join(await asking.ask_arm(arm))
                done.append(await finish_arm(store, report_uri, arm, answers[arm.name], key))
    except AnswerError as error:
        # The arms that are complete need not be asked again by the next try.
        return build_error_report(request, error.reason, str(error)).updated(arms=tuple(done))
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
        dataset_digest=digest,
        seconds=round(time.monotonic() - started, 1),
        report_uri=str(report_uri),
        engine=request.engine,
        arms=tuple(done),
        answers=tuple(
            SampleAnswer(
                record=record.index, reference=record.reference, **{arm: given[place] for arm, given in answers.items()}
            )
            for place, record in enumerate(records)
        ),
    )
    await asyncio.to_thread(store.write, report_uri, key.seal(DocumentKind.EVALUATION_REPORT, report))
    return report


def build_error_report(request: EvaluationRequest, reason: str, message: str) -> EvaluationReport:
    """Return the report of an evaluation that failed before it could compare."""
    return EvaluationReport(
        verdict=Verdict.ERROR,
        reason=reason,
        message=message,
        candidate=request.candidate,
        incumbent=request.incumbent,
        engine=request.engine,
    )
