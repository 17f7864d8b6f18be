"""A pod answers an evaluation with what would end the evaluator, or take all of its memory."""

import gzip
import json

import httpx
import pytest

from support.hostile import list_single_changes
from tunewright_evaluator import client
from tunewright_evaluator.client import Answer, BusyError, NoAnswerError, ServerClient
from tunewright_evaluator.records import Record

RECORD = Record(1, ({"role": "user", "content": "q"},), "a")
COMPLETION = {
    "choices": [{"message": {"content": "yes"}, "finish_reason": "stop"}],
    "usage": {"completion_tokens": 3},
}


async def ask(tmp_path, response: httpx.Response) -> Answer:
    token = tmp_path / "token"
    token.write_text("secret")
    transport = httpx.MockTransport(lambda _: response)
    async with httpx.AsyncClient(base_url="http://server", transport=transport) as http:
        return await ServerClient(http, "support", token, 64).ask("support--1", RECORD)


async def test_a_changed_completion(tmp_path):
    assert await ask(tmp_path, httpx.Response(200, content=json.dumps(COMPLETION))) == Answer("yes", 3)
    for data in list_single_changes(COMPLETION, 200):
        try:
            answer = await ask(tmp_path, httpx.Response(200, content=data))
        except NoAnswerError as error:
            message = str(error)
            assert len(message) < 1000, message[:200]
        else:
            assert 1 <= answer.tokens <= client.MAX_ANSWER_TOKENS
            assert answer.load is None


async def test_an_endless_reply_is_read_up_to_the_limit(tmp_path):
    sent = 0

    async def stream():
        nonlocal sent
        while True:
            sent += 1 << 20
            yield b" " * (1 << 20)

    for status in (200, 429, 500):
        sent = 0
        with pytest.raises(NoAnswerError, match="more than 4194304 bytes"):
            await ask(tmp_path, httpx.Response(status, content=stream()))
        assert sent == client.MAX_REPLY_BYTES + (1 << 20)


async def test_a_compressed_reply_is_not_expanded(tmp_path):
    async def stream():
        yield gzip.compress(b" " * (1 << 20))
        pytest.fail("the body was read")

    response = httpx.Response(200, content=stream(), headers={"Content-Encoding": "gzip"})
    with pytest.raises(NoAnswerError, match="is compressed"):
        await ask(tmp_path, response)


@pytest.mark.parametrize("load", ["{", "[" * 5000, json.dumps({"pod": "a1", "capacity": 2**70, "limit": 1}), "null"])
async def test_a_forged_load_is_ignored(tmp_path, load):
    response = httpx.Response(429, headers={"x-tunewright-load": load, "Retry-After": "9" * 400})
    with pytest.raises(BusyError) as raised:
        await ask(tmp_path, response)
    assert (raised.value.load, raised.value.retry_after) == (None, 60.0)
