"""The middleware authorises the same model that vLLM parses."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright_server.http.errors import RefusalCode, RefusalError
from tunewright_server.http.request_body import (
    add_stop_tokens,
    ask_for_usage,
    build_headers,
    check_headers,
    decode_body,
    encode_body,
    has_second_model_key,
    read_request,
)
from tunewright_server.http.request_fields.values import Limits

JSON = [(b"content-type", b"application/json")]
LIMITS = Limits(max_tokens=64, structured_outputs=False)


def code_of(call, *arguments) -> tuple[int, str]:
    with pytest.raises(RefusalError) as caught:
        call(*arguments)
    return caught.value.status, caught.value.code


@pytest.mark.parametrize("kind", [b"application/json", b"Application/JSON; charset=utf-8"])
def test_json_is_accepted(kind):
    check_headers([(b"content-type", kind), (b"content-encoding", b"identity")], 10)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"content-type", b"text/plain")],
        [(b"content-type", b"application/x-www-form-urlencoded")],
        [(b"content-type", b"multipart/form-data; boundary=application/json")],
        [*JSON, (b"content-type", b"text/plain")],
    ],
)
def test_another_content_type(headers):
    assert code_of(check_headers, headers, 10) == (415, RefusalCode.UNSUPPORTED_MEDIA_TYPE)


def test_a_content_encoding():
    assert code_of(check_headers, [*JSON, (b"content-encoding", b"gzip")], 10)[1] == RefusalCode.UNSUPPORTED_ENCODING


def test_a_stated_length_over_the_limit():
    assert code_of(check_headers, [*JSON, (b"content-length", b"11")], 10)[0] == 413


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[1]", b'"model"', b"\xff{}", b'{"model":"a"}{"model":"b"}', b'{"model":NaN}']
)
def test_no_json_object(body):
    assert code_of(decode_body, body) == (400, RefusalCode.INVALID_JSON)


@pytest.mark.parametrize("model", [None, 1, "", ["a"], {"a": 1}])
def test_no_model(model):
    assert code_of(decode_body, orjson.dumps({"model": model})) == (400, RefusalCode.INVALID_MODEL)
    assert code_of(decode_body, b'{"messages":[]}') == (400, RefusalCode.INVALID_MODEL)


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"a","model":"b"}',
        b'{"model":"a","messages":[],"model":"a"}',
        b'{"model":"a","\\u006dodel":"b"}',
        b'{"\\u006Dode\\u006c":"a","model":"b"}',
        b'{"m\\u006fdel":"a","mod\\u0065l":"b"}',
        b'{"model":"a","x":{"model":"c"},"model":"b"}',
    ],
)
def test_two_models(body):
    assert code_of(decode_body, body) == (400, RefusalCode.DUPLICATE_MODEL)


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"a","messages":[{"model":"b"},{"model":"c"}]}',
        b'{"\\u006dodel":"a","Model":"b"}',
        b'{"model":"a","messages":"\\"model\\": \\u006dodel \\"model\\""}',
    ],
)
def test_one_model_beside_text_that_looks_like_a_second_one(body):
    assert decode_body(body)["model"] == "a"


KEYS = st.sampled_from(["model", "\\u006dodel", "mod\\u0065l", "other", "Model"])
VALUES = st.sampled_from(['"a"', '{"model":"x","model":"y"}', "1", '"model"', '"\\"model\\":"'])


@given(st.lists(st.tuples(KEYS, VALUES), max_size=6))
def test_the_fast_scan_agrees_with_a_full_parse(pairs):
    body = ("{" + ",".join(f'"{key}":{value}' for key, value in pairs) + "}").encode()
    truth = sum(json.loads(f'"{key}"') == "model" for key, _ in pairs) > 1
    assert has_second_model_key(body) == truth


def test_deep_nesting_is_refused_without_a_crash():
    for levels in (254, 900, 1023, 90_000):
        deep = b'{"model":"a","x":' + b"[" * levels + b"]" * levels + b"}"
        assert code_of(decode_body, deep) == (400, RefusalCode.INVALID_JSON)
    escaped = b'{"\\u006dodel":"a","x":' + b"[" * 1000 + b"]" * 1000 + b"}"
    assert code_of(decode_body, escaped)[0] == 400


def test_a_decoded_body_can_be_encoded():
    levels = 253
    data = decode_body(b'{"model":"a","x":' + b"[" * levels + b"]" * levels + b"}")
    encode_body({**data, "model": "a--0123456789ab", "stream_options": {"include_usage": True}})


def test_headers_for_vllm():
    headers = [*JSON, (b"content-length", b"9"), (b"transfer-encoding", b"chunked"), (b"x-tunewright-evaluate", b"x")]
    passed = [(b"user-agent", b"a"), (b"traceparent", b"00-1-1-00")]
    assert build_headers([*headers, *passed], 5) == [*passed, *JSON, (b"content-length", b"5")]


@pytest.mark.parametrize(
    ("options", "added"),
    [
        ({}, (True, True)),
        ({"stream_options": None}, (True, True)),
        ({"stream_options": {"include_usage": False, "continuous_usage_stats": True}}, (True, True)),
        ({"stream_options": {"include_usage": True}}, (False, True)),
        ({"stream_options": {"include_usage": True, "continuous_usage_stats": True}}, (False, False)),
    ],
)
def test_the_usage_of_a_stream_is_requested(options, added):
    data = {"model": "a", "stream": True, **options}
    assert ask_for_usage(data) == added
    assert data["stream_options"] == {"include_usage": True, "continuous_usage_stats": True}


@pytest.mark.parametrize("options", [{}, {"stream": False}, {"stream": True, "stream_options": "x"}])
def test_no_usage_is_requested_without_a_stream_or_of_malformed_options(options):
    data = dict(options)
    assert ask_for_usage(data) == (False, False)
    assert data == options


def read(body, path="/v1/chat/completions"):
    return read_request(orjson.dumps(body), path, LIMITS, {"a": ("conversation",)}.get)


def test_the_whole_request_is_for_the_middleware_and_vllm_gets_the_accepted_fields():
    body = {"model": "a", "messages": [], "seed": 2.0, "conversation": "7", "user": "u"}
    given, sent = read(body)
    assert given == body
    assert sent == {"model": "a", "messages": [], "seed": 2}


@pytest.mark.parametrize("value", [1, "true", "YES", 1.0])
def test_vllm_gets_the_boolean_that_was_read(value):
    _, sent = read({"model": "a", "stream": value, "stream_options": {"include_usage": "off"}})
    assert sent["stream"] is True
    assert ask_for_usage(sent) == (True, True)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        (b'"seed":18446744073709551616', RefusalCode.INTEGER_OUT_OF_RANGE),
        (b'"x":[{"y":-9223372036854775809}]', RefusalCode.INTEGER_OUT_OF_RANGE),
    ],
)
def test_values_that_parsers_read_differently(fields, code):
    assert code_of(decode_body, b'{"model":"a",%s}' % fields) == (400, code)


@pytest.mark.parametrize("kind", [b"application/json ; charset=utf-8", b" Application/JSON"])
def test_vllm_gets_the_content_type_in_the_form_that_it_accepts(kind):
    check_headers([(b"content-type", kind)], 10)
    assert build_headers([(b"content-type", kind)], 5) == [*JSON, (b"content-length", b"5")]


@pytest.mark.parametrize(
    ("body", "taught", "sent", "added"),
    [
        ({}, (), {}, set()),
        ({}, (2,), {"stop_token_ids": [2]}, {2}),
        ({"stop_token_ids": None}, (2, 7), {"stop_token_ids": [2, 7]}, {2, 7}),
        ({"stop_token_ids": []}, (2,), {"stop_token_ids": [2]}, {2}),
        ({"stop_token_ids": [5, 2]}, (2, 7), {"stop_token_ids": [5, 2, 7]}, {7}),
        ({"stop_token_ids": [2]}, (2,), {"stop_token_ids": [2]}, set()),
        ({"stop": "END"}, (2,), {"stop": "END", "stop_token_ids": [2]}, {2}),
        ({"ignore_eos": True}, (2,), {"ignore_eos": True}, set()),
        ({"ignore_eos": True, "stop_token_ids": [5]}, (2,), {"ignore_eos": True, "stop_token_ids": [5]}, set()),
        ({"ignore_eos": False}, (2,), {"ignore_eos": False, "stop_token_ids": [2]}, {2}),
        ({"stop_token_ids": "2"}, (2,), {"stop_token_ids": "2"}, set()),
        ({"stop_token_ids": {"a": 1}}, (2,), {"stop_token_ids": {"a": 1}}, set()),
    ],
)
def test_stop_tokens_of_the_adapter_are_added_to_the_clients(body, taught, sent, added):
    data = dict(body)
    assert add_stop_tokens(data, taught) == added
    assert data == sent


def test_the_clients_own_list_is_not_changed():
    own = [5]
    add_stop_tokens({"stop_token_ids": own}, (2,))
    assert own == [5]
