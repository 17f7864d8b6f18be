"""Decode a request once and encode it again for vLLM, so that vLLM parses exactly what was authorized.

A body that cannot be encoded again, or that has a field that is not accepted, is refused before a revision is chosen.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable
from typing import Any, NamedTuple

import orjson

from tunewright_server.http.asgi import get_header
from tunewright_server.http.errors import RefusalCode, RefusalError
from tunewright_server.http.lenient import check_integers
from tunewright_server.http.request_fields.allowed import select_fields
from tunewright_server.http.request_fields.values import Limits

OFF_LOOP_BYTES = 256 * 1024
"""Larger bodies are decoded and encoded in a thread."""
_MODEL_KEY = b'"model"'
_ESCAPED_LETTER = b"\\u00"
_PASSED_HEADERS = frozenset({b"accept", b"host", b"origin", b"traceparent", b"tracestate", b"user-agent"})


class AddedUsage(NamedTuple):
    """The usage that the client did not ask for: in the last event of a stream, and in all others."""

    final: bool
    running: bool


NO_ADDED_USAGE = AddedUsage(final=False, running=False)


def check_headers(headers: Iterable[tuple[bytes, bytes]], max_bytes: int) -> None:
    """Refuse a request that has invalid headers.

    Raises:
        RefusalError: 415 for another content type or a content encoding, 413 for a content length over the limit.
    """
    headers = list(headers)
    kinds = [value.decode("latin-1") for key, value in headers if key == b"content-type"]
    if len(kinds) != 1 or kinds[0].partition(";")[0].strip().lower() != "application/json":
        given = ", ".join(kinds) or "none"
        raise RefusalError(
            415,
            RefusalCode.UNSUPPORTED_MEDIA_TYPE,
            f"The content type is {given}; send exactly one: application/json",
        )
    encoding = get_header(headers, "content-encoding")
    if encoding is not None and encoding.strip().lower() != "identity":
        raise RefusalError(
            415,
            RefusalCode.UNSUPPORTED_ENCODING,
            f"The content encoding {encoding} is not supported; send the body without one",
        )
    length = get_header(headers, "content-length")
    if length is not None and length.isdigit() and int(length) > max_bytes:
        raise too_large(max_bytes)


def too_large(max_bytes: int) -> RefusalError:
    """Return the refusal of a body over the limit."""
    return RefusalError(
        413,
        RefusalCode.REQUEST_TOO_LARGE,
        f"The request has more than {max_bytes} bytes, the limit of this server; send a shorter one",
    )


def decode_body(body: bytes) -> dict[str, Any]:
    """Return the request's object, which has one ``model`` and can be encoded again.

    Raises:
        RefusalError: 400; the message names the problem.
    """
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RefusalError(400, RefusalCode.INVALID_JSON, f"The body is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise RefusalError(400, RefusalCode.INVALID_JSON, "The body is not a JSON object")
    if not isinstance(data.get("model"), str) or not data["model"]:
        raise RefusalError(400, RefusalCode.INVALID_MODEL, "Set `model` to the model's name, a string", param="model")
    if has_second_model_key(body):
        raise RefusalError(
            400,
            RefusalCode.DUPLICATE_MODEL,
            "The body has `model` more than once; send it once, because parsers differ in which one they use",
            param="model",
        )
    encode_body(data)  # orjson reads 1024 levels, but writes only 254
    check_integers(body)
    return data


def read_request(
    body: bytes, path: str, limits: Limits, find_session_fields: Callable[[str], Collection[str]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the request's object, and the fields of it that vLLM gets.

    Args:
        body: the request's body.
        path: the request's path.
        limits: what the server allows.
        find_session_fields: returns the fields that identify sessions of an alias.

    Raises:
        RefusalError: 400; the message names the problem.
    """
    data = decode_body(body)
    return data, select_fields(path, data, limits, find_session_fields(data["model"]))


def has_second_model_key(body: bytes) -> bool:
    r"""Return whether the top-level object of a valid JSON text has ``model`` more than once.

    The letters of a key are either plain or escaped as ``\u006d…``. So one pass over the bytes shows whether a body has
    one plain ``"model"`` and no such escape; any other body is parsed pair by pair.
    """
    if _ESCAPED_LETTER not in body and body.count(_MODEL_KEY) <= 1:
        return False
    top: list[tuple[str, Any]] = []

    def keep(pairs: list[tuple[str, Any]]) -> None:
        top[:] = pairs  # the parser ends inner objects first, so the last one is the top-level object

    try:
        json.loads(body, object_pairs_hook=keep)
    except (ValueError, RecursionError) as error:
        raise RefusalError(400, RefusalCode.INVALID_JSON, f"The body is not JSON for all parsers: {error}") from error
    return sum(key == "model" for key, _ in top) > 1


def ask_for_usage(data: dict[str, Any]) -> AddedUsage:
    """Request the usage in every event of a stream, to check a token limit; return what the client did not ask for."""
    options = data.get("stream_options")
    if data.get("stream") is not True or not (options is None or isinstance(options, dict)):
        return NO_ADDED_USAGE  # vLLM refuses malformed options
    given = options or {}
    final = not given.get("include_usage")
    data["stream_options"] = {**given, "include_usage": True, "continuous_usage_stats": True}
    return AddedUsage(final=final, running=final or not given.get("continuous_usage_stats"))


def add_stop_tokens(data: dict[str, Any], taught: Collection[int]) -> frozenset[int]:
    """Let the tokens that an adapter learned to end answers with end this answer; return those that were added.

    The client's own `stop_token_ids` stay. With `ignore_eos`, vLLM does not stop at the base model's end token either.
    """
    own = data.get("stop_token_ids")
    if data.get("ignore_eos") or not isinstance(own, list | None):
        return frozenset()  # vLLM refuses other values
    added = [token for token in taught if token not in (own or ())]
    if added:
        data["stop_token_ids"] = [*(own or ()), *added]
    return frozenset(added)


def encode_body(data: dict[str, Any]) -> bytes:
    """Return the JSON text for vLLM.

    Raises:
        RefusalError: 400; it is nested too deeply to be written again.
    """
    try:
        return orjson.dumps(data)
    except orjson.JSONEncodeError as error:
        raise RefusalError(400, RefusalCode.INVALID_JSON, f"The body is nested too deeply: {error}") from error


def build_headers(headers: Iterable[tuple[bytes, bytes]], length: int) -> list[tuple[bytes, bytes]]:
    """Return the request's headers for vLLM.

    vLLM obeys some headers as it obeys fields of a body: `X-Vllm-Priority`, `X-Session-ID`, `X-data-parallel-rank`,
    `X-Request-Id`. So it gets only those that have no effect on the answer, and the type and length of the new body.
    """
    kept = [(key, value) for key, value in headers if key in _PASSED_HEADERS]
    return [*kept, (b"content-type", b"application/json"), (b"content-length", str(length).encode())]
