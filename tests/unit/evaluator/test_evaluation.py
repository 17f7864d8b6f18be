"""From a request to a report: every arm answers the same records on a small server, and failures are explained."""

import json

import httpx
import pytest

from support.document_keys import KEY
from support.worlds.evaluation_world import CANDIDATE, INCUMBENT, RECORDS, Server, Store, known_answers, request_for
from tunewright_contracts.authentication.document_key import DocumentKind
from tunewright_contracts.evaluation_report import EvaluationReport
from tunewright_contracts.serving_plan import BASE_MODEL_TARGET, EVALUATE_HEADER
from tunewright_contracts.storage_uri import StorageURI
from tunewright_evaluator import asking
from tunewright_evaluator.evaluation import evaluate
from tunewright_evaluator.progress_server import ProgressBoard
from tunewright_storage.store import digest_bytes


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    async def at_once(_seconds):
        return None

    monkeypatch.setattr(asking.asyncio, "sleep", at_once)


async def run(server, token, store=None, **changes):
    return await evaluate(request_for(**changes), store or Store(), token, httpx.MockTransport(server), key=KEY)


async def test_every_arm_answers_the_same_records(token):
    server, store = Server(CANDIDATE, INCUMBENT), Store()
    report = await run(server, token, store)
    assert (report.verdict, report.reason) == ("Pass", "EvaluationPassed")
    asked = {}
    for request in server.asked:
        assert request.headers["Authorization"] == "Bearer secret"
        body = json.loads(request.content)
        assert (body["model"], body["temperature"], body["max_tokens"]) == ("support", 0, 256)
        asked.setdefault(request.headers[EVALUATE_HEADER], set()).add(body["messages"][-1]["content"])
    assert set(asked) == {CANDIDATE, INCUMBENT, BASE_MODEL_TARGET}
    assert all(questions == {f"q{n}" for n in range(RECORDS)} for questions in asked.values())
    written = store.written[report.report_uri]
    stored = EvaluationReport.from_wire(KEY.open(DocumentKind.EVALUATION_REPORT, written))
    assert stored == report
    assert [(answer.candidate, answer.base) for answer in stored.answers[:2]] == [("a0", "?"), ("a1", "?")]


async def test_the_held_out_set_of_the_request_is_measured(token):
    digest = digest_bytes(Store().read(StorageURI.parse(request_for().dataset_uri), 1 << 20))
    report = await run(Server(CANDIDATE, INCUMBENT), token, datasetDigest=digest)
    assert (report.verdict, report.dataset_digest) == ("Pass", digest)


async def test_another_held_out_set_is_not_measured(token):
    server = Server(CANDIDATE, INCUMBENT)
    report = await run(server, token, datasetDigest="sha256:" + "9" * 64)
    assert (report.verdict, report.reason) == ("Error", "HeldOutChanged")
    assert "instead of sha256:999" in report.message
    assert server.asked == []


async def test_a_worse_candidate_fails(token):
    report = await run(Server(INCUMBENT), token)
    assert (report.verdict, report.reason) == ("Fail", "EvaluationFailed")
    assert report.metrics[0].candidate_worse == RECORDS


async def test_too_few_records_prove_nothing(token):
    report = await run(Server(CANDIDATE, INCUMBENT), token, Store(records=20))
    assert (report.verdict, report.reason) == ("Inconclusive", "EvaluationInconclusive")
    assert report.metrics[0].records_needed > 20


async def test_a_minimum_needs_no_incumbent(token):
    report = await run(Server(CANDIDATE), token, incumbent=None, metrics=[{"type": "ExactMatch", "minimum": "0.9"}])
    assert (report.verdict, report.incumbent) == ("Pass", None)


@pytest.mark.parametrize(("good", "verdict"), [(CANDIDATE, "Pass"), (BASE_MODEL_TARGET, "Fail")])
async def test_a_first_revision_is_compared_with_the_base_model(token, good, verdict):
    report = await run(Server(good), token, incumbent=None)
    assert report.verdict == verdict
    assert report.metrics[0].incumbent is None


async def test_the_smallest_confidence_of_the_crd_is_accepted(token):
    assert (await run(Server(CANDIDATE, INCUMBENT), token, confidence="0.5")).verdict == "Pass"


async def test_requests_to_a_server_that_is_briefly_unavailable_are_retried(token):
    assert (await run(Server(CANDIDATE, INCUMBENT, down=3), token)).verdict == "Pass"


@pytest.mark.parametrize(
    ("server", "words"),
    [
        (Server(status=404), "HTTP 404: no"),
        (Server(status=503), "HTTP 503: no"),
        (Server(body="{}"), "HTTP 200 without a chat completion: {}"),
        (Server(body="<html>"), "HTTP 200 without a chat completion: <html>"),
    ],
)
async def test_a_server_that_does_not_answer_is_an_error(token, server, words):
    report = await run(server, token)
    assert (report.verdict, report.reason) == ("Error", "ServerUnavailable")
    assert words in report.message


@pytest.mark.parametrize("status", [400, 413])
async def test_a_record_that_the_server_refuses_is_named(token, status):
    report = await run(Server(status=status), token)
    assert (report.verdict, report.reason) == ("Error", "RecordRefused")
    assert f"record 1 of the held-out set (HTTP {status}: no)" in report.message
    assert "vllm.maxModelLength" in report.message


async def test_no_records(token):
    report = await run(Server(), token, Store(records=0))
    assert (report.verdict, report.reason) == ("Error", "NoRecords")


async def test_the_second_evaluation_asks_only_the_candidate(token):
    server, store = Server(CANDIDATE, INCUMBENT), Store()
    first = await run(server, token, store)
    assert [(arm.target, arm.asked, arm.reused) for arm in first.arms] == [
        (CANDIDATE, RECORDS, 0),
        (BASE_MODEL_TARGET, RECORDS, 0),
        (INCUMBENT, RECORDS, 0),
    ]
    again = Server(CANDIDATE, INCUMBENT)
    second = await run(again, token, store, knownAnswers=known_answers(first))
    assert {request.headers[EVALUATE_HEADER] for request in again.asked} == {CANDIDATE}
    assert [(arm.target, arm.asked, arm.reused, arm.note) for arm in second.arms] == [
        (CANDIDATE, RECORDS, 0, ""),
        (BASE_MODEL_TARGET, 0, RECORDS, ""),
        (INCUMBENT, 0, RECORDS, ""),
    ]
    assert [arm.stored is None for arm in second.arms] == [False, True, True]
    assert (second.verdict, second.metrics, second.answers) == (first.verdict, first.metrics, first.answers)
    assert EvaluationReport.from_json(store.written[second.report_uri]).arms == second.arms


async def test_a_promoted_candidates_answers_are_those_of_the_stable_revision(token):
    store = Store()
    first = await run(Server(CANDIDATE), token, store, incumbent=None)
    known = known_answers(first)
    next_one = {"candidate": "support--333333333333", "candidateDigest": "sha256:" + "3" * 64}
    stable = {"incumbent": CANDIDATE, "incumbentDigest": "sha256:" + "1" * 64}
    server = Server(CANDIDATE, next_one["candidate"])
    report = await run(server, token, store, **next_one, **stable, knownAnswers=known)
    assert (server.count(CANDIDATE), server.count(BASE_MODEL_TARGET)) == (0, 0)
    assert report.metrics[0].incumbent == 1.0


async def test_more_records_ask_only_for_the_new_ones(token):
    store = Store()
    first = await run(Server(CANDIDATE, INCUMBENT), token, store, maxSamples=60)
    server = Server(CANDIDATE, INCUMBENT)
    second = await run(server, token, store, knownAnswers=known_answers(first))
    assert (server.count(INCUMBENT), server.count(BASE_MODEL_TARGET)) == (40, 40)
    assert [(arm.asked, arm.reused) for arm in second.arms] == [(100, 0), (40, 60), (40, 60)]
    assert [arm.stored.answers for arm in second.arms] == [100, 100, 100]
    fewer = await run(Server(CANDIDATE, INCUMBENT), token, store, maxSamples=60, knownAnswers=known_answers(second))
    assert [(arm.asked, arm.reused) for arm in fewer.arms] == [(60, 0), (0, 60), (0, 60)]


async def test_a_file_that_was_tampered_with_is_asked_again_and_replaced(token):
    store = Store()
    first = await run(Server(CANDIDATE, INCUMBENT), token, store)
    known = known_answers(first)
    original = dict(store.written)
    for item in known:
        store.written[item["uri"]] = store.written[item["uri"]].replace(b'"?"', b'"a1"').replace(b'"a7"', b'"?"')
    server = Server(CANDIDATE, INCUMBENT)
    second = await run(server, token, store, knownAnswers=known)
    assert [server.count(target) for target in (CANDIDATE, INCUMBENT, BASE_MODEL_TARGET)] == [RECORDS] * 3
    notes = [arm.note for arm in second.arms]
    assert notes[0] == ""
    assert all("has another digest than the status recorded" in note for note in notes[1:])
    assert second.metrics == first.metrics
    for item in known:
        assert store.written[item["uri"]] == original[item["uri"]]


async def test_without_a_known_engine_nothing_is_stored_or_reused(token):
    store = Store()
    known = known_answers(await run(Server(CANDIDATE, INCUMBENT), token, store))
    files = set(store.written)
    server = Server(CANDIDATE, INCUMBENT)
    report = await run(server, token, store, engine=None, knownAnswers=known)
    assert server.count(INCUMBENT) == RECORDS
    assert [(arm.reused, arm.stored) for arm in report.arms] == [(0, None)] * 3
    assert all("is unknown" in arm.note for arm in report.arms)
    assert set(store.written) == files


async def test_an_interrupted_evaluation_keeps_only_complete_arms(token):
    store = Store()
    report = await run(Server(CANDIDATE, INCUMBENT, mute=(INCUMBENT,)), token, store)
    assert (report.verdict, report.reason) == ("Error", "ServerUnavailable")
    assert [arm.target for arm in report.arms] == [CANDIDATE, BASE_MODEL_TARGET]
    server = Server(CANDIDATE, INCUMBENT)
    second = await run(server, token, store, knownAnswers=known_answers(report))
    assert (server.count(CANDIDATE), server.count(BASE_MODEL_TARGET)) == (RECORDS, 0)
    assert second.verdict == "Pass"


async def test_an_evaluation_whose_answers_cannot_be_stored_has_a_verdict(token):
    store = Store(broken="/answers/")
    report = await run(Server(CANDIDATE, INCUMBENT), token, store)
    assert report.verdict == "Pass"
    assert [arm.stored for arm in report.arms] == [None] * 3
    assert list(store.written) == [report.report_uri]


async def test_the_board_counts_the_answers_that_are_asked_for(token):
    store, board = Store(), ProgressBoard()
    known = known_answers(await run(Server(CANDIDATE, INCUMBENT), token, store))
    transport = httpx.MockTransport(Server(CANDIDATE, INCUMBENT))
    await evaluate(request_for(knownAnswers=known), store, token, transport, board, key=KEY)
    progress = board.snapshot()
    assert (progress.evaluated, progress.to_evaluate) == (RECORDS, RECORDS)
