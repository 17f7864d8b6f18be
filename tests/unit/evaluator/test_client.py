"""One request for one record: what is sent, what an answer is, and which failures another try may fix."""

import json

import httpx
import pytest

from tunewright_contracts.pool_load import LOAD_HEADER, PodLoad
from tunewright_contracts.serving_plan import EVALUATE_HEADER
from tunewright_evaluator.client import Answer, AnswerError, BusyError, NoAnswerError, ServerClient
from tunewright_evaluator.reasons import EvaluationReason
from tunewright_evaluator.records import Record

RECORD = Record(7, ({"role": "system", "content": "s"}, {"role": "user", "content": "q"}), "a")
COMPLETION = {"choices": [{"message": {"content": "yes"}}]}
LOAD = PodLoad(pod="a1", capacity=8, live=3, evaluating=1, waiting=2, limit=1)


def cut_off(reason):
    return {"choices": [{"message": {"content": "ye"}, "finish_reason": reason}]}


async def ask(token, given):
    """Ask once; return the answer and the request."""
    requests = []

    def answer(request):
        requests.append(request)
        if isinstance(given, Exception):
            raise given
        return given

    async with httpx.AsyncClient(base_url="http://server", transport=httpx.MockTransport(answer)) as http:
        answer = await ServerClient(http, "support", token, 64).ask("support--1", RECORD)
    (request,) = requests
    return answer, request


async def test_a_record_is_sent_to_one_revision_under_its_alias(token):
    answer, request = await ask(token, httpx.Response(200, json=COMPLETION))
    assert answer == Answer("yes")
    assert (request.method, request.url.path) == ("POST", "/v1/chat/completions")
    assert request.headers[EVALUATE_HEADER] == "support--1"
    assert json.loads(request.content) == {
        "model": "support",
        "messages": list(RECORD.messages),
        "temperature": 0,
        "max_tokens": 64,
    }


async def test_the_token_is_read_for_each_request(token):
    _, first = await ask(token, httpx.Response(200, json=COMPLETION))
    token.write_text("renewed")
    _, second = await ask(token, httpx.Response(200, json=COMPLETION))
    assert [request.headers["Authorization"] for request in (first, second)] == ["Bearer secret", "Bearer renewed"]


async def test_an_answer_has_its_tokens_and_the_load_of_its_replica(token):
    completion = {**COMPLETION, "usage": {"completion_tokens": 12}}
    answer, _ = await ask(token, httpx.Response(200, json=completion, headers={LOAD_HEADER: LOAD.to_json()}))
    assert answer == Answer("yes", 12, LOAD)


@pytest.mark.parametrize("usage", [None, [], {}, {"completion_tokens": 0}, {"completion_tokens": "12"}])
async def test_an_answer_without_usable_tokens_counts_as_one(token, usage):
    answer, _ = await ask(token, httpx.Response(200, json={**COMPLETION, "usage": usage}))
    assert answer.tokens == 1


@pytest.mark.parametrize("header", ["", "busy", "{}", '{"pod": "a", "capacity": -1, "limit": 1}'])
async def test_a_load_that_cannot_be_read_is_unknown(token, header):
    answer, _ = await ask(token, httpx.Response(200, json=COMPLETION, headers={LOAD_HEADER: header}))
    assert answer.load is None


async def test_an_empty_answer_is_an_answer(token):
    answer, _ = await ask(token, httpx.Response(200, json={"choices": [{"message": {"content": None}}]}))
    assert answer.text == ""


@pytest.mark.parametrize(
    ("failure", "problem"),
    [
        (httpx.ConnectError("refused"), "ConnectError: refused"),
        (httpx.ReadTimeout("slow"), "ReadTimeout: slow"),
        (httpx.Response(503, text="loading"), "HTTP 503: loading"),
        (httpx.Response(401, text="expired"), "HTTP 401: expired"),
        (httpx.Response(200, json={"choices": []}), "HTTP 200 without a chat completion: {"),
        (httpx.Response(200, json={"choices": [{"message": None}]}), "HTTP 200 without a chat completion: {"),
        (httpx.Response(200, json=["choices"]), "HTTP 200 without a chat completion: ["),
        (httpx.Response(200, text="null"), "HTTP 200 without a chat completion: null"),
        (httpx.Response(200, json=cut_off("abort")), "the server cut off the answer (finish_reason abort)"),
        (httpx.Response(200, json=cut_off("error")), "the server cut off the answer (finish_reason error)"),
    ],
)
async def test_a_failure_that_another_try_may_fix(token, failure, problem):
    with pytest.raises(NoAnswerError) as error:
        await ask(token, failure)
    assert str(error.value).startswith(problem)


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("", 1.0), ("soon", 1.0), ("86400", 60.0), ("²", 1.0)])
async def test_a_busy_pool_says_when_to_ask_again(token, header, seconds):
    headers = {"Retry-After": header.encode(), LOAD_HEADER: LOAD.to_json()}
    with pytest.raises(BusyError, match="HTTP 429: busy") as error:
        await ask(token, httpx.Response(429, text="busy", headers=headers))
    assert (error.value.retry_after, error.value.load) == (seconds, LOAD)


@pytest.mark.parametrize("status", [400, 413])
async def test_a_refused_record_is_named(token, status):
    with pytest.raises(AnswerError, match=rf"rejected record 7 .*HTTP {status}: too long") as error:
        await ask(token, httpx.Response(status, text="too long"))
    assert error.value.reason is EvaluationReason.RECORD_REFUSED


async def test_a_long_error_page_is_cut(token):
    with pytest.raises(NoAnswerError) as error:
        await ask(token, httpx.Response(502, text="x" * 10_000))
    assert len(str(error.value)) < 400
