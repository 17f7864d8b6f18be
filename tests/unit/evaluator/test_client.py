"""The request for a record, when it is repeated, and the error without an answer."""

import json

import httpx
import pytest

from tunewright_contracts.serving_plan import EVALUATE_HEADER
from tunewright_evaluator import client as client_module
from tunewright_evaluator.client import AnswerError, ServerClient
from tunewright_evaluator.reasons import EvaluationReason
from tunewright_evaluator.records import Record

RECORD = Record(7, ({"role": "system", "content": "s"}, {"role": "user", "content": "q"}), "a")
ANSWER = httpx.Response(200, json={"choices": [{"message": {"content": "yes"}}]})


@pytest.fixture
def pauses(monkeypatch):
    """Record the pauses instead of waiting."""
    pauses = []

    async def note(seconds):
        pauses.append(seconds)

    monkeypatch.setattr(client_module.asyncio, "sleep", note)
    return pauses


async def ask(token, *answers):
    """Ask once. Each request gets the next answer; the last answer is repeated.

    Return the answer and the requests.
    """
    requests = []
    left = list(answers)

    def answer(request):
        requests.append(request)
        given = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(given, Exception):
            raise given
        return given() if callable(given) else given

    async with httpx.AsyncClient(base_url="http://server", transport=httpx.MockTransport(answer)) as http:
        return await ServerClient(http, "support", token, 64).ask("support--1", RECORD), requests


async def test_a_record_is_sent_to_one_revision_under_its_alias(token, pauses):
    text, (request,) = await ask(token, ANSWER)
    assert text == "yes"
    assert (request.method, request.url.path) == ("POST", "/v1/chat/completions")
    assert request.headers[EVALUATE_HEADER] == "support--1"
    assert json.loads(request.content) == {
        "model": "support",
        "messages": list(RECORD.messages),
        "temperature": 0,
        "max_tokens": 64,
    }
    assert pauses == []


async def test_the_token_is_read_for_each_attempt(token, pauses):
    def renew():
        token.write_text("renewed")
        return httpx.Response(503, text="loading")

    _, requests = await ask(token, renew, ANSWER)
    assert [request.headers["Authorization"] for request in requests] == ["Bearer secret", "Bearer renewed"]


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        httpx.Response(429, text="busy"),
        httpx.Response(401, text="expired"),
        httpx.Response(200, json={"choices": []}),
        httpx.Response(200, json={"choices": [{"message": None}]}),
        httpx.Response(200, json=["choices"]),
    ],
)
async def test_a_transient_failure_is_retried_after_a_pause(token, pauses, failure):
    text, requests = await ask(token, failure, failure, ANSWER)
    assert (text, len(requests), pauses) == ("yes", 3, [1.0, 2.0])


async def test_an_empty_answer_is_an_answer(token, pauses):
    text, requests = await ask(token, httpx.Response(200, json={"choices": [{"message": {"content": None}}]}))
    assert (text, len(requests)) == ("", 1)


async def test_after_five_attempts_the_error_shows_the_last_failure(token, pauses):
    with pytest.raises(AnswerError, match=r"support--1 did not answer record 7 \(ReadTimeout: slow\)") as error:
        await ask(token, httpx.Response(503), httpx.ReadTimeout("slow"))
    assert error.value.reason is EvaluationReason.SERVER_UNAVAILABLE
    assert pauses == [1.0, 2.0, 4.0, 8.0]


@pytest.mark.parametrize("status", [400, 413])
async def test_a_refused_record_is_not_retried(token, pauses, status):
    with pytest.raises(AnswerError, match=rf"rejected record 7 .*HTTP {status}: too long") as error:
        await ask(token, httpx.Response(status, text="too long"))
    assert error.value.reason is EvaluationReason.RECORD_REFUSED
    assert pauses == []


async def test_a_long_error_page_is_cut(token, pauses):
    with pytest.raises(AnswerError) as error:
        await ask(token, httpx.Response(502, text="x" * 10_000))
    assert len(str(error.value)) < 400
