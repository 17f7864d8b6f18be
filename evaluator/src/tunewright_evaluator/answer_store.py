"""Keep the answers of an evaluation for the next one, and reuse those of an earlier one."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping, Sequence

import structlog

from tunewright_contracts.authentication.document_key import AuthenticationError, DocumentKey, DocumentKind
from tunewright_contracts.document import ContractError
from tunewright_contracts.evaluation_report import EvaluationRequest
from tunewright_contracts.serving_plan import BASE_MODEL_TARGET
from tunewright_contracts.storage_uri import StorageURI, StorageURIError
from tunewright_contracts.stored_answers import (
    MAX_STORED_BYTES,
    AnswerConditions,
    AnswerRecord,
    KnownAnswers,
    StoredAnswer,
    StoredAnswers,
    answers_uri,
)
from tunewright_evaluator.records import Record
from tunewright_storage.errors import StorageError
from tunewright_storage.store import Store, digest_bytes

log = structlog.get_logger(__name__)

UNKNOWN_ENGINE = "the image or the configuration of the replicas is unknown, or it is being changed"


@dataclasses.dataclass(frozen=True)
class Recalled:
    """Stored answers by the digest of their question; ``note``: why there are none."""

    answers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    note: str = ""


def build_conditions(request: EvaluationRequest, target: str) -> AnswerConditions | None:
    """Return what determines a target's answers; None if the request lacks a part of it."""
    digests = {
        request.candidate: (request.candidate_digest, request.candidate_stop_token_ids),
        request.incumbent: (request.incumbent_digest, request.incumbent_stop_token_ids),
        BASE_MODEL_TARGET: (request.base_model_digest, None),
    }
    digest, stop_token_ids = digests[target]
    if request.engine is None or digest is None:
        return None
    return AnswerConditions(
        engine=request.engine,
        target=target,
        target_digest=digest,
        stop_token_ids=stop_token_ids,
        max_tokens=request.max_tokens,
    )


async def recall(
    store: Store, request: EvaluationRequest, conditions: AnswerConditions | None, key: DocumentKey
) -> Recalled:
    """Return the stored answers that are valid under these conditions.

    A file is not trusted: one that is missing, too large or malformed, that has another digest than the one that the
    status recorded, or no valid code of the deployment's key, has no answers.
    """
    if conditions is None:
        return Recalled(note=UNKNOWN_ENGINE)
    known = [item for item in request.known_answers if item.target == conditions.target]
    if not known:
        return Recalled(note="no answers are stored")
    found = next((item for item in known if item.key == conditions.key()), None)
    if found is None:
        return Recalled(note="the replicas' image or configuration, the adapter, or the sampling is another one")
    try:
        stored = await asyncio.to_thread(_read_answers, store, found, key)
    except (StorageError, StorageURIError, ContractError) as error:
        log.warning("stored_answers_unreadable", target=conditions.target, uri=found.uri, error=str(error))
        return Recalled(note=f"{found.uri} {_explain_unusable(error)}")
    if stored is None or stored.conditions != conditions:
        difference = "another digest than the status recorded" if stored is None else "answers under other conditions"
        return Recalled(note=f"{found.uri} has {difference}")
    return Recalled({item.question: item.answer for item in stored.answers})


def _explain_unusable(error: Exception) -> str:
    if isinstance(error, AuthenticationError):
        return f"is not authentic: {error}"
    return f"cannot be read ({getattr(error, 'reason', 'InvalidAnswers')})"


def _read_answers(store: Store, known: KnownAnswers, key: DocumentKey) -> StoredAnswers | None:
    """Return a stored file; None if it has another digest than the status recorded."""
    data = store.read(StorageURI.parse(known.uri), MAX_STORED_BYTES)
    if digest_bytes(data) != known.digest:
        return None
    return StoredAnswers.from_wire(key.open(DocumentKind.STORED_ANSWERS, data))


async def keep(
    store: Store,
    report_uri: StorageURI,
    conditions: AnswerConditions,
    records: Sequence[Record],
    answers: Sequence[str],
    *,
    key: DocumentKey,
) -> AnswerRecord | None:
    """Store an arm's complete answers and return what identifies the file; None if they cannot be stored.

    Not being able to store them costs only time in the next evaluation, so it does not end this one.
    """
    questions = {record.question: answer for record, answer in zip(records, answers, strict=True)}
    document = StoredAnswers(
        conditions=conditions,
        answers=tuple(StoredAnswer(question=question, answer=answer) for question, answer in questions.items()),
    )
    data = key.seal(DocumentKind.STORED_ANSWERS, document)
    record = AnswerRecord(
        target=conditions.target, key=conditions.key(), digest=digest_bytes(data), answers=len(document.answers)
    )
    if len(data) > MAX_STORED_BYTES:
        log.warning("answers_not_stored", target=conditions.target, bytes=len(data), limit=MAX_STORED_BYTES)
        return None
    folder = StorageURI(report_uri.bucket, report_uri.key.rpartition("/")[0])
    try:
        await asyncio.to_thread(store.write, answers_uri(folder, record), data)
    except (StorageError, StorageURIError) as error:
        log.warning("answers_not_stored", target=conditions.target, error=str(error))
        return None
    return record
