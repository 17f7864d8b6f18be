"""Lines of a dataset: one JSON object each, in which no key that changes the meaning of a record may be dropped.

Training and evaluation read the same records. A key that they cannot honour is refused by name: otherwise a model would
learn, or be asked, something else than the data says. A key without a value (null, or an empty text, list or object)
changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn


class InvalidRecordError(ValueError):
    """A record is invalid; the message is the reason, without file and line."""


_TOOLS = "tool calls are neither learned nor scored; remove the record, or write the calls into the contents as text"
_REASONING = "reasoning is neither learned nor scored; remove it, or write the wanted text into the content"
_MEDIA = "only text is learned and scored; remove the record, or describe it in the content"
_LOSS = 'use "weight": 0 on an assistant message that must not be learned'

_COMMON_ADVICE: Mapping[str, str] = {
    **dict.fromkeys(("tools", "functions", "tool_choice", "function_call", "tool_calls", "tool_call_id"), _TOOLS),
    **dict.fromkeys(
        ("reasoning_content", "reasoning", "reasoning_details", "thinking", "thinking_blocks", "thought", "thoughts"),
        _REASONING,
    ),
    **dict.fromkeys(("image", "images", "image_url", "audio", "audios", "video", "videos", "attachments"), _MEDIA),
}
_MESSAGE_ADVICE: Mapping[str, str] = {
    **_COMMON_ADVICE,
    **dict.fromkeys(("train", "trainable", "train_detail", "loss", "loss_mask"), _LOSS),
    "name": "names of speakers are not rendered; remove it, or write the name into the content",
    "refusal": "write the refusal into the content",
    "prefix": "an answer cannot be continued; remove it, or write the whole answer into the content",
}
_SYSTEM = 'write it as the first message, with the role "system"'
_PREFERENCE = "preferences are neither learned nor scored; keep the preferred answer, and remove this key"
_RECORD_ADVICE: Mapping[str, str] = {
    **_COMMON_ADVICE,
    **dict.fromkeys(("system", "system_prompt", "developer"), _SYSTEM),
    **dict.fromkeys(("chosen", "rejected", "preferred_output", "non_preferred_output"), _PREFERENCE),
    **dict.fromkeys(("documents", "retrieved_documents"), "it is not rendered; write it into a message's content"),
    **dict.fromkeys(
        ("chat_template", "chat_template_kwargs", "enable_thinking"),
        "the chat template is the BaseModel's, and the same for all records; remove it",
    ),
    "suffix": "text between two parts is neither learned nor scored; remove the record",
}


def decode_line(content: bytes) -> dict[str, Any]:
    """Return the JSON object of a line.

    Raises:
        InvalidRecordError: it is not UTF-8, not JSON, or not an object; or an object has a key twice, so that one of
            the two values would be lost.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRecordError(
            f"not UTF-8: byte 0x{content[error.start]:02x} at position {error.start + 1}"
        ) from error
    try:
        value = json.loads(text, object_pairs_hook=_build_object, parse_constant=_refuse_constant)
    except InvalidRecordError:
        raise
    except json.JSONDecodeError as error:
        raise InvalidRecordError(f"not JSON: {error.msg} at column {error.colno}") from error
    except RecursionError as error:
        raise InvalidRecordError("not usable JSON: nested too deeply") from error
    except ValueError as error:
        # Python refuses to convert numbers of thousands of digits.
        raise InvalidRecordError(f"not usable JSON: {str(error).partition(';')[0]}") from error
    if not isinstance(value, dict):
        raise InvalidRecordError("not a JSON object")
    return value


def check_record_keys(record: Mapping[str, Any]) -> None:
    """Check that a record has no key that cannot be honoured.

    Raises:
        InvalidRecordError: it has one; the message names the key and says what to do.
    """
    _refuse_unsupported(record, _RECORD_ADVICE, "")
    weight = record.get("weight")
    if has_value(weight) and not is_number(weight, 1):
        raise InvalidRecordError(
            f'has the weight {weight!r:.40}, which is not supported: all records count the same; remove "weight", or '
            "repeat the record with deduplication None"
        )
    if record.get("label") is False and "completion" in record:
        raise InvalidRecordError(
            "has label false, which marks a bad completion and is not supported; remove the record"
        )


def check_message_keys(message: Mapping[str, Any], where: str) -> None:
    """Check that a message has no key that cannot be honoured.

    Raises:
        InvalidRecordError: it has one; the message names the key and says what to do.
    """
    _refuse_unsupported(message, _MESSAGE_ADVICE, f"{where} ")


def has_value(value: Any) -> bool:
    """Return whether the value of a key says something."""
    return value not in (None, "", [], {})


def is_number(value: Any, expected: int) -> bool:
    """Return whether a value is the expected number, and not true or false."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value == expected


def _refuse_unsupported(item: Mapping[str, Any], advice: Mapping[str, str], where: str) -> None:
    for key, value in item.items():
        if advice.get(key) and has_value(value):
            raise InvalidRecordError(f"{where}has {key}, which is not supported: {advice[key]}")


def _build_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    built = dict(pairs)
    if len(built) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise InvalidRecordError(f'not usable JSON: an object has the key "{twice}" twice; keep one of them')
    return built


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidRecordError(f"not JSON: {name} is not a JSON value; write null or a number")
