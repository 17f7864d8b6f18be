"""The tables of fields: what each path accepts, and what vLLM gets."""

import pytest

from tunewright_server.http.errors import RefusalCode, RefusalError
from tunewright_server.http.request_fields.allowed import select_fields
from tunewright_server.http.request_fields.values import Limits

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
LIMITS = Limits(max_tokens=64, structured_outputs=False)


def select(path, session_fields=(), **fields):
    own = {"messages": [{"role": "user", "content": "x"}]} if path == CHAT else {"prompt": "x"}
    given = {"model": "a", **own}
    kept = select_fields(path, {**given, **fields}, LIMITS, session_fields)
    return {name: value for name, value in kept.items() if name not in given or name in fields}


BOTH = {
    "frequency_penalty": -2,
    "ignore_eos": True,
    "include_stop_str_in_output": False,
    "logit_bias": {"50256": -100, "7": 0.5},
    "max_tokens": 64,
    "min_p": 0.1,
    "min_tokens": 3,
    "n": 16,
    "presence_penalty": 2,
    "repetition_penalty": 1.1,
    "response_format": {"type": "json_object"},
    "seed": -(2**63),
    "skip_special_tokens": True,
    "spaces_between_special_tokens": True,
    "stop": ["\n", "END"],
    "stop_token_ids": [2, 7],
    "stream": True,
    "stream_options": {"include_usage": True, "continuous_usage_stats": False},
    "temperature": 0,
    "top_k": -1,
    "top_p": 0.9,
}
ONE = [
    (CHAT, "chat_template_kwargs", {"enable_thinking": True}),
    (CHAT, "logprobs", True),
    (CHAT, "max_completion_tokens", 5),
    (CHAT, "parallel_tool_calls", False),
    (CHAT, "reasoning_effort", "low"),
    (CHAT, "tool_choice", "auto"),
    (CHAT, "tools", [{"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}]),
    (CHAT, "top_logprobs", 20),
    (COMPLETIONS, "add_special_tokens", False),
    (COMPLETIONS, "echo", True),
    (COMPLETIONS, "logprobs", 5),
    (COMPLETIONS, "prompt", ["a", "b"]),
    (COMPLETIONS, "prompt", [1, 2, 3]),
    (COMPLETIONS, "prompt", [[1, 2], [3]]),
    (COMPLETIONS, "stop", "\n"),
]


@pytest.mark.parametrize(
    ("path", "name", "value"), [*ONE, *((path, *item) for path in (CHAT, COMPLETIONS) for item in BOTH.items())]
)
def test_vllm_gets_what_the_client_sent(path, name, value):
    assert select(path, **{name: value}) == {name: value}


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_fields_without_effect_are_accepted_and_dropped(path):
    ignored = {
        "metadata": {"a": "b"},
        "store": True,
        "service_tier": "priority",
        "user": "ann",
        "safety_identifier": "x",
    }
    assert select(path, **ignored, prompt_cache_key="k", prompt_cache_retention="24h") == {}
    assert select(CHAT, modalities=["text"], verbosity="low") == {}
    assert select(COMPLETIONS, best_of=1) == {}
    assert select(path, stream=True, stream_options={"include_usage": None, "include_obfuscation": False}) == {
        "stream": True,
        "stream_options": {},
    }


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_a_field_without_a_value_is_as_none(path):
    assert select(path, **dict.fromkeys([*BOTH, "functions", "function_call", "suffix", "audio", "user"])) == {}


@pytest.mark.parametrize(
    ("path", "name", "value"),
    [
        *(
            (path, name, value)
            for path in (CHAT, COMPLETIONS)
            for name, value in {
                "logit_bias": {"x": 1},
                "max_tokens": 65,
                "min_tokens": -1,
                "seed": 2**63,
                "stop_token_ids": [-1],
                "top_k": -2,
            }.items()
        ),
        (CHAT, "logit_bias", {"1": 101}),
        (CHAT, "logit_bias", {"1": True}),
        (CHAT, "logit_bias", {"²": 1}),
        (CHAT, "logit_bias", [1]),
        (CHAT, "stop", {"a": 1}),
        (CHAT, "stop", [1]),
        (CHAT, "stop", ""),
        (CHAT, "logprobs", 5),
        (CHAT, "modalities", ["text", "audio"]),
        (CHAT, "reasoning_effort", "ultra"),
        (CHAT, "stream_options", "x"),
        (COMPLETIONS, "best_of", 2),
        (COMPLETIONS, "logprobs", True),
        (COMPLETIONS, "prompt", []),
        (COMPLETIONS, "prompt", {"prompt": "x"}),
        (COMPLETIONS, "prompt", ["a", [1]]),
        (COMPLETIONS, "prompt", [1, "a"]),
        (COMPLETIONS, "prompt", [True]),
        (COMPLETIONS, "prompt", [1.0]),
        (COMPLETIONS, "prompt", [-1]),
        (COMPLETIONS, "prompt", [[1], []]),
        (COMPLETIONS, "prompt", [[1], "a"]),
        (COMPLETIONS, "prompt", [{}]),
    ],
)
def test_values_that_are_refused(path, name, value):
    with pytest.raises(RefusalError) as caught:
        select(path, **{name: value})
    assert (caught.value.status, caught.value.code, caught.value.param) == (400, RefusalCode.INVALID_VALUE, name)
    assert f"`{name}" in caught.value.message


def test_prompts_and_choices_are_limited_together():
    assert select(COMPLETIONS, prompt=["x"] * 32, n=2)["n"] == 2
    assert select(COMPLETIONS, prompt=[1] * 5000, n=16)["n"] == 16
    with pytest.raises(RefusalError, match="`n` is 3; send at most 2 for 32 prompts"):
        select(COMPLETIONS, prompt=["x"] * 32, n=3)


def test_the_fields_of_sessions_are_accepted_and_only_for_the_middleware():
    session = ("conversation", "seed")
    assert select(CHAT, session, conversation="7", seed=3) == {"seed": 3}
    assert select(CHAT, session, conversation=7) == {}
    assert select(CHAT, session, conversation=None) == {}
    with pytest.raises(RefusalError, match=r"`other` is not accepted.* conversation, "):
        select(CHAT, session, other="7")
    for value in (["7"], {"a": 1}, True, 1.5, "x" * 1025):
        with pytest.raises(RefusalError, match="`conversation` is"):
            select(CHAT, session, conversation=value)


def test_the_refusal_of_a_field_names_it_and_those_that_are_accepted():
    with pytest.raises(RefusalError) as caught:
        select(CHAT, **{"x.y" * 100: 1})
    assert caught.value.code == RefusalCode.UNSUPPORTED_PARAMETER
    assert caught.value.param == ("x.y" * 100)[:200]
    assert "the accepted fields are chat_template_kwargs, frequency_penalty, " in caught.value.message
    assert len(caught.value.message) < 1500
