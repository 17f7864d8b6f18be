"""The fields that a request can have: those of OpenAI's API that have a meaning here, and vLLM's sampling parameters.

vLLM ignores fields that it does not know and obeys all others: a chat template, another scheduling priority, data for
its extensions. So a request with any other field is refused, and vLLM gets no field that is not in these tables.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from tunewright_server.http.errors import RefusalCode, RefusalError
from tunewright_server.http.request_fields.messages import check_messages
from tunewright_server.http.request_fields.structured import (
    check_response_format,
    check_structured_outputs,
    check_tool_choice,
    check_tool_schemas,
    check_tools,
)
from tunewright_server.http.request_fields.values import (
    DROPPED,
    Limits,
    Rule,
    boolean,
    ignored,
    number,
    one_of,
    read_list,
    read_object,
    read_text,
    read_whole,
    refuse,
    refuse_found,
    refuse_key,
    tokens,
    whole,
)
from tunewright_server.request_limits import (
    MAX_CHOICES,
    MAX_LOGIT_BIASES,
    MAX_LOGPROBS,
    MAX_N,
    MAX_PROMPTS,
    MAX_STOP_CHARACTERS,
    MAX_STOP_STRINGS,
    MAX_STOP_TOKENS,
)

CHAT_PATH = "/v1/chat/completions"
_LARGEST_TOKEN = 2**31 - 1
_SESSION_CHARACTERS = 1024
_STREAM_KEYS = frozenset({"include_usage", "continuous_usage_stats", "include_obfuscation"})
_VLLM_STREAM_KEYS = frozenset({"include_usage", "continuous_usage_stats"})
_TEMPLATE_KEYS = frozenset({"enable_thinking", "thinking"})


def _check_stop(name: str, value: Any, _: Limits) -> Any:
    if isinstance(value, str):
        return read_text(name, value, MAX_STOP_CHARACTERS)
    for place, text in enumerate(read_list(name, value, MAX_STOP_STRINGS, "texts")):
        read_text(f"{name}[{place}]", text, MAX_STOP_CHARACTERS)
    return value


def _read_token(name: str, value: Any) -> int:
    return read_whole(name, value, 0, _LARGEST_TOKEN)


def _check_stop_tokens(name: str, value: Any, _: Limits) -> list[int]:
    ids = read_list(name, value, MAX_STOP_TOKENS, "token IDs")
    return [_read_token(f"{name}[{place}]", item) for place, item in enumerate(ids)]


def _check_logit_bias(name: str, value: Any, _: Limits) -> Any:
    if not isinstance(value, dict) or len(value) > MAX_LOGIT_BIASES:
        refuse(name, value, f"an object with at most {MAX_LOGIT_BIASES} token IDs")
    for token, bias in value.items():
        if not (token.isascii() and token.isdecimal() and len(token) <= 10):
            refuse(f"{name}.{token}", bias, "an object whose keys are token IDs")
        if isinstance(bias, bool) or not isinstance(bias, (int, float)) or not -100 <= bias <= 100:
            refuse(f"{name}.{token}", bias, "a number from -100 to 100")
    return value


def _check_prompt(name: str, value: Any, _: Limits) -> Any:
    """Check one prompt or a list of them; each is a text or a list of token IDs."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list) or not value:
        refuse(name, value, "a text, a list of token IDs, or a list of one of them")
    first = value[0]
    if isinstance(first, (str, list)):
        read_list(name, value, MAX_PROMPTS, "prompts")
    if isinstance(first, str):
        if not all(isinstance(item, str) for item in value):
            refuse_found(name, "a list of texts and others", "either texts or token IDs")
    elif isinstance(first, list):
        for place, item in enumerate(value):
            _check_tokens(f"{name}[{place}]", item)
    else:
        _check_tokens(name, value)
    return value


def _check_tokens(name: str, value: Any) -> None:
    if not isinstance(value, list) or not value:
        refuse(name, value, "a list of token IDs")
    if not all(type(item) is int and 0 <= item <= _LARGEST_TOKEN for item in value):
        refuse_found(name, "a list with another value", "token IDs, which are whole numbers of at least 0")


def _check_stream_options(name: str, value: Any, limits: Limits) -> dict[str, bool]:
    read_object(name, value, _STREAM_KEYS)
    given = {key: boolean(f"{name}.{key}", item, limits) for key, item in value.items() if item is not None}
    return {key: item for key, item in given.items() if key in _VLLM_STREAM_KEYS}


def _check_template_options(name: str, value: Any, limits: Limits) -> dict[str, bool]:
    """Accept whether the model thinks before it answers; vLLM passes all other options to the template's code."""
    read_object(name, value, _TEMPLATE_KEYS)
    return {key: boolean(f"{name}.{key}", item, limits) for key, item in value.items() if item is not None}


def _check_modalities(name: str, value: Any, _: Limits) -> Any:
    if value != ["text"]:
        refuse(name, value, '["text"]')
    return DROPPED


def _check_best_of(name: str, value: Any, _: Limits) -> Any:
    if value != 1:
        refuse(name, value, "1: this server has no beam search")
    return DROPPED


_COMMON: Mapping[str, Rule] = {
    "model": lambda _name, value, _limits: value,  # the caller has checked it
    "frequency_penalty": number(-2, 2),
    "ignore_eos": boolean,
    "include_stop_str_in_output": boolean,
    "logit_bias": _check_logit_bias,
    "metadata": ignored,
    "min_p": number(0, 1),
    "min_tokens": tokens(0),
    "n": whole(1, MAX_N),
    "presence_penalty": number(-2, 2),
    "prompt_cache_key": ignored,
    "prompt_cache_retention": ignored,
    "repetition_penalty": number(0, 100),
    "response_format": check_response_format,
    "safety_identifier": ignored,
    "seed": whole(-(2**63), 2**63 - 1),
    "service_tier": ignored,
    "skip_special_tokens": boolean,
    "spaces_between_special_tokens": boolean,
    "stop": _check_stop,
    "stop_token_ids": _check_stop_tokens,
    "store": ignored,
    "stream": boolean,
    "stream_options": _check_stream_options,
    "structured_outputs": check_structured_outputs,
    "temperature": number(0, 2),
    "top_k": whole(-1, _LARGEST_TOKEN),
    "top_p": number(0, 1),
    "user": ignored,
}
_CHAT: Mapping[str, Rule] = {
    **_COMMON,
    "chat_template_kwargs": _check_template_options,
    "logprobs": boolean,
    "max_completion_tokens": tokens(1),
    "max_tokens": tokens(1),
    "messages": check_messages,
    "modalities": _check_modalities,
    "parallel_tool_calls": boolean,
    "reasoning_effort": one_of("none", "minimal", "low", "medium", "high", "xhigh", "max"),
    "tool_choice": check_tool_choice,
    "tools": check_tools,
    "top_logprobs": whole(0, MAX_LOGPROBS),
    "verbosity": ignored,
}
_COMPLETIONS: Mapping[str, Rule] = {
    **_COMMON,
    "add_special_tokens": boolean,
    "best_of": _check_best_of,
    "echo": boolean,
    "logprobs": whole(0, MAX_LOGPROBS),
    "max_tokens": tokens(0),
    "prompt": _check_prompt,
}
_ABSENT = frozenset({"audio", "function_call", "functions", "prediction", "suffix", "web_search_options"})
"""OpenAI's fields that have no meaning here; clients may send them without a value."""

_BEAM_SEARCH = "this server has no beam search; use n and temperature"
_PROMPT_LOGPROBS = "log probabilities of the prompt need memory that vLLM does not reserve"
_CONSTRAINED = "vLLM does not know it any more; use response_format or structured_outputs, if the server allows them"
_TEMPLATE = "the chat template is the base model's; only chat_template_kwargs.enable_thinking can be set"
_REASONS: Mapping[str, str] = {
    "cache_salt": "a client cannot choose with whom it shares cached prompts",
    "extra_body": "the Python client sends the content of its option extra_body as fields of the request itself",
    "prompt_logprobs": _PROMPT_LOGPROBS,
    "priority": "all requests have the same priority",
    **dict.fromkeys(("use_beam_search", "length_penalty", "early_stopping"), _BEAM_SEARCH),
    **dict.fromkeys(("chat_template", "add_generation_prompt", "continue_final_message", "documents"), _TEMPLATE),
}


def select_fields(
    path: str, data: Mapping[str, Any], limits: Limits, session_fields: Collection[str] = ()
) -> dict[str, Any]:
    """Return the fields of a request that vLLM gets, in the types that it needs.

    A field without a value (null) is as one that is not there.

    Args:
        path: the request's path.
        data: the decoded request.
        limits: what the server allows.
        session_fields: fields that identify sessions of the requested alias; only this layer reads them.

    Raises:
        RefusalError: 400; a field is not accepted, or its value is not; the message names it.
    """
    rules = _CHAT if path == CHAT_PATH else _COMPLETIONS
    kept: dict[str, Any] = {}
    for name, value in data.items():
        rule = rules.get(name)
        if rule is None:
            if name in session_fields:
                _check_session(name, value)
            elif name not in _ABSENT or value is not None:
                _refuse_field(name, rules, session_fields)
        elif value is not None:
            result = rule(name, value, limits)
            if result is not DROPPED:
                kept[name] = result
    _check_together(kept)
    return kept


def _check_together(data: dict[str, Any]) -> None:
    prompt = data.get("prompt")
    prompts = len(prompt) if isinstance(prompt, list) and isinstance(prompt[0], (str, list)) else 1
    if prompts * data.get("n", 1) > MAX_CHOICES:
        refuse("n", data["n"], f"at most {MAX_CHOICES // prompts} for {prompts} prompts")
    if data.get("echo") and data.get("logprobs") is not None:
        message = f"`logprobs` with `echo` is not accepted: {_PROMPT_LOGPROBS}"
        raise RefusalError(400, RefusalCode.UNSUPPORTED_PARAMETER, message, param="logprobs")
    check_tool_schemas(data)


def _check_session(name: str, value: Any) -> None:
    if isinstance(value, str):
        if len(value) > _SESSION_CHARACTERS:
            refuse_found(name, f"a text of {len(value)} characters", f"at most {_SESSION_CHARACTERS}")
    elif value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        refuse(name, value, "a text or a whole number")


def _refuse_field(name: str, rules: Mapping[str, Rule], session_fields: Collection[str]) -> None:
    reason = _CONSTRAINED if name.startswith("guided_") else _REASONS.get(name, "")
    refuse_key(name, {*rules, *session_fields}, reason, name[:200])
