"""A client tries fields that vLLM obeys and that it has no business with."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.worlds.server_world import refused, serve
from tunewright_contracts.serving_plan import StickyKey
from tunewright_server.http.errors import RefusalError
from tunewright_server.http.request_fields.allowed import select_fields
from tunewright_server.http.request_fields.values import Limits

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
MESSAGES = [{"role": "user", "content": "hello"}]
BODIES = {
    CHAT: {"model": "support", "messages": MESSAGES},
    COMPLETIONS: {"model": "support", "prompt": "hello"},
}

TEMPLATES = {
    "chat_template": "{{ messages }}",
    "add_generation_prompt": False,
    "continue_final_message": True,
    "documents": [{"title": "a", "text": "b"}],
}
MEDIA = {
    "mm_processor_kwargs": {"num_crops": 10**9},
    "media_io_kwargs": {"video": {"num_frames": 10**9}},
    "mm_payload": "none",
    "return_mm_kwargs": True,
    "prompt_embeds": "AAAA",
}
INTERNALS = {
    "cache_salt": "guessed",
    "kv_transfer_params": {"do_remote_prefill": True},
    "ec_transfer_params": {"a": 1},
    "priority": -1000,
    "request_id": "the-request-of-another-client",
    "session_id": "the-session-of-another-client",
    "vllm_xargs": {"a": 1},
    "extra_args": {"a": 1},
    "routed_experts_prompt_start": 0,
    "stream_interval": 1000,
    "watermarking": False,
}
COSTLY = {
    "use_beam_search": True,
    "length_penalty": 2.0,
    "early_stopping": True,
    "prompt_logprobs": 20,
    "logprob_token_ids": [1],
    "allowed_token_ids": [1],
    "bad_words": ["a"],
    "truncate_prompt_tokens": 5,
    "repetition_detection": {"max_pattern_size": 10**6, "min_count": 2},
    "thinking_token_budget": 10**6,
}
REVEALING = {"return_token_ids": True, "return_prompt_text": True, "return_tokens_as_token_ids": True}
GUIDED = {
    "guided_json": {"type": "object"},
    "guided_regex": "a{1,1000}",
    "guided_choice": ["a"],
    "guided_grammar": "root ::= a",
    "guided_decoding_backend": "outlines",
    "structural_tag": "{}",
}
OTHERS = {
    "extra_body": {"priority": -1},
    "": 1,
    "Temperature": 1,
    "temperature ": 1,
    "\u200btemperature": 1,
    "model_": "x",
    "__proto__": {"n": 100},
    "functions": [{"name": "f"}],
    "function_call": "auto",
    "audio": {"voice": "a"},
    "web_search_options": {},
    "suffix": "x",
}


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
async def test_a_field_that_is_not_on_the_list_is_refused_by_name(pod, path):
    for name, value in {**TEMPLATES, **MEDIA, **INTERNALS, **COSTLY, **REVEALING, **GUIDED, **OTHERS}.items():
        response = await pod.client.post(path, json={**BODIES[path], name: value})
        message = refused(response, 400, "unsupported_parameter")
        assert message.startswith(f"`{name}` is not accepted"), message
        assert "the accepted fields are " in message
        assert response.json()["error"]["param"] == name
    assert pod.vllm.requests == []


async def test_a_field_without_a_value_is_refused_too(pod):
    for name in ("cache_salt", "priority", "chat_template", "use_beam_search", "unheard_of"):
        response = await pod.client.post(CHAT, json={**BODIES[CHAT], name: None})
        assert name in refused(response, 400, "unsupported_parameter")
    assert pod.vllm.requests == []


async def test_fields_of_the_other_path_are_refused(pod):
    for path, name, value in (
        (CHAT, "prompt", "x"),
        (CHAT, "echo", True),
        (CHAT, "best_of", 1),
        (COMPLETIONS, "messages", MESSAGES),
        (COMPLETIONS, "tools", []),
        (COMPLETIONS, "chat_template_kwargs", {"enable_thinking": True}),
    ):
        refused(await pod.client.post(path, json={**BODIES[path], name: value}), 400, "unsupported_parameter")
    assert pod.vllm.requests == []


async def test_fields_inside_of_fields_are_refused(pod):
    for name, value in (
        ("chat_template_kwargs", {"chat_template": "{{ messages }}"}),
        ("chat_template_kwargs", {"tokenize": True}),
        ("chat_template_kwargs", {"enable_thinking": True, "tools": []}),
        ("stream_options", {"include_usage": True, "priority": 1}),
        ("response_format", {"type": "json_object", "backend": "outlines"}),
        ("tools", [{"type": "function", "function": {"name": "f"}, "cache_control": {}}]),
        ("messages", [{**MESSAGES[0], "chat_template": "x"}]),
    ):
        response = await pod.client.post(CHAT, json={**BODIES[CHAT], name: value})
        assert f"`{name}" in refused(response, 400, "unsupported_parameter")
    assert pod.vllm.requests == []


async def test_of_a_field_that_is_sent_twice_vllm_gets_the_one_that_was_checked(pod):
    json_type = {"content-type": "application/json"}
    start = json.dumps(BODIES[CHAT])[:-1]
    await pod.client.post(CHAT, content=start + ', "n": 1000, "n": 2}', headers=json_type)
    assert pod.vllm.requests.pop()["n"] == 2
    refused(
        await pod.client.post(CHAT, content=start + ', "n": 2, "n": 1000}', headers=json_type), 400, "invalid_value"
    )
    both = start + ', "tools": [], "\\u0070riority": 1}'
    refused(await pod.client.post(CHAT, content=both, headers=json_type), 400, "unsupported_parameter")
    assert pod.vllm.requests == []


async def test_a_tenant_cannot_allow_a_field_by_calling_it_a_session(pod):
    names = ("cache_salt", "structured_outputs", "priority", "user")
    await serve(pod, (pod.stable, 100), sticky_by=tuple(StickyKey(body_field=name) for name in names))
    for name, value in (("cache_salt", "x"), ("priority", -5), ("user", "ann")):
        assert (await pod.client.post(CHAT, json={**BODIES[CHAT], name: value})).status_code == 200
        assert name not in pod.vllm.requests.pop()
    for name, value in (("priority", {"a": 1}), ("cache_salt", ["x"]), ("cache_salt", "x" * 5000)):
        refused(await pod.client.post(CHAT, json={**BODIES[CHAT], name: value}), 400, "invalid_value")
    body = {**BODIES[CHAT], "structured_outputs": {"regex": "a"}}
    refused(await pod.client.post(CHAT, json=body), 400, "structured_outputs_forbidden")
    assert pod.vllm.requests == []


async def test_all_other_routes_to_vllm_stay_closed(pod):
    paths = ("/v1/responses", "/v1/messages", "/v1/chat/completions/batch", "/v1/chat/completions/render", "/tokenize")
    for path in (*paths, "/invocations", "/inference/v1/generate", "/v1/embeddings", "/v1/score", "/pooling"):
        refused(await pod.client.post(path, json=BODIES[CHAT]), 404, "not_found")
    assert pod.vllm.requests == []


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KNOWN = (*TEMPLATES, *MEDIA, *INTERNALS, *COSTLY, *GUIDED, "n", "max_tokens", "tools", "tool_choice", "stop", "prompt")
NAMES = st.sampled_from(KNOWN) | st.sampled_from(["messages", "response_format", "logit_bias", "stream_options"])
ACCEPTED = {
    *("model", "messages", "prompt", "n", "max_tokens", "tools", "tool_choice", "stop"),
    *("response_format", "logit_bias", "stream_options"),
}


@given(st.sampled_from([CHAT, COMPLETIONS]), st.dictionaries(NAMES | st.text(max_size=8), VALUES, max_size=4))
def test_any_request_is_refused_or_has_only_fields_of_the_list(path, fields):
    limits = Limits(max_tokens=64, structured_outputs=False)
    try:
        sent = select_fields(path, {"model": "support", **fields}, limits)
    except RefusalError as error:
        refusal = (error.status, error.param is not None)
    else:
        refusal = None
        assert sent.keys() <= ACCEPTED
        assert 1 <= sent.get("n", 1) <= 16
        assert 0 <= sent.get("max_tokens", 1) <= 64
        assert sent.get("tool_choice", "auto") in ("none", "auto")
        assert len(sent.get("stop", ())) <= 1024
    assert refusal in (None, (400, True))
