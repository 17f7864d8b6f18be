"""Decode a request once, so that what was authorised is what vLLM parses: the decoded body is encoded again for it.

What could not be encoded again, or would make the pod fetch something, is refused here, before any revision is chosen.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import orjson

from tunewright_server.http.asgi import get_header
from tunewright_server.http.errors import RefusalCode, RefusalError

OFF_LOOP_BYTES = 256 * 1024
"""Larger bodies are decoded and encoded in a thread."""
_MODEL_KEY = b'"model"'
_ESCAPED_LETTER = b"\\u00"
_PART_KEYS = {"text": frozenset({"type", "text", "cache_control"}), "refusal": frozenset({"type", "refusal"})}
"""The parts of a message that are text, and what they may hold.

With a `uuid`, vLLM 0.32 reads a part of type text as the image, audio or video that another of its keys names.
"""


def check_headers(headers: Iterable[tuple[bytes, bytes]], max_bytes: int) -> None:
    """Refuse a request by its headers alone.

    Raises:
        RefusalError: 415 for another content type or a content encoding, 413 for a stated length over the limit.
    """
    headers = list(headers)
    kinds = [value.decode("latin-1") for key, value in headers if key == b"content-type"]
    if len(kinds) != 1 or kinds[0].partition(";")[0].strip().lower() != "application/json":
        given = ", ".join(kinds) or "none"
        raise RefusalError(
            415, RefusalCode.UNSUPPORTED_MEDIA_TYPE, f"The content type is {given}; send one: application/json"
        )
    encoding = get_header(headers, "content-encoding")
    if encoding is not None and encoding.strip().lower() != "identity":
        raise RefusalError(
            415, RefusalCode.UNSUPPORTED_ENCODING, f"The content encoding {encoding} is not taken; send the body plain"
        )
    length = get_header(headers, "content-length")
    if length is not None and length.isdigit() and int(length) > max_bytes:
        raise too_large(max_bytes)


def too_large(max_bytes: int) -> RefusalError:
    """Return the refusal of a body over the limit."""
    return RefusalError(
        413, RefusalCode.REQUEST_TOO_LARGE, f"The request is over {max_bytes} bytes, the most this server takes"
    )


def decode_body(body: bytes) -> dict[str, Any]:
    """Return the request's object: one ``model`` that is a text, messages of text, and no deeper than can be encoded.

    Raises:
        RefusalError: 400 with what is wrong.
    """
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RefusalError(400, RefusalCode.INVALID_JSON, f"The body is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise RefusalError(400, RefusalCode.INVALID_JSON, "The body is not a JSON object")
    if not isinstance(data.get("model"), str) or not data["model"]:
        raise RefusalError(400, RefusalCode.INVALID_MODEL, "Name the model in `model`, a text", param="model")
    if has_second_model_key(body):
        raise RefusalError(
            400,
            RefusalCode.DUPLICATE_MODEL,
            "The body has `model` twice; parsers differ in which counts",
            param="model",
        )
    check_messages(data)
    encode_body(data)  # orjson reads 1024 levels and writes 254
    return data


def has_second_model_key(body: bytes) -> bool:
    r"""Return whether the top-level object of a valid JSON text has ``model`` more than once.

    The letters of a key can be written plainly or as ``\u006d…`` only, so a body with one plain ``"model"`` and no
    such escape is recognised in one pass over the bytes; any other is parsed pair by pair.
    """
    if _ESCAPED_LETTER not in body and body.count(_MODEL_KEY) <= 1:
        return False
    top: list[tuple[str, Any]] = []

    def keep(pairs: list[tuple[str, Any]]) -> None:
        top[:] = pairs  # objects end innermost first: the last one is the top

    try:
        json.loads(body, object_pairs_hook=keep)
    except (ValueError, RecursionError) as error:
        raise RefusalError(400, RefusalCode.INVALID_JSON, f"The body cannot be read twice alike: {error}") from error
    return sum(key == "model" for key, _ in top) > 1


def check_messages(data: dict[str, Any]) -> None:
    """Refuse messages with anything but text: vLLM would fetch an image, audio or video from any address in a request.

    Anything that is no message at all is left for vLLM to refuse.

    Raises:
        RefusalError: 400 with the part's place.
    """
    messages = data.get("messages")
    for number, message in enumerate(messages if isinstance(messages, list) else ()):
        content = message.get("content") if isinstance(message, dict) else None
        for place, part in enumerate(content if isinstance(content, list) else ()):
            if not _is_text(part):
                kind = part.get("type") if isinstance(part, dict) else None
                raise RefusalError(
                    400,
                    RefusalCode.UNSUPPORTED_CONTENT,
                    f"messages[{number}].content[{place}] (type {str(kind)[:40]!r}) is not plain text, and this server "
                    'takes nothing else; send {"type": "text", "text": ...} without further keys',
                    param="messages",
                )


def _is_text(part: object) -> bool:
    if not isinstance(part, dict):
        return isinstance(part, str)
    kind = part.get("type")
    return isinstance(kind, str) and part.keys() <= _PART_KEYS.get(kind, frozenset())


def ask_for_usage(data: dict[str, Any]) -> bool:
    """Make a streamed answer end with its usage, which a token limit is checked on; return whether that was added."""
    if data.get("stream") is not True:
        return False
    options = data.get("stream_options")
    if options is not None and (not isinstance(options, dict) or options.get("include_usage")):
        return False  # asked for already, or malformed: vLLM refuses it
    data["stream_options"] = {**(options or {}), "include_usage": True}
    return True


def encode_body(data: dict[str, Any]) -> bytes:
    """Return the JSON text for vLLM.

    Raises:
        RefusalError: 400 when it is nested too deeply to be written again.
    """
    try:
        return orjson.dumps(data)
    except orjson.JSONEncodeError as error:
        raise RefusalError(400, RefusalCode.INVALID_JSON, f"The body is nested too deeply: {error}") from error


def replace_headers(headers: Iterable[tuple[bytes, bytes]], length: int) -> list[tuple[bytes, bytes]]:
    """Return the request's headers for vLLM: the new length, and nothing that was meant for this layer."""
    dropped = (b"content-length", b"transfer-encoding", b"content-encoding")
    kept = [(key, value) for key, value in headers if key not in dropped and not key.startswith(b"x-tunewright-")]
    return [*kept, (b"content-length", str(length).encode())]
