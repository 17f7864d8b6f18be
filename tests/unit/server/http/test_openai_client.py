"""The official OpenAI client for Python understands every answer; tests/e2e runs the one for JavaScript, too."""

import openai
import pytest

from support import openai_client
from support.worlds.server_world import CLIENT_KEY, serve
from tunewright_contracts.serving_plan import OutputContract


@pytest.mark.parametrize("contract", [None, OutputContract(json_schema={"type": "object"}, max_tokens=6)])
async def test_chat_completions_streams_models_and_errors(pod, contract):
    await serve(pod, (pod.stable, 100), output_contract=contract)

    def connect(path):
        return openai.AsyncOpenAI(
            base_url=f"http://pod{path}", api_key=CLIENT_KEY, http_client=pod.client, max_retries=0
        )

    found = await openai_client.use_client(connect, "support")
    openai_client.check(found, "support")
    streams = ("chat", "completion", "chatStream", "chatStreamWithUsage", "completionStream")
    assert {found[name]["text"] for name in streams} == {pod.vllm.answer}


@pytest.mark.parametrize(
    ("text", "status", "error"),
    [
        ("429", 429, openai.RateLimitError),
        ("503", 503, openai.InternalServerError),
        ("404", 503, openai.InternalServerError),
        ("400", 400, openai.BadRequestError),
    ],
)
async def test_errors_of_vllm(pod, text, status, error):
    client = openai.AsyncOpenAI(base_url="http://pod/v1", api_key=CLIENT_KEY, http_client=pod.client, max_retries=0)
    with pytest.raises(error) as caught:
        await client.chat.completions.create(model="support", messages=[{"role": "user", "content": text}])
    assert caught.value.status_code == status


async def test_an_error_inside_a_stream(pod):
    client = openai.AsyncOpenAI(base_url="http://pod/v1", api_key=CLIENT_KEY, http_client=pod.client, max_retries=0)
    messages = [{"role": "user", "content": "error-event"}]
    stream = await client.chat.completions.create(model="support", messages=messages, stream=True)
    with pytest.raises(openai.APIError, match="support failed"):
        async for _ in stream:
            pass
