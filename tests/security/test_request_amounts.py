"""A client asks for more than its part of the pool with one request."""

import pytest

from support.worlds.server_world import refused
from tunewright_server import request_limits

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
BODIES = {
    CHAT: {"model": "support", "messages": [{"role": "user", "content": "hello"}]},
    COMPLETIONS: {"model": "support", "prompt": "hello"},
}
CONTEXT = 64
WHOLE = [0, -1, 10**6, 2**63, 1.5, 1e300, True, "1", [1], {"a": 1}]
"""No whole numbers of 1 to 64."""


async def attack(pod, path, code="invalid_value", **fields):
    response = await pod.client.post(path, json={**BODIES[path], **fields})
    message = refused(response, 400, code)
    assert any(name in message for name in fields), message
    assert pod.vllm.requests == []
    return message


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
async def test_many_answers(pod, path):
    for number in (*WHOLE, request_limits.MAX_N + 1):
        assert "send a whole number from 1 to 16" in await attack(pod, path, n=number)


async def test_many_prompts(pod):
    for prompts in (["x"] * 33, [[1]] * 33, ["x"] * 100_000):
        assert "at most 32 prompts" in await attack(pod, COMPLETIONS, prompt=prompts)
    assert "at most 2 for 32 prompts" in await attack(pod, COMPLETIONS, prompt=["x"] * 32, n=16)


@pytest.mark.parametrize(
    ("path", "name"), [(CHAT, "max_tokens"), (CHAT, "max_completion_tokens"), (COMPLETIONS, "max_tokens")]
)
async def test_long_answers(pod, path, name):
    for number in (*WHOLE[1:], CONTEXT + 1):
        assert f"to {CONTEXT}" in await attack(pod, path, **{name: number})
    await attack(pod, path, min_tokens=CONTEXT + 1)
    await attack(pod, path, max_tokens=-1, ignore_eos=True)


async def test_many_log_probabilities(pod):
    for number in (21, -1, 10**6, 2.5, "20"):
        await attack(pod, CHAT, logprobs=True, top_logprobs=number)
        await attack(pod, COMPLETIONS, logprobs=number)
    await attack(pod, COMPLETIONS, "unsupported_parameter", prompt_logprobs=1)
    assert "memory" in await attack(pod, COMPLETIONS, "unsupported_parameter", echo=True, logprobs=0)


async def test_beam_search(pod):
    for name, value in (("use_beam_search", True), ("use_beam_search", False), ("length_penalty", 1.0)):
        assert "no beam search" in await attack(pod, CHAT, "unsupported_parameter", **{name: value})
    for value in (2, 0, 10**6, "1", 1.5):
        assert "no beam search" in await attack(pod, COMPLETIONS, best_of=value)


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
async def test_many_or_long_stop_sequences(pod, path):
    for stop in (["x"] * 5, ["x"] * 100_000, "x" * 1025, ["x" * 100_000], [""], [1], {"a": "b"}):
        await attack(pod, path, stop=stop)
    for tokens in ([1] * 65, [-1], [2**40], ["1"], "1", [1.5], [True]):
        await attack(pod, path, stop_token_ids=tokens)


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
async def test_many_biases(pod, path):
    for bias in ({str(token): 1 for token in range(301)}, {"-1": 1}, {"a": 1}, {"1": 1e300}, {"1": "1"}, [], "x"):
        await attack(pod, path, logit_bias=bias)


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
async def test_numbers_outside_of_their_range(pod, path):
    for name in ("temperature", "top_p", "min_p", "frequency_penalty", "presence_penalty", "repetition_penalty"):
        for value in (1e300, -1e300, "0.5", True, [0.5]):
            await attack(pod, path, **{name: value})


async def test_many_messages_and_tools(pod):
    await attack(pod, CHAT, messages=[{"role": "user", "content": ""}] * 4097)
    await attack(pod, CHAT, tools=[{"type": "function", "function": {"name": "f"}}] * 129)
    nested: dict = {}
    for _ in range(200):
        nested = {"items": nested}
    await attack(pod, CHAT, tools=[{"type": "function", "function": {"name": "f", "parameters": nested}}])
    call = {"function": {"name": "f", "arguments": "[" * 100_000}}
    await attack(pod, CHAT, messages=[{"role": "assistant", "tool_calls": [call]}])


async def test_the_most_that_is_allowed_is_answered(pod):
    most = {"n": 16, "max_tokens": CONTEXT, "stop": ["x" * 1024] * 4, "logit_bias": {str(n): 1 for n in range(300)}}
    for path in (CHAT, COMPLETIONS):
        assert (await pod.client.post(path, json={**BODIES[path], **most})).status_code == 200
        assert pod.vllm.requests.pop() == {**BODIES[path], **most, "model": pod.stable.name}
