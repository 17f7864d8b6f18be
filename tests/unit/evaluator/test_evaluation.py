"""From a request to a report: every arm answers the same records on a small server, and failures are explained."""

import asyncio
import json

import httpx
import pytest
from structlog.testing import capture_logs

from support.worlds.evaluation_world import CANDIDATE, INCUMBENT, RECORDS, Server, Store, request_for
from tunewright_contracts.evaluation_report import EvaluationReport
from tunewright_contracts.serving_plan import BASE_MODEL_TARGET, EVALUATE_HEADER
from tunewright_evaluator import client as client_module
from tunewright_evaluator.evaluation import evaluate


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    async def at_once(_seconds):
        return None

    monkeypatch.setattr(client_module.asyncio, "sleep", at_once)


async def run(server, token, store=None, **changes):
    return await evaluate(request_for(**changes), store or Store(), token, httpx.MockTransport(server))


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
    stored = EvaluationReport.from_json(store.written["s3://bucket/report.json"])
    assert stored == report
    assert [(answer.candidate, answer.base) for answer in stored.answers[:2]] == [("a0", "?"), ("a1", "?")]


async def test_as_many_requests_as_the_request_allows_are_in_flight(token):
    server, flying, most = Server(CANDIDATE, INCUMBENT), 0, 0
    together = asyncio.Barrier(request_for().concurrency)

    async def answer(request):
        nonlocal flying, most
        flying += 1
        most = max(most, flying)
        await together.wait()  # Wait until this number is in flight. With fewer, the test would never end.
        flying -= 1
        return server(request)

    async with asyncio.timeout(30):
        assert (await run(answer, token, Store(records=96))).samples == 96
    assert most == request_for().concurrency == 16


async def test_the_log_shows_how_far_each_arm_is(token):
    with capture_logs() as lines:
        await run(Server(CANDIDATE, INCUMBENT), token, Store(records=50))
    logged = [(line["arm"], line["answered"], line["records"]) for line in lines if line["event"] == "answered"]
    assert logged == [(arm, count, 50) for arm in ("candidate", "base", "incumbent") for count in (20, 40)]


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
