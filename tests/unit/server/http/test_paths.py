"""A client that uses another path learns which one it meant."""

import pytest

from tunewright_server.http.paths import explain_path, find_model


@pytest.mark.parametrize(
    ("path", "alias"),
    [
        ("/v1/models/support", "support"),
        ("/v1/models", None),
        ("/v1/models/", None),
        ("/v1/models/support/", None),
        ("/v1/models/a/b", None),
        ("/models/support", None),
    ],
)
def test_the_path_of_one_model(path, alias):
    assert find_model(path) == alias


@pytest.mark.parametrize(
    ("path", "use"),
    [
        ("/v1/chat/completions/", "/v1/chat/completions"),
        ("//v1/chat/completions", "/v1/chat/completions"),
        ("/v1//completions", "/v1/completions"),
        ("/v1/models/", "/v1/models"),
        ("/v1/models/support/", "/v1/models/support"),
        ("/health/", "/health"),
        ("/chat/completions", "/v1/chat/completions"),
        ("/completions/", "/v1/completions"),
        ("/models", "/v1/models"),
        ("/models/support", "/v1/models/support"),
        ("/v1/v1/chat/completions", "/v1/chat/completions"),
        ("/openai/v1/models", "/v1/models"),
        ("/api/chat/completions", "/v1/chat/completions"),
    ],
)
def test_a_wrong_base_url_or_too_many_slashes(path, use):
    assert f"The path {path} does not exist; use {use}" in explain_path("POST", path)


@pytest.mark.parametrize("path", ["/chat/completions", "/v1/v1/models", "/"])
def test_a_wrong_base_url_is_named(path):
    assert "The base URL of an OpenAI client ends in /v1" in explain_path("GET", path)


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/responses", "/v1/embeddings", "/version", "/v1/health", "/x/y/z"])
def test_for_any_other_path_those_that_exist_are_listed(path):
    message = explain_path("GET", path)
    assert f"The path {path} does not exist" in message
    assert "POST /v1/chat/completions, POST /v1/completions, GET /v1/models and GET /v1/models/<model>" in message


@pytest.mark.parametrize(
    ("method", "path", "use"),
    [
        ("GET", "/v1/chat/completions", "POST"),
        ("OPTIONS", "/v1/completions", "POST"),
        ("POST", "/v1/models", "GET or HEAD"),
        ("DELETE", "/v1/models/support", "GET or HEAD"),
        ("DELETE", "/health", "GET or HEAD"),
    ],
)
def test_another_method(method, path, use):
    assert explain_path(method, path) == f"{path} does not accept {method}; send {use}"


def test_messages_are_short_whatever_the_client_sent():
    for path in ("/x" * 30_000, "/models/" + "y" * 60_000, "/v1/models/" + "y" * 60_000, "/" * 60_000):
        assert len(explain_path("Z" * 9_000, path)) < 700
