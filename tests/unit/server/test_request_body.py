"""What is authorised is what vLLM parses."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright_server.errors import RefusalCode, RefusalError
from tunewright_server.request_body import (
    check_headers,
    decode_body,
    encode_body,
    has_second_model_key,
    replace_headers,
)

JSON = [(b"content-type", b"application/json")]


def code_of(call, *arguments) -> tuple[int, str]:
    with pytest.raises(RefusalError) as caught:
        call(*arguments)
    return caught.value.status, caught.value.code


@pytest.mark.parametrize("kind", [b"application/json", b"Application/JSON; charset=utf-8"])
def test_json_is_taken(kind):
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
def test_one_model_beside_what_looks_like_another(body):
    assert decode_body(body)["model"] == "a"


KEYS = st.sampled_from(["model", "\\u006dodel", "mod\\u0065l", "other", "Model"])
VALUES = st.sampled_from(['"a"', '{"model":"x","model":"y"}', "1", '"model"', '"\\"model\\":"'])


@given(st.lists(st.tuples(KEYS, VALUES), max_size=6))
def test_the_fast_way_agrees_with_a_full_parse(pairs):
    body = ("{" + ",".join(f'"{key}":{value}' for key, value in pairs) + "}").encode()
    truth = sum(json.loads(f'"{key}"') == "model" for key, _ in pairs) > 1
    assert has_second_model_key(body) == truth


def test_deep_nesting_is_refused_not_crashed_on():
    deep = b'{"model":"a","x":' + b"[" * 900 + b"]" * 900 + b"}"
    assert code_of(lambda: encode_body(decode_body(deep)))[0] == 400
    assert code_of(decode_body, b'{"model":"a","x":' + b"[" * 90000 + b"]" * 90000 + b"}")[0] == 400
    escaped = b'{"\\u006dodel":"a","x":' + b"[" * 1000 + b"]" * 1000 + b"}"
    assert code_of(decode_body, escaped)[0] == 400


def test_headers_for_vllm():
    headers = [*JSON, (b"content-length", b"9"), (b"transfer-encoding", b"chunked"), (b"x-tunewright-evaluate", b"x")]
    assert replace_headers(headers, 5) == [*JSON, (b"content-length", b"5")]
