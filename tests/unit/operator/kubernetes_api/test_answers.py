"""Answers of the API server: any object is read and written, and each refusal names what to do."""

from __future__ import annotations

import contextlib
import datetime as dt
import gc
import json
import sys
from collections.abc import Iterator

import pytest
from multidict import CIMultiDict

from tunewright_operator.__main__ import RECURSION_LIMIT
from tunewright_operator.cluster import ExpiredError, ForbiddenError, UnavailableError
from tunewright_operator.kubernetes_api.answers import (
    LARGE_BYTES,
    MAX_RETRY_AFTER_SECONDS,
    build_error,
    decode,
    decode_object,
    encode,
    read_retry_after,
)

NOW = dt.datetime(2026, 1, 31, 12, tzinfo=dt.UTC)


@pytest.fixture
def deep_recursion() -> Iterator[None]:
    """Set the limit that the operator sets."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(RECURSION_LIMIT)
    yield
    sys.setrecursionlimit(limit)


@pytest.mark.usefixtures("deep_recursion")
@pytest.mark.parametrize("levels", [1, 254, 255, 1_024, 1_025, 9_990])
def test_an_object_of_any_depth_that_the_api_server_allows_is_read_and_written(levels: int):
    text = '{"a":' * levels + "1" + "}" * levels
    assert encode(decode(text.encode())).replace(b" ", b"") == text.encode()


def test_text_is_written_as_utf_8():
    assert encode({"message": "ä 文"}) == '{"message":"ä 文"}'.encode()


@pytest.mark.parametrize("data", [b"", b"<html>", b"[1]", b'"text"', b"null", b'{"a":', b"\xff\xfe"])
def test_an_answer_that_is_no_object_is_unavailable(data: bytes):
    with pytest.raises(UnavailableError, match="GET /x: the answer is not a JSON object"):
        decode_object("GET /x", data)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("", 0.0),
        ("1", 1.0),
        (" 30 ", 30.0),
        ("3600", MAX_RETRY_AFTER_SECONDS),
        ("-1", 0.0),
        ("1.5", 0.0),
        ("soon", 0.0),
        ("Sat, 31 Jan 2026 12:00:10 GMT", 10.0),
        ("Sat, 31 Jan 2026 11:00:00 GMT", 0.0),
        ("Sat, 31 Jan 2026 13:00:00 GMT", MAX_RETRY_AFTER_SECONDS),
        ("Sat, 31 Jan 2026 12:00:10", 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float):
    assert read_retry_after(value, NOW) == seconds


@pytest.mark.parametrize(
    ("status", "error", "seconds"),
    [(429, UnavailableError, 7.0), (503, UnavailableError, 7.0), (410, ExpiredError, 7.0), (403, ForbiddenError, 0.0)],
)
def test_an_unavailable_server_says_when_to_ask_again(status: int, error: type[Exception], seconds: float):
    headers = CIMultiDict({"retry-after": "7"})
    built = build_error("GET /x", status, json.dumps({"reason": "r", "message": "m"}).encode(), headers, NOW)
    assert type(built) is error
    assert (str(built), built.retry_after) == (f"GET /x: {status} r: m", seconds)


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"404 page not found", "404 page not found"), (b"[]", "[]"), (b'{"message": null}', ""), (b"\xff", "\ufffd")],
)
def test_the_text_of_a_proxy_is_the_message(data: bytes, message: str):
    built = build_error("GET /x", 502, data, CIMultiDict(), NOW)
    assert str(built) == f"GET /x: 502 : {message}"


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("data", [b"[" + b"1," * LARGE_BYTES + b"1]", b"x" * LARGE_BYTES, b"1"])
def test_reading_leaves_the_garbage_collector_as_it_is(data: bytes, enabled: bool):
    if not enabled:
        gc.disable()
    try:
        with contextlib.suppress(ValueError):
            decode(data)
        assert gc.isenabled() is enabled
    finally:
        gc.enable()
