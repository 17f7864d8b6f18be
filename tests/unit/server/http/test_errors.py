"""Refusals have the form of OpenAI's errors."""

import json

import pytest

from tunewright_server.http.errors import RefusalCode, RefusalError


@pytest.mark.parametrize(
    ("status", "kind"), [(400, "invalid_request_error"), (499, "invalid_request_error"), (500, "server_error")]
)
def test_the_body_distinguishes_errors_of_client_and_server(status, kind):
    body = json.loads(RefusalError(status, RefusalCode.NOT_FOUND, "There is nothing here").to_body())
    assert body == {
        "error": {"message": "There is nothing here", "type": kind, "param": None, "code": "not_found"},
    }


def test_the_invalid_parameter_is_named():
    refusal = RefusalError(404, RefusalCode.MODEL_NOT_FOUND, "no", param="model")
    assert json.loads(refusal.to_body())["error"]["param"] == "model"


def test_the_time_of_a_retry_is_a_header():
    assert RefusalError(503, RefusalCode.NOT_STARTED, "no", retry_after=1).headers() == [(b"retry-after", b"1")]
    assert RefusalError(404, RefusalCode.NOT_FOUND, "no").headers() == []
