"""A bucket writer who wants a candidate to pass, by other held-out records, forged answers or a forged report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from support.document_keys import KEY, OTHER_KEY
from support.worlds.evaluation_world import (
    CANDIDATE,
    DATASET,
    FOLDER,
    INCUMBENT,
    RECORDS,
    Server,
    Store,
    known_answers,
    request_for,
)
from tunewright_contracts.authentication.document_key import AuthenticationError, DocumentKey, DocumentKind
from tunewright_contracts.evaluation_report import EvaluationReport, EvaluationRequest, Verdict
from tunewright_contracts.storage_uri import StorageURI
from tunewright_contracts.stored_answers import AnswerRecord, StoredAnswer, StoredAnswers, answers_uri
from tunewright_evaluator.answer_store import build_conditions
from tunewright_evaluator.evaluation import evaluate
from tunewright_evaluator.records import parse_records
from tunewright_storage.store import digest_bytes


@pytest.fixture
def token(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text("secret")
    return tmp_path / "token"


async def run(store: Store, server: Server, token: Path, **changes: Any) -> EvaluationReport:
    return await evaluate(request_for(**changes), store, token, httpx.MockTransport(server), key=KEY)


def read_held_out(store: Store) -> bytes:
    return bytes(store.read(StorageURI.parse(DATASET), 1 << 20))


async def test_held_out_records_that_are_replaced_after_prepare_are_not_measured(token: Path) -> None:
    """The attacker stores records that the bad candidate answers well."""
    store, server = Store(), Server(INCUMBENT)
    prepared = digest_bytes(read_held_out(store))
    assert (await run(store, server, token, datasetDigest=prepared)).verdict is Verdict.FAIL
    store.text, server = store.text.replace('"a', '"?'), Server(INCUMBENT)
    report = await run(store, server, token, datasetDigest=prepared)
    assert (report.verdict, report.reason) == (Verdict.ERROR, "HeldOutChanged")
    assert f"instead of {prepared}" in report.message
    assert server.asked == [], "no question of the attacker reaches the server"


def forge_answers(request: EvaluationRequest, store: Store, key: DocumentKey | None) -> dict[str, Any]:
    """Store bad answers of the incumbent; return a record of them, as if an attacker could change the status."""
    conditions = build_conditions(request, INCUMBENT)
    assert conditions is not None
    questions = [record.question for record in parse_records(read_held_out(store), DATASET)]
    document = StoredAnswers(
        conditions=conditions, answers=tuple(StoredAnswer(question=item, answer="bad") for item in questions)
    )
    kind = DocumentKind.STORED_ANSWERS
    data = document.to_json().encode() if key is None else key.seal(kind, document)
    record = AnswerRecord(target=INCUMBENT, key=conditions.key(), digest=digest_bytes(data), answers=len(questions))
    store.written[str(answers_uri(FOLDER, record))] = data
    return {**record.to_wire(), "uri": str(answers_uri(FOLDER, record))}


@pytest.mark.parametrize("key", [None, OTHER_KEY], ids=["no code", "the key of another deployment"])
async def test_forged_answers_of_the_incumbent_are_not_reused(token: Path, key: DocumentKey | None) -> None:
    """With them, the bad candidate would not be worse. Even their digest in the status does not help."""
    store, server = Store(), Server(INCUMBENT)
    known = forge_answers(request_for(), store, key)
    report = await run(store, server, token, knownAnswers=[known])
    assert report.verdict is Verdict.FAIL
    assert server.count(INCUMBENT) == RECORDS
    assert any("is not authentic" in arm.note for arm in report.arms)


async def test_replaced_answers_are_not_reused(token: Path) -> None:
    store = Store()
    first = await run(store, Server(CANDIDATE, INCUMBENT), token)
    known, server = known_answers(first), Server(INCUMBENT)
    for record in known:
        if record["target"] == INCUMBENT:
            store.written[record["uri"]] = store.written[record["uri"]].replace(b'"answer":"a', b'"answer":"?')
    report = await run(store, server, token, knownAnswers=known)
    assert report.verdict is Verdict.FAIL
    assert server.count(INCUMBENT) == RECORDS


async def test_older_answers_of_the_same_deployment_are_not_reused(token: Path) -> None:
    """The attacker puts back a file that an earlier evaluation wrote: its code is valid, its digest is not recorded."""
    store = Store()
    known = known_answers(await run(store, Server(CANDIDATE, INCUMBENT), token))
    (current,) = [record for record in known if record["target"] == INCUMBENT]
    older = forge_answers(request_for(), store, KEY)
    store.written[current["uri"]] = store.written[older["uri"]]
    server = Server(INCUMBENT)
    report = await run(store, server, token, knownAnswers=known)
    assert report.verdict is Verdict.FAIL
    assert server.count(INCUMBENT) == RECORDS
    assert any("another digest than the status recorded" in arm.note for arm in report.arms)


async def test_a_forged_report_that_passes_is_not_authentic(token: Path) -> None:
    """The operator never reads reports; a user who reads one from the bucket can check its code."""
    store = Store()
    report = await run(store, Server(INCUMBENT), token)
    written = store.written[report.report_uri]
    assert EvaluationReport.from_wire(KEY.open(DocumentKind.EVALUATION_REPORT, written)).verdict is Verdict.FAIL
    with pytest.raises(AuthenticationError, match="the content was changed"):
        KEY.open(DocumentKind.EVALUATION_REPORT, written.replace(b'"verdict":"Fail"', b'"verdict":"Pass"', 1))
